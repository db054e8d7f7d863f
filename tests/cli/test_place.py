"""`pool5 place` on a small store with a map."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pool5.analysis.tsne import make_map, place_points, read_map, write_map
from pool5.cli import main
from pool5.store.feature_file import feature_path
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from tests.cli.small_project import PARAMS

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
            feature_path("net", split, tmp_path / "data/features"),
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
    mapped = layers["test"][:100]
    points = make_map(mapped, perplexity=10).points
    ids = [f"test{row:03d}" for row in range(100)]
    write_map(tmp_path / "reports/tsne/net/pooled/map.csv", ids, points, ["cat"] * 100, ["#000000"] * 100)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        words = ["pool5", "place", *(() if "--model" in arguments else ("--model", "net")), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


def test_an_image_of_the_map_stays_and_others_are_placed_among_their_like(place, layers):
    code, out, _ = place("--layer", "pooled", "--json", "test007", "test110", "train002")
    assert code == 0
    old, *new = json.loads(out)
    _, points = read_map("reports/tsne/net/pooled/map.csv")
    assert old == {"id": "test007", "x": points[7, 0], "y": points[7, 1], "on_map": True}
    assert [row["on_map"] for row in new] == [False, False]
    both = np.stack([layers["test"][110], layers["train"][2]])
    expected = place_points(both, layers["test"][:100], points)
    np.testing.assert_allclose([[row["x"], row["y"]] for row in new], expected, atol=1e-4)
    for row in new:  # rows 110 and 2 are both of the third cluster
        near = np.linalg.norm(points - [row["x"], row["y"]], axis=1).argsort()[:5]
        assert set(near % 4) == {2}


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
        (["--layer", "pooled", "test999"], "no image test999 in split test (close: test"),
        (["--layer", "pooled", "--image", "params.yaml"], "run `dvc repro model@net` first"),
    ],
)
def test_mistakes_are_told_in_one_line(place, arguments, told):
    code, out, err = place(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,x\nfoo,bar\n", "not a map, or damaged"),
        ("id,x,y\n", "not a map, or damaged"),
        ("", "not a map, or damaged"),
        ("id,x,y\ntest001,nan,1\n", "not a map, or damaged"),
        ("id,x,y\ntest999,0,1\n", "map.csv: made of other images (test999 is not stored)"),
    ],
)
def test_a_damaged_map_is_told(place, text, told):
    Path("reports/tsne/net/pooled/map.csv").write_text(text)
    code, _, err = place("--layer", "pooled", "test007")
    assert (code, err.count("\n")) == (2, 1)
    assert told in err


def test_a_file_is_not_taken_for_the_stored_image_of_its_name(place, layers, monkeypatch):
    monkeypatch.setattr(
        "pool5.cli.subjects.embed_files", lambda images, *_: np.stack([layers["test"][110]] * len(images))
    )
    _, out, _ = place("--layer", "pooled", "--json", "--image", "test007", "--image", "other", "test007")
    stored, file, other = json.loads(out)
    _, points = read_map("reports/tsne/net/pooled/map.csv")
    assert [stored["x"], stored["y"]] == points[7].tolist()
    assert (stored["on_map"], file["on_map"], other["on_map"]) == (True, False, False)
    assert file == other | {"id": "test007"}
