"""What an extraction took is kept where it says something, and nowhere that decides anything."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from small_jobs import PREPROCESS, PixelNetwork, key_of, manifest_of, run, write_images

from pool5.extract.work import Timed
from pool5.project import Project
from pool5.results.extraction_cost import ExtractionCost
from pool5.store.extraction_cost import keep_cost, known_cost

KEYS = [key_of("early"), key_of("late")]
COST = ExtractionCost(
    device="a GPU", precision="fp32", batch_size=32, workers=2, machines=1, images=5000, seconds=10.0,
    read=1.0, infer=8.0, write=0.5, bottleneck="infer", network_rate=600.0,
)  # fmt: skip


class TimedNetwork(PixelNetwork):
    """Says that it takes a tenth of a second a batch, the first left out."""

    device = "a fast one"

    def start(self, images):
        wait = super().start(images)
        if self.seen > len(images):
            self.timed += Timed(len(images), 0.1)
        return wait


def measured(images: int, **changes) -> ExtractionCost:
    plain = {name: getattr(COST, name) for name in COST.__struct_fields__}
    return ExtractionCost(**plain | {"images": images} | changes)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", 40)
    return tmp_path


def test_an_extraction_leaves_what_it_took(base):
    network = TimedNetwork({"early": 40, "late": 7})
    run(base, manifest_of(base / "images"), network=network)
    cost = known_cost(KEYS, Project(base))
    assert (cost.device, cost.precision, cost.batch_size, cost.workers) == ("a fast one", "fp32", 16, 0)
    assert (cost.images, cost.machines) == (40, 1)
    # three batches of 16, of which the last holds 8 images: the network took whole ones
    assert cost.network_rate == pytest.approx(160)
    assert 0 < cost.rate < 40 / max(cost.read + cost.infer, 1e-9)
    assert cost.bottleneck in ("read", "infer", "write")


def test_a_network_that_is_used_again_is_timed_by_what_is_new(base):
    network = TimedNetwork({"early": 40, "late": 7})
    network.timed = Timed(1000, 1.0)
    network.seen = 1000
    run(base, manifest_of(base / "images"), network=network)
    assert known_cost(KEYS, Project(base)).network_rate == pytest.approx(160)


def test_a_run_that_computes_nothing_or_little_leaves_a_good_measurement_alone(base):
    manifest = manifest_of(base / "images")
    run(base, manifest)
    first = known_cost(KEYS, Project(base))
    run(base, manifest)
    assert known_cost(KEYS, Project(base)) == first
    write_images(base / "images", 43, seed=1)
    some = sorted(path.name for path in (base / "images").glob("*.png"))[-3:]
    run(base, manifest_of(base / "images", some))
    assert known_cost(KEYS, Project(base)) == first


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(40, 40, True), (40, 39, False), (5000, 1000, True), (5000, 999, False), (10, 400, True)],
)
def test_a_later_measurement_counts_if_it_is_of_enough_images(tmp_path, before, after, kept):
    project = Project(tmp_path)
    assert keep_cost(measured(before), KEYS, project)
    assert keep_cost(measured(after, device="another"), KEYS, project) == kept
    assert (known_cost(KEYS, project).device == "another") == kept


def test_what_takes_another_time_has_a_measurement_of_its_own_and_other_weights_do_not(tmp_path):
    project = Project(tmp_path)
    keep_cost(COST, KEYS, project)
    trained = [dataclasses.replace(key, weights_sha256="1" * 64) for key in KEYS]
    assert known_cost(trained, project) == COST
    assert known_cost(reversed(KEYS), project) == COST
    for change in ({"precision": "bf16"}, {"preprocessing": {"crop": 32}}, {"architecture": "other"}):
        assert known_cost([dataclasses.replace(key, **change) for key in KEYS], project) is None
    assert known_cost(KEYS[:1], project) is None


def test_a_damaged_measurement_is_passed_over_and_measured_again(tmp_path, caplog):
    project = Project(tmp_path)
    keep_cost(COST, KEYS, project)
    (path,) = project.costs.glob("*.json")
    path.write_text(path.read_text().replace("5000", "50"))
    assert known_cost(KEYS, project) is None
    assert "passed over" in caplog.text
    assert keep_cost(measured(3), KEYS, project)
    assert known_cost(KEYS, project).images == 3


def test_a_disk_that_takes_no_measurement_does_not_undo_an_extraction(base, caplog):
    Project(base).costs.parent.mkdir()
    Project(base).costs.write_text("in the way")
    _, features = run(base, manifest_of(base / "images"))
    assert features.is_file()
    assert "not kept" in caplog.text


def test_no_output_holds_a_time(base):
    _, features = run(base, manifest_of(base / "images"), network=TimedNetwork({"early": 40, "late": 7}))
    record = json.loads((features.parent / "extraction.json").read_text())
    assert record["record"].keys() == {"model", "splits"}
    assert {path.parent for path in base.rglob("*.json")} == {features.parent, Project(base).costs}


def test_a_network_on_a_cpu_is_timed_without_its_first_batch():
    torch = pytest.importorskip("torch")
    from pool5.extract.forward import Forward
    from pool5.machine import processor
    from pool5.params import Extract, Layer

    layer = Layer(node="0")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    forward = Forward(network, [layer], PREPROCESS, Extract(device="cpu"))
    images = np.zeros((16, 16, 16, 3), np.uint8)
    for number in range(3):
        assert forward.timed.images == 16 * max(number - 1, 0)
        forward.start(images)()
    assert forward.timed.images == 32
    assert forward.timed.seconds > 0
    assert forward.device.startswith(processor())
