"""The kinds of probes, each through what any must pass."""

from __future__ import annotations

from typing import get_args, get_type_hints

from pool5.params import Probe
from pool5.probe.kinds import KINDS

from .kind_tests import ProbeKindTests


class TestLinear(ProbeKindTests):
    settings = Probe(of="net/fc7", C=(0.1, 10.0), folds=3)


class TestKnn(ProbeKindTests):
    settings = Probe(of="net/fc7", kind="knn", k=7)


def test_every_kind_that_params_may_name_is_there():
    assert set(KINDS) == set(get_args(get_type_hints(Probe)["kind"]))
