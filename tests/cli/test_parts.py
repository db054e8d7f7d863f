"""The commands on feature files in parts: they answer as on files in one piece."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pool5.cli import main
from pool5.extract.extract_layers import extract_model
from pool5.params import load_params
from pool5.project import Project
from pool5.store.feature_file import FeatureFile
from tests.cli import small_project
from tests.store.parted_file import parts_beside, parts_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a layer more, of 16 x 32 x 32 values, in parts of 1 MiB."""
    folder = tmp_path_factory.mktemp("cli") / "parted"
    wider = small_project.PARAMS.replace("{pooled: flatten}", "{pooled: flatten, stem: features.0}")
    with pytest.MonkeyPatch.context() as patch, parts_of():
        patch.setattr(small_project, "PARAMS", wider)
        small_project.make_project(folder)
    return folder


@pytest.fixture
def pool5(made: Path, monkeypatch, capsys):
    """Runs a command in the project: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()  # what was logged before
        monkeypatch.chdir(made)
        monkeypatch.setattr(sys, "argv", ["pool5", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        return (exit_.value.code or 0, *capsys.readouterr())

    return run


FILE = "data/features/net/test.h5"
OF_STEM = ("--model", "net", "--layer", "stem")
COMMANDS = [
    ("show", FILE),
    ("show", FILE, "--json"),
    ("verify", FILE),
    ("verify",),
    ("why", "net", "test"),
    ("query", "000003", "900005", *OF_STEM, "--json"),
    ("query", "000003", *OF_STEM, "--split", "train", "--class", "cat"),
    ("query", "--image", "data/raw/toy/000003.png", *OF_STEM),
    ("export", FILE, "--to", "npy", "--out", "exported"),
    ("export", FILE, "--to", "parquet", "--layer", "stem", "--out", "exported"),
]


@pytest.mark.slow
def test_every_command_answers_as_on_files_in_one_piece(made: Path, pool5) -> None:
    project = Project(made)
    path = project.features("net", "test")
    assert len(parts_beside(path)) == 15
    parted = [pool5(*command) for command in COMMANDS]
    assert [code for code, _, _ in parted] == [0] * len(COMMANDS), parted
    exported = {file.name: file.read_bytes() for file in (made / "exported").iterdir()}
    result = extract_model("net", load_params(project.params), project)  # no layer is that long now
    assert sorted(each.name for each in path.parent.iterdir()) == ["extraction.json", "test.h5", "train.h5"]
    assert result.splits["test"].rows == small_project.TEST_ROWS
    for command, answer in zip(COMMANDS, parted, strict=True):
        assert pool5(*command) == answer
    assert exported == {file.name: file.read_bytes() for file in (made / "exported").iterdir()}
    np.testing.assert_array_equal(np.load(made / "exported/stem.npy"), FeatureFile.open(path).layer("stem"))


@pytest.mark.slow
def test_a_missing_part_is_one_line_that_says_how_to_mend_it(made: Path, pool5) -> None:
    with parts_of():
        extract_model("net", load_params(made / "params.yaml"), Project(made))
    parts_beside(made / FILE)[3].unlink()
    code, _, told = pool5("query", "000003", *OF_STEM)
    assert (code, len(told.splitlines())) == (2, 1)
    assert "stem.0003." in told
    assert "dvc repro" in told
    assert pool5("verify", FILE)[0] == 1
