"""The record of the probes is what their weights are checked by."""

from __future__ import annotations

from pool5.files.digests import sha256_of_file
from pool5.results.few_shot import FewShotResult, FewShotRow
from pool5.results.probe import ProbeResult, TrainedProbe, one_record, verify_weights
from pool5.results.record import load_record, save_record


def test_damaged_weights_and_weights_that_nothing_speaks_of_are_named(tmp_path):
    weights, record = tmp_path / "frozen.safetensors", tmp_path / "probe.json"
    weights.write_bytes(b"weights")
    probe = TrainedProbe(
        name="frozen",
        of="net/fc7",
        classes=(),
        weights_sha256=sha256_of_file(weights),
    )
    assert "nothing to check it by" in verify_weights(weights, record)[0]
    save_record(ProbeResult(probes=(probe,)), record)
    assert verify_weights(weights, record) == []
    weights.write_bytes(b"Weights")
    assert verify_weights(weights, record) == [f"{weights}: damaged"]


def few_shot(probe: str) -> FewShotResult:
    rows = [
        FewShotRow(probe=probe, class_name=None, measure=m, shots=n, ap=0.5, lo=lo, hi=lo, positives=2.5)
        for m in ("AP(area)", "AP(sklearn)")
        for n, lo in ((1, 0.4), (None, None))
    ]
    return FewShotResult(
        probe=probe, of="net/fc7", kind="knn", C=None, split="train", shots=(1,), repeats=5, seed=0,
        images={"1": 2.5, "all": 9.0}, rows=tuple(rows), gaps=("few examples: none",),
    )  # fmt: skip


def test_probes_and_their_few_examples_are_one_record(tmp_path):
    probes = [TrainedProbe(name=name, of="net/fc7", classes=(), kind="knn", k=3) for name in "ab"]
    parts = [ProbeResult(probes=(probe,), gaps=(f"probe {probe.name}: no",)) for probe in probes]
    record = one_record(parts, [few_shot("a"), few_shot("b")])
    assert record.gaps == ("probe a: no", "probe b: no", "few examples: none")
    save_record(record, tmp_path / "probe.json")
    assert load_record(ProbeResult, tmp_path / "probe.json") == record
    means = {"1": 0.5, "all": 0.5}
    assert record.metrics()["b"] == {"few_shot": {"AP(area)": means, "AP(sklearn)": means}}


def test_no_probe_is_a_gap():
    assert one_record([]).gaps == ("params.yaml names no probe",)
