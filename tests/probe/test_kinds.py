"""The kinds of probes, each through what any must pass."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from pool5.errors import UserError
from pool5.params import Probe, load_params
from pool5.probe.kinds import KINDS

from .kind_tests import ProbeKindTests


class TestLinear(ProbeKindTests):
    settings = Probe(of="net/fc7", C=(0.1, 10.0), folds=3)


class TestKnn(ProbeKindTests):
    settings = Probe(of="net/fc7", kind="knn", k=7)


def test_every_kind_that_params_may_name_is_there():
    assert set(KINDS) == set(get_args(get_type_hints(Probe)["kind"]))


def test_a_probe_that_learns_from_no_image_takes_no_shots(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(
        "dataset: {name: d, kind: voc, root: d, train: train, test: test}\n"
        "models: {net: {architecture: open_clip/ViT-B-32, weights: random, layers: {image: image}}}\n"
        "probe: {zs: {of: net/image, kind: zeroshot, shots: [1]}}\n"
    )
    told = r"probe\.zs\.shots: a zero-shot probe learns from no image; leave shots out"
    with pytest.raises(UserError, match=told):
        load_params(params)
