"""`pool5 query` with words, and with images and words that are added and taken away."""

from __future__ import annotations

import json
import sys

import numpy as np
import open_clip
import pytest
from PIL import Image

from pool5.cli import main
from pool5.models.text import load_text_tower
from pool5.project import Project
from pool5.store.feature_file import FeatureFile
from tests.cli.words_project import make_words_project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return make_words_project(tmp_path_factory.mktemp("words"))


@pytest.fixture
def ask(project, monkeypatch, capsys):
    """Runs `pool5 query` on the layer image: (exit code, stdout, stderr)."""

    def run(*arguments: object, model: str = "clip", layer: str = "image") -> tuple[int, str, str]:
        monkeypatch.chdir(project.root)
        words = ["pool5", "query", "--model", model, "--layer", layer, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def text_vector(project):
    """By open_clip's own tokenizer and encode_text; of length one."""
    network = load_text_tower(project.model("clip"), project.root).network

    def of(text: str) -> np.ndarray:
        tokens = open_clip.SimpleTokenizer(context_length=16)([text])
        return unit(network.encode_text(tokens)[0].detach().double().numpy())

    return of


def unit(vector: np.ndarray) -> np.ndarray:
    wide = vector.astype(np.float64)
    return wide / np.linalg.norm(wide)


def nearest(project: Project, question: np.ndarray, without: tuple[str, ...] = (), k: int = 4):
    """Ids and cosine distances by brute force."""
    file = FeatureFile.open(project.features("clip", "test"))
    rows = file.layer("image").astype(np.float64)
    distances = 1 - rows @ unit(question) / np.linalg.norm(rows, axis=1)
    order = [row for row in np.argsort(distances, kind="stable") if file.ids[row] not in without][:k]
    return [str(file.ids[row]) for row in order], distances[order]


def stored(project: Project, name: str, split: str = "test") -> np.ndarray:
    file = FeatureFile.open(project.features("clip", split))
    return unit(file.layer("image")[int(file.rows([name])[0])])


def check(out: str, wanted: tuple[list[str], np.ndarray]) -> None:
    found = json.loads(out)
    assert [near["id"] for near in found] == wanted[0]
    np.testing.assert_allclose([near["distance"] for near in found], wanted[1], atol=1e-5)


def test_a_text_finds_the_images_nearest_to_its_vector(ask, project, text_vector):
    code, out, err = ask("--text", "a dog on a sofa", "--json")
    assert (code, err) == (0, "")
    check(out, nearest(project, text_vector("a dog on a sofa")))


def test_a_text_asks_a_layer_that_is_brought_to_length_one(ask, project, text_vector):
    code, out, _ = ask("--text", "a dog on a sofa", "--json", model="unit")
    assert code == 0
    check(out, nearest(project, text_vector("a dog on a sofa")))


def test_minus_is_the_arithmetic_by_hand(ask, project, text_vector):
    code, out, err = ask("000003", "--text", "a dog", "--minus", "a sofa", "--minus", "000009", "--json")
    question = stored(project, "000003") + text_vector("a dog")
    question = question - text_vector("a sofa") - stored(project, "000009")
    check(out, nearest(project, question, ("000003", "000009")))
    assert code == 0
    assert err.splitlines() == [
        "question: + 000003 (image of the data set) + “a dog” (text) − “a sofa” (text) "
        "− 000009 (image of the data set)"
    ]


def test_a_minus_is_an_id_before_it_is_a_file_and_a_file_before_it_is_a_text(ask, project):
    Image.new("RGB", (40, 40), "red").save(project.root / "000009", "PNG")
    Image.new("RGB", (40, 40), "red").save(project.root / "red.png")
    try:
        err = ask("000003", "--minus", "000009", "--minus", "red.png", "--minus", "red")[2]
    finally:
        (project.root / "000009").unlink()
    assert "− 000009 (image of the data set) − red.png (image file) − “red” (text)" in err


def test_ids_and_an_image_make_up_one_question(ask, project):
    path = project.root / "data/raw/toy/000050.png"
    _, out, err = ask("000010", "--image", path, "--json")
    check(out, nearest(project, stored(project, "000010") + stored(project, "000050"), ("000010",)))
    assert err.count("\n") == 1


def test_ids_alone_are_each_answered_as_ever(ask):
    _, out, err = ask("000010", "000011", "--json")
    assert [each["query"] for each in json.loads(out)] == ["000010", "000011"]
    assert err == ""


def test_an_image_of_another_split_takes_part(ask, project):
    _, out, _ = ask("900004", "--minus", "000003", "--json")
    question = stored(project, "900004", "train") - stored(project, "000003")
    check(out, nearest(project, question, ("000003",)))


def test_classes_splits_and_the_number_of_neighbors_go_with_words(ask):
    _, out, _ = ask("--text", "a cat", "--class", "cat", "-k", 7, "--split", "train", "--json")
    found = json.loads(out)
    assert len(found) == 7
    assert all("cat" in near["labels"] and near["id"].startswith("9") for near in found)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("--minus", "a"), {}, "give the ids of images, --image FILE or --text WORDS"),
        (
            ("--text", "a"),
            {"model": "net", "layer": "pooled"},
            "mobilenet_v3_small has no text tower",
        ),
        (("--text", "a"), {"layer": "block"}, "space of node image alone; take layer image"),
        (("--text", "a"), {"model": "moved"}, "derived by center, fitted on images; take clip/image"),
        (
            ("000003", "--minus", "x"),
            {"layer": "block"},
            "is taken as a text, and layer block",
        ),
        (("--text", "a", "--minus", "a"), {}, "nothing is left of the question"),
        (("000003x", "--text", "a"), {}, "000003x"),
        (("--text", "a", "-k", 111), {}, "110"),
        (("000003", "--text", "a", "-k", 110), {}, "109"),
    ],
)
def test_what_cannot_be_asked_is_one_line(ask, arguments, options, message):
    code, out, err = ask(*arguments, **options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_sheet_has_the_question_in_words(ask, tmp_path):
    code, _, _ = ask(
        "000003", "--text", "a dog on a sofa", "--minus", "000009", "--sheet", tmp_path / "s.svg"
    )
    assert code == 0
    assert "on a sofa” −" in (tmp_path / "s.svg").read_text()


def test_a_query_by_id_still_imports_no_torch(ask):
    import subprocess

    code = (
        "import sys; import pool5.cli.query; sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
