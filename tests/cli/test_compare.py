"""`pool5 compare` on real experiments: what DVC recorded is read where its cache has it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from pool5.project import Project
from tests.analysis.small_runs import put_run

from .compared_project import commit, make_repository, run

pytest.importorskip("dvc", reason="dvc is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Project:
    return make_repository(tmp_path_factory.mktemp("compared") / "repository")


def compare(folder, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pool5", "compare", *arguments], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_an_experiment_and_a_commit_are_compared_without_a_checkout(repository):
    before = {path: path.read_bytes() for path in repository.root.rglob("data/results/*")}
    found = json.loads(compare(repository.root, "main", "noisy", "--json"))
    assert [run["name"] for run in found["runs"]] == ["main", "noisy"]
    assert all(run["source"].startswith("commit ") and run["comparable"] for run in found["runs"])
    values = {"main": "fp32", "noisy": "bf16"}
    assert found["parameters"] == [{"key": "extract.precision", "values": values}]
    rows = [d for d in found["differences"] if d["class_name"] is None]
    assert {row["measure"] for row in rows} >= {"AP(voc2007)", "AP(area)", "P@4"}
    for row in rows:
        assert row["paired"]
        assert (row["sign"], row["difference"] < 0) == (-1, True)
        assert row["lo"] <= row["difference"] <= row["hi"] < 0
    assert found["remarks"] == []
    assert {path: path.read_bytes() for path in before} == before


def test_markdown_says_what_is_beyond_noise(repository):
    text = compare(repository.root, "noisy", "--baseline", "main")
    assert text.startswith("# Runs beside main\n")
    assert "| extract.precision | fp32 | bf16 |" in text
    rows = [line for line in text.partition("## P@4")[2].splitlines() if line.startswith("| net/fc |")]
    assert rows[0].endswith("▼ |")
    assert "below the baseline beyond noise: " in text


def test_one_run_is_compared_with_the_project_as_it_is(repository):
    found = json.loads(compare(repository.root, "main", "--json"))
    assert [run["name"] for run in found["runs"]] == [".", "main"]  # the experiment is in the workspace


def test_folders_of_other_projects_and_of_results_alone_are_runs(repository, tmp_path):
    put_run(tmp_path / "other", 0.5)
    shutil.copytree(repository.results, tmp_path / "alone")
    found = json.loads(
        compare(repository.root, "main", str(tmp_path / "other"), str(tmp_path / "alone"), "--json")
    )
    _, other, alone = found["runs"]
    assert other["comparable"]
    assert other["why"] is None
    assert "nothing is paired" in alone["why"]
    assert not alone["has_params"]
    paired = {(row["run"], row["paired"]) for row in found["differences"]}
    assert paired == {(other["name"], True), (alone["name"], False)}
    assert "Not known of" in compare(repository.root, "main", str(tmp_path / "alone"))


def test_what_is_wrong_is_one_line(repository, tmp_path):
    told = compare(repository.root, "nosy", code=2)
    assert told.startswith("pool5: nosy: no such folder, and no experiment, branch, tag or commit")
    assert "did you mean noisy?" in told
    (tmp_path / "empty").mkdir()
    assert "no such folder, and you are not inside of a DVC" in compare(tmp_path / "empty", "x", "y", code=2)
    put_run(tmp_path / "other")
    run(tmp_path / "other", "dvc", "init", "--no-scm", "--quiet")
    assert "is not under git; give a folder" in compare(tmp_path / "other", "x", code=2)
    path = Project(tmp_path / "other").result("retrieval")
    path.write_text(path.read_text()[:-40])
    told = compare(tmp_path, "other", "other", "--baseline", str(repository.root), code=2)
    assert told.startswith("pool5: other: data/results/retrieval.json: not a result, or damaged")
    assert told.count("\n") == 1


def test_results_that_dvc_does_not_keep_here_are_told(repository, tmp_path):
    run(tmp_path, "git", "clone", "--quiet", str(repository.root), "clone")
    assert "the results of commit" in compare(tmp_path / "clone", "HEAD", "HEAD~0", code=2)


def test_a_project_in_a_folder_of_a_repository_is_read_at_its_commits(repository, tmp_path):
    inner = tmp_path / "inner"
    put_run(inner, extract={"precision": "fp32"})
    for name in ("dvc.yaml", ".gitignore"):
        shutil.copy(repository.root / name, inner / name)
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    run(inner, "dvc", "init", "--subdir", "--quiet")
    run(inner, "dvc", "commit", "--force", "--quiet")
    commit(tmp_path, "a project inside")
    found = json.loads(compare(inner, "HEAD", "--json"))
    assert {row["difference"] for row in found["differences"]} == {0.0}
    assert all(row["paired"] for row in found["differences"])
