"""The record of the probes is what their weights are checked by."""

from __future__ import annotations

from pool5.files.digests import sha256_of_file
from pool5.results.probe import ProbeResult, TrainedProbe, verify_weights
from pool5.results.record import save_record


def test_damaged_weights_and_weights_that_nothing_speaks_of_are_named(tmp_path):
    weights, record = tmp_path / "frozen.safetensors", tmp_path / "probe.json"
    weights.write_bytes(b"weights")
    probe = TrainedProbe(
        name="frozen",
        of="net/fc7",
        classes=(),
        shared_C=None,
        cv_log_loss={},
        weights_sha256=sha256_of_file(weights),
    )
    assert "nothing to check it by" in verify_weights(weights, record)[0]
    save_record(ProbeResult(probes=(probe,)), record)
    assert verify_weights(weights, record) == []
    weights.write_bytes(b"Weights")
    assert verify_weights(weights, record) == [f"{weights}: damaged"]
