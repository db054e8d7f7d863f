"""`pool5 place` on a small store with a map."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from pool5.analysis.maps.layer_map import map_layer
from pool5.analysis.maps.tsne import place_points
from pool5.cli import main
from pool5.params.sections import Tsne
from pool5.project import Project
from pool5.results.record import load_record, save_record
from pool5.results.tsne_map import TsneResult
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from tests.cli.small_project import PARAMS

RECORD = Project().result("tsne/net/pooled")
KEY = FeatureKey("net", "0" * 64, "flatten", {}, "fp32", "float32", 1)


@pytest.fixture(scope="module")
def layers() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    centres = random.standard_normal((4, 16)) * 8
    return {
        split: (centres[np.arange(count) % 4] + random.standard_normal((count, 16))).astype(np.float32)
        for split, count in (("test", 120), ("train", 8))
    }


@pytest.fixture
def place(layers, tmp_path, monkeypatch, capsys):
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split, layer in layers.items():
        count = len(layer)
        write_feature_file(
            Project(tmp_path).features("net", split),
            dataset="toy",
            split=split,
            model="net",
            classes=("cat",),
            ids=np.array([f"{split}{row:03d}" for row in range(count)]),
            digests=np.zeros((count, 16), np.uint8),
            labels=np.ones((count, 1), np.int8),
            layers={"pooled": layer},
            keys={"pooled": KEY},
        )
    file = FeatureFile.open(Project(tmp_path).features("net", "test"))
    settings = Tsne(sample=100, perplexity=10, stability_seeds=0)
    save_record(map_layer(file, "pooled", settings), tmp_path / RECORD)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        words = ["pool5", "place", *(() if "--model" in arguments else ("--model", "net")), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()  # what the making of the map logged
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


def stored_map() -> tuple[tuple[str, ...], np.ndarray]:
    found = load_record(TsneResult, RECORD)
    return found.ids, np.array(found.points)


def test_an_image_of_the_map_stays_and_others_are_placed_among_their_like(place, layers):
    ids, points = stored_map()
    rows = [int(name.removeprefix("test")) for name in ids]
    left_out = next(row for row in range(120) if row not in rows)
    code, out, _ = place("--layer", "pooled", "--json", ids[7], f"test{left_out:03d}", "train002")
    assert code == 0
    old, *new = json.loads(out)
    assert old == {"id": ids[7], "x": points[7, 0], "y": points[7, 1], "on_map": True}
    assert [row["on_map"] for row in new] == [False, False]
    both = np.stack([layers["test"][left_out], layers["train"][2]])
    expected = place_points(both, layers["test"][rows], points)
    np.testing.assert_allclose([[row["x"], row["y"]] for row in new], expected, atol=1e-4)
    for row, cluster in zip(new, (left_out % 4, 2), strict=True):
        near = np.linalg.norm(points - [row["x"], row["y"]], axis=1).argsort()[:5]
        assert {rows[i] % 4 for i in near} == {cluster}


def test_the_table_names_every_image(place):
    code, out, _ = place("--layer", "pooled", "test007", "train002")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["id", "test007", "train002"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--layer", "pooled"], "give the ids of images, or --image FILE"),
        (["--layer", "fc7", "--model", "nope", "test007"], "no model 'nope' in params.yaml; it has net"),
        (["--layer", "fc7", "test007"], "no such map; name the layer in tsne.of"),
        (["--layer", "pooled", "test999"], "no image test999 in split test (did you mean test"),
        (["--layer", "pooled", "--image", "params.yaml"], "run `dvc repro model@net`"),
    ],
)
def test_mistakes_are_told_in_one_line(place, arguments, told):
    code, out, err = place(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


@pytest.mark.parametrize("change", [("1", "2"), ('"points"', '"dots"'), ("}", "")])
def test_a_map_that_was_edited_or_cut_is_not_believed(place, change):
    RECORD.write_text(RECORD.read_text().replace(*change))
    code, _, err = place("--layer", "pooled", "test007")
    assert (code, err.count("\n")) == (2, 1)
    assert "not a result, or damaged" in err or "version 2" in err
    assert err.endswith("f tsne`\n")


def test_a_map_of_images_that_are_not_stored_is_told(place):
    found = load_record(TsneResult, RECORD)
    save_record(replace(found, ids=("other", *found.ids[1:])), RECORD)
    code, _, err = place("--layer", "pooled", "train002")
    assert code == 2
    assert "made of other images (other is not stored); run `dvc repro tsne`" in err


def test_where_there_is_no_map_the_reason_is_told(place):
    gone = replace(load_record(TsneResult, RECORD), ids=(), points=(), gaps=("no map: three images",))
    save_record(gone, RECORD)
    code, _, err = place("--layer", "pooled", "train002")
    assert code == 2
    assert "no map: three images" in err


def test_a_file_is_not_taken_for_the_stored_image_of_its_name(place, layers, monkeypatch):
    monkeypatch.setattr(
        "pool5.questions.subjects.embed_files",
        lambda images, *_: np.stack([layers["test"][110]] * len(images)),
    )
    ids, points = stored_map()
    _, out, _ = place("--layer", "pooled", "--json", "--image", ids[7], "--image", "other", ids[7])
    stored, file, other = json.loads(out)
    assert [stored["x"], stored["y"]] == points[7].tolist()
    assert (stored["on_map"], file["on_map"], other["on_map"]) == (True, False, False)
    assert file == other | {"id": ids[7]}
