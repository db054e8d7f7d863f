"""`pool5 query` on a small store that the program extracted itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.cli import main
from pool5.datasets.manifest import Manifest, write_manifest
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from tests.cli.small_project import CLASSES, PARAMS


@pytest.fixture
def ask(project, monkeypatch, capsys):
    """Runs `pool5 query` with some arguments in the project: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(project)
        words = ["pool5", "query", "--model", "net", "--layer", "pooled", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def answer(ask):
    """The parsed JSON of a query that must succeed."""

    def run(*arguments: object):
        code, out, err = ask("--json", *arguments)
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def stored(project: Path, split: str = "test") -> FeatureFile:
    return FeatureFile.open(project / f"data/features/net/{split}.h5")


def distances_to(features: FeatureFile, vector: np.ndarray, metric: str) -> np.ndarray:
    x, q = features.layer("pooled").astype(np.float64), vector.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(x - q, axis=1)
    if metric == "ip":
        return -x @ q
    return 1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_the_json_equals_brute_force_for_200_random_ids(answer, project, metric):
    features = stored(project)
    ids = np.random.default_rng(0).choice(features.ids, 200, replace=False).tolist()
    ids[0] = "000003" if "000003" not in ids else ids[0]
    answers = answer(*ids, "-k", 5, "--metric", metric)
    assert [each["query"] for each in answers] == ids
    for each in answers:
        row = features.rows([each["query"]])[0]
        truth = distances_to(features, features.layer("pooled")[row], metric)
        truth[row] = np.inf
        found = [near["id"] for near in each["neighbors"]]
        assert each["query"] not in found
        assert [near["rank"] for near in each["neighbors"]] == [1, 2, 3, 4, 5]
        told = [near["distance"] for near in each["neighbors"]]
        np.testing.assert_allclose(told, np.sort(truth)[:5], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(told, truth[features.rows(found)], rtol=1e-5, atol=1e-6)


def test_one_id_gives_a_list_of_rank_id_distance_and_labels(answer, project):
    features = stored(project)
    found = answer("000003")
    assert [set(near) for near in found] == [{"rank", "id", "distance", "labels"}] * 4
    assert [(near["id"], near["distance"]) for near in found[:2]] == [("000007", 0.0), ("000100", 0.0)]
    row = features.rows([found[3]["id"]])[0]
    assert found[3]["labels"] == [
        c for c, there in zip(CLASSES, features.labels[row], strict=True) if there == 1
    ]


def test_the_table_has_a_line_a_neighbor_and_a_heading_a_query(ask):
    code, out, _ = ask("000003", "-k", 2)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["rank", "id", "distance", "labels"]
    assert [line.split()[:3] for line in lines[1:]] == [["1", "000007", "0"], ["2", "000100", "0"]]
    assert {"000003", "000010"} <= set(ask("000003", "000010")[1].splitlines())


def test_an_image_file_finds_the_stored_image_at_distance_zero(answer, project):
    found = answer("--image", project / "data/raw/toy/000050.png", "-k", 1)
    assert [(near["id"], near["distance"]) for near in found] == [("000050", 0.0)]


def test_class_and_split_filter_the_answer(answer, project):
    assert all("dog" in near["labels"] for near in answer("000003", "--class", "dog", "-k", 20))
    either = answer("000003", "--class", "dog", "--class", "cat", "-k", 20)
    assert {"dog"} < {label for near in either for label in near["labels"]}
    # asked in another split, an id is looked up where it is, and only the other split is searched
    found = answer("000003", "--split", "train", "-k", 3)
    assert all(near["id"].startswith("9") for near in found)
    train, test = stored(project, "train"), stored(project)
    truth = distances_to(train, test.layer("pooled")[3], "cosine")
    np.testing.assert_allclose([near["distance"] for near in found], np.sort(truth)[:3], atol=1e-6)


def test_through_the_index_the_answer_is_the_same_here(answer):
    assert answer("000011", "--approximate") == answer("000011")


def test_the_sheet_is_drawn_to_the_named_file_only(ask, project, tmp_path):
    for name in ("sheet.png", "sheet.svg"):
        assert ask("000003", "000010", "--sheet", tmp_path / name)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sheet.png", "sheet.svg"]
    words = (tmp_path / "sheet.svg").read_text()
    assert "net/pooled" in words
    assert "1  000007" in words
    assert Image.open(tmp_path / "sheet.png").width > 800
    image = project / "data/raw/toy/000050.png"
    assert ask("--image", image, "--sheet", tmp_path / "file.png")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["00003"], r"no image 00003 in split test \(did you mean .*0000\d+"),
        (["000003", "-k", "230"], r"k is 230, but there are only 229 images"),
        (["000003", "-k", "0"], r"k is 0; ask for 1"),
        (["000003", "-k", "four"], r"'four' is not a valid integer"),
        (["000003", "--class", "cta"], r"no class cta \(did you mean cat"),
        (["000003", "--class", "person"], r"no image of split test shows person"),
        (["000003", "--split", "../net/test"], r"no such split; there are test, train"),
        (["000003", "--split", "val"], r"no such split; there are test, train"),
        (["000003", "--model", "ned"], r"no model 'ned' in params\.yaml; it has net"),
        (["000003", "--layer", "fc7"], r"no layer fc7; it has pooled"),
        (["000003", "--sheet", "sheet.pdf"], r"not a \.png or \.svg"),
        (["000003", "--metric", "l2", "--approximate"], r"built from another metric"),
        (["000003", "--split", "train", "--approximate"], r"built from other images"),
        (["--image", "params.yaml"], r"params\.yaml: "),
        (["--image", "nowhere.jpg"], r"nowhere\.jpg: "),
        ([], r"give the ids of images, --image FILE or --text WORDS"),
        (["000003", "--image", "params.yaml"], r"params\.yaml: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(ask, arguments, message):
    code, out, err = ask(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(message, err)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("crop: 64", "crop: 56", "preprocessing"),
        ("pooled: flatten", "pooled: {node: flatten, pool: max}", "pool"),
    ],
)
def test_an_image_is_refused_where_the_stored_features_were_made_otherwise(ask, project, old, new, field):
    params = project / "params.yaml"
    params.write_text(PARAMS.replace(old, new))
    try:
        code, _, err = ask("--image", project / "data/raw/toy/000050.png")
        assert ask("000003")[0] == 0  # what is stored can be asked for all the same
    finally:
        params.write_text(PARAMS)
    assert code == 2
    assert f"stored with another {field} than" in err


def test_a_query_by_id_imports_nothing_slow(project):
    code = (
        "import sys; sys.argv = 'pool5 query 000003 --model net --layer pooled'.split()\n"
        "from pool5.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "slow = {'torch', 'faiss', 'matplotlib', 'sklearn', 'scipy', 'PIL', 'dvc', 'pandas', 'numpy.ma'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True, stdout=subprocess.DEVNULL)


def test_the_sheet_shows_the_pictures_of_the_split_that_was_asked(tmp_path, monkeypatch):
    blue, red = (0, 0, 255), (255, 0, 0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    key = FeatureKey("net", "0" * 64, "pooled", {}, "fp32", "float32", 1)
    for split, colour, count in (("train", blue, 4), ("test", red, 3)):
        ids = np.array([f"cat/{number}.png" for number in range(count)])
        for name in ids:
            (tmp_path / f"data/raw/toy/{split}/cat").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (80, 60), colour).save(tmp_path / f"data/raw/toy/{split}/{name}")
        rows = {"digests": np.zeros((count, 16), np.uint8), "labels": np.ones((count, 1), np.int8)}
        paths, sizes = np.array([f"{split}/{name}" for name in ids]), np.ones((count, 2), np.int32)
        manifest = Manifest(split, ("cat",), ids, paths, rows["digests"], sizes, rows["labels"])
        write_manifest(manifest, tmp_path / f"data/manifest/{split}.csv")
        about = {"dataset": "toy", "split": split, "model": "net", "classes": ("cat",), "ids": ids}
        layers = {"pooled": np.eye(count, 5, dtype=np.float32)}
        path = tmp_path / f"data/features/net/{split}.h5"
        write_feature_file(path, **about, **rows, layers=layers, keys={"pooled": key})

    def drawn(name: str) -> set:
        words = ["pool5", "query", name, "--model", "net", "--layer", "pooled", "-k", "2", "--sheet", "s.png"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            main()
        with Image.open("s.png") as sheet:
            return {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24)} & {blue, red}

    monkeypatch.chdir(tmp_path)
    assert drawn("cat/0.png") == {red}
    # in the training split alone: its picture, and neighbors of the test split
    assert drawn("cat/3.png") == {blue, red}
