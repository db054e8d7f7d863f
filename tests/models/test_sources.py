"""Each model source keeps the promises of the protocol."""

from __future__ import annotations

import pytest
from source_tests import SourceTests

from pool5.errors import UserError
from pool5.models.sources import SOURCES, source_of


class TestCaffeNet(SourceTests):
    source = SOURCES[0]
    small = ("caffenet", 67)
    without_weights = "caffenet"


class TestTorchvision(SourceTests):
    source = SOURCES[1]
    small = ("squeezenet1_1", 32)
    without_weights = "vit_h_14"


def test_every_source_is_tested():
    assert {test.source for test in (TestCaffeNet, TestTorchvision)} == set(SOURCES)


def test_a_name_that_no_source_knows_gets_the_near_ones():
    with pytest.raises(UserError, match=r"resnet17: not caffenet and no torchvision .* mean resnet1"):
        source_of("resnet17")
