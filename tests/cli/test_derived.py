"""The commands on a derived layer."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pool5.analysis.derived_layer import FIT
from pool5.analysis.maps.layer_map import map_layer
from pool5.cli import main
from pool5.params.sections import Tsne
from pool5.project import Project
from pool5.results.record import save_record
from pool5.stages import derive
from pool5.store.feature_file import FeatureFile
from tests.cli.small_project import PARAMS, make_project

RECIPES = Path(__file__).parents[2] / "recipes.yaml"
DERIVED = """
derive:
  small: {of: net/pooled, steps: [l2, {pca: 32}, whiten]}
  unit: {of: small/pooled, steps: [l2]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("derived")
    make_project(folder)
    shutil.copy(RECIPES, folder / "recipes.yaml")
    (folder / "params.yaml").write_text(PARAMS + DERIVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        derive.main()
        file = FeatureFile.open(Project().derived("small", "test"))
        save_record(
            map_layer(file, "pooled", Tsne(sample=100, perplexity=10, stability_seeds=0)),
            Project().result("tsne/small/pooled"),
        )
    return folder


@pytest.fixture
def pool5(made, tmp_path, monkeypatch, capsys):
    """Runs a command on a copy of the project: (exit code, stdout, stderr)."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pool5", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


def ask(pool5, *words: object, name: str = "small") -> list[dict]:
    code, out, err = pool5("query", "--model", name, "--layer", "pooled", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_query_by_id_is_answered_from_the_derived_rows(pool5):
    rows = FeatureFile.open(Project().derived("small", "test"))
    unit = rows.layer("pooled") / np.linalg.norm(rows.layer("pooled"), axis=1, keepdims=True)
    distances = 1 - unit @ unit[rows.rows(["000010"])[0]]
    wanted = [str(rows.ids[row]) for row in np.argsort(distances)[1:5]]
    assert [near["id"] for near in ask(pool5, "000010")] == wanted
    assert len(ask(pool5, "900004")) == 4  # of the other split


@pytest.mark.parametrize("name", ["small", "unit"])
def test_an_image_file_goes_through_the_model_and_the_steps(pool5, name):
    (nearest,) = ask(pool5, "--image", "data/raw/toy/000010.png", "-k", 1, name=name)
    assert nearest["id"] == "000010"
    assert nearest["distance"] == pytest.approx(0, abs=1e-6)


def test_ids_and_files_make_up_one_question(pool5):
    found = ask(pool5, "000010", "--minus", "data/raw/toy/000011.png", "-k", 3)
    assert len(found) == 3


def test_words_are_refused_with_the_reason(pool5):
    code, _, err = pool5("query", "--model", "small", "--layer", "pooled", "--text", "a dog")
    assert code == 2
    assert "mobilenet_v3_small has no text tower" in err


def test_an_image_is_placed_on_the_map_of_a_derived_layer(pool5):
    code, out, err = pool5(
        "place", "--image", "data/raw/toy/900003.png", "--model", "small", "--layer", "pooled"
    )
    assert code == 0, err
    assert len(out.splitlines()) == 2


def test_show_says_how_a_layer_was_derived(pool5):
    code, out, _ = pool5("show", "data/derived/unit/test.h5")
    assert code == 0
    assert "unit on toy test: 230 images" in out
    assert 'steps: ["l2", {"pca": 32}, "whiten"]' in out
    code, out, _ = pool5("show", "data/derived/small/test.h5", "--json")
    assert json.loads(out)["layers"]["pooled"]["key"]["derived"][0]["recipe_version"] == 1
    assert "derived" not in pool5("show", "data/features/net/test.h5")[1]


def test_a_derived_layer_is_exported_as_any_other(pool5):
    code, _, err = pool5("export", "data/derived/small/test.h5", "--to", "npy", "--out", "out")
    assert code == 0, err
    np.testing.assert_array_equal(
        np.load("out/pooled.npy"), FeatureFile.open(Project().derived("small", "test")).layer("pooled")
    )


def test_verify_finds_damage_in_rows_and_in_the_fit(pool5):
    code, _, err = pool5("verify")
    assert code == 0, err
    assert "6 feature files" in err
    assert "2 fits" in err
    asked = ("--model", "small", "--layer", "pooled", "--image", "data/raw/toy/000010.png")
    turn_last_bit(Project().derived_folders / "small" / FIT)
    code, _, err = pool5("query", *asked)
    assert (code, "not that of the feature files beside it" in err) == (2, True)
    turn_last_bit(Project().derived("small", "test"))
    code, out, _ = pool5("verify")
    assert code == 1
    assert out.count("dvc repro -sf derive") == 2
    assert "dvc repro -sf derive" in pool5("verify", "data/derived/small/test.h5")[1]


def turn_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_why_names_what_would_derive_it_again(pool5):
    assert pool5("why", "small", "test")[1] == "pooled: every row is there\n"
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("pca: 32", "pca: 16"))
    code, out, _ = pool5("why", "small", "test")
    assert out.endswith("'whiten']; all 230 rows to compute\n")
    code, _, err = pool5(
        "query", "--model", "small", "--layer", "pooled", "--image", "data/raw/toy/000010.png"
    )
    assert code == 2
    assert "stored with another steps" in err
    shutil.rmtree("data/derived/small")
    assert pool5("why", "small", "test")[1] == "data/derived/small/test.h5: not there\n"


def test_check_tells_of_more_components_than_there_are_values(pool5):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("pca: 32", "pca: 5000"))
    code, _, err = pool5("check")
    assert code == 2
    assert "derive.small.steps: pca: 5000 components of rows of" in err


def test_a_name_that_is_none_is_refused(pool5):
    code, _, err = pool5("query", "000010", "--model", "nope", "--layer", "pooled")
    assert (code, "no model or derived layer 'nope'" in err) == (2, True)


def test_rows_that_are_not_there_are_derived_by_the_stage_that_is_named(pool5):
    Project().derived("small", "test").unlink()
    code, _, err = pool5("query", "000010", "--model", "small", "--layer", "pooled")
    assert code == 2
    assert err.endswith("no such feature file; run `dvc repro derive`\n")


def test_a_forgotten_image_is_in_no_derived_row_after_the_next_run(pool5):
    gone = Path("data/raw/toy/900005.png")
    digest = hashlib.blake2b(gone.read_bytes(), digest_size=16).digest()
    code, out, err = pool5("forget", "900005")
    assert code == 0, err
    assert "from .cache/units" in out
    for path in (Project().manifest("train"), gone):
        assert path.exists()
    from pool5.datasets.manifest import read_manifest, write_manifest
    from pool5.extract.extract_layers import extract_model
    from pool5.params import load_params

    manifest = read_manifest(Project().manifest("train"))
    write_manifest(manifest.take(np.flatnonzero(manifest.ids != "900005")), Project().manifest("train"))
    extract_model("net", load_params(), Project())
    derive.main()
    kept = [p for p in [*Path("data/derived").rglob("*"), *Path(".cache").rglob("*")] if p.is_file()]
    assert kept
    assert [path for path in kept if digest in path.read_bytes()] == []
