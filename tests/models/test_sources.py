"""Each model source keeps the promises of the base class."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from source_tests import SourceTests

from pool5.errors import UserError
from pool5.models.sources import SOURCES, source_of
from pool5.models.sources.caffenet import CaffeNetSource


class TestCaffeNet(SourceTests):
    kind = CaffeNetSource
    small = ("caffenet", 67)
    mistyped = ("caffnet", r"did you mean caffenet\?")
    without_weights = "caffenet"


def test_every_source_is_tested():
    for file in Path(__file__).parent.glob("test_*.py"):
        if "(SourceTests)" in file.read_text():
            importlib.import_module(file.stem)
    assert {test.kind for test in SourceTests.__subclasses__()} == set(SOURCES)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet17", r"not caffenet and no torchvision model \(did you mean resnet1"),
        ("caffnet", r"not caffenet and no torchvision model \(did you mean caffenet\?"),
        ("tim/vit_small_patch14_dinov2", r"did you mean timm/vit_small_patch14_dinov2\?"),
        ("open-clip/ViT-B-32", r"did you mean open_clip/ViT-B-32\?"),
        ("my_models.py", r"of no source; write caffenet, .* or <file>.py:<function>"),
        ("my_models:build", r"of no source; write caffenet, .* or <file>.py:<function>"),
        ("facebook/dinov2", r"of no source; write caffenet"),
        ("", r"no torchvision model"),
    ],
)
def test_a_name_that_no_source_knows_gets_the_near_ones(name, told):
    with pytest.raises(UserError, match=rf"^architecture {name}: .*{told}"):
        source_of(name)
