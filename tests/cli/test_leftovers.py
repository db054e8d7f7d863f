"""What an experiment shares with its project, and what stays of a model that params.yaml names no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pool5.errors import UserError
from pool5.params import ORIGINS, load_params
from pool5.project import Project
from pool5.stages import run
from pool5.stages.params import main, put_aside_removed_models

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("inside", ["", "sub"])
@pytest.mark.parametrize("place", ["standalone/tmpab12", "tmpab12"])
def test_an_experiment_in_a_folder_of_its_own_uses_the_caches_of_its_project(tmp_path, inside, place):
    own = tmp_path / inside
    experiment = Project(own / ".dvc/tmp/exps" / place / inside)
    experiment.root.mkdir(parents=True)
    caches = [experiment.row_cache(".cache/features"), experiment.unit_cache, experiment.downloads]
    assert caches == [own / ".cache/features", own / ".cache/units", own / ".cache/downloads"]
    assert experiment.checkpoints.is_relative_to(experiment.root)


def test_a_project_and_an_absolute_cache_stay_where_they_are(tmp_path):
    assert Project(tmp_path).row_cache(".cache/features") == tmp_path / ".cache/features"
    assert Project(tmp_path / ".dvc/tmp/exps/x").row_cache("/shared") == Path("/shared")
    assert Project().row_cache(".cache/features") == Path(".cache/features")


@pytest.fixture
def sample(tmp_path):
    """A project with outputs of its models, and of one that it had."""
    project, params = Project(tmp_path), load_params(ROOT / "params.yaml")
    for model in (*params.models, "old"):
        for output in project.outputs_of(model):
            path = output if output.suffix else output / "x.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(model)
        project.extraction(model).write_text("{}")
    return project, params


def test_what_was_made_for_a_removed_model_is_put_aside_and_nothing_is_lost(sample):
    project, params = sample
    put_aside_removed_models(project, params)
    for output in project.outputs_of("old"):
        assert not output.exists()
        assert project.set_aside(output).exists()
    assert all(output.exists() for model in params.models for output in project.outputs_of(model))


def test_a_folder_of_ones_own_in_data_models_stays(sample):
    project, params = sample
    own = project.models / "mine/net.pth"
    own.parent.mkdir()
    own.write_text("weights")
    put_aside_removed_models(project, params)
    assert own.read_text() == "weights"


def test_the_folders_that_stand_for_origins_are_made_by_the_pipeline(tmp_path, monkeypatch):
    for name in ("params.yaml", "recipes.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    main()
    for origin in ORIGINS:
        assert f"weights: {origin}" in (Project().model(origin) / "README.md").read_text()


@pytest.mark.parametrize("stage", ["model@a-b", "dvc.yaml:model@a-b", "../x@y/dvc.yaml:model@a-b"])
def test_a_stage_takes_its_model_from_dvc(tmp_path, monkeypatch, stage):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["model.py"])
    monkeypatch.setenv("DVC_STAGE", stage)

    def of_a_model(name: str) -> None:
        seen.append(name)

    run(of_a_model)
    assert seen == ["a-b"]


def test_ctrl_c_while_a_stage_is_still_importing_is_one_line(tmp_path):
    heavy = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(9)\n"
    (tmp_path / "torch.py").write_text(heavy)
    done = subprocess.run(
        [sys.executable, "-m", "pool5.stages.model"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        130,
        "interrupted; run the same command again to go on from here\n",
    )


def test_a_mistake_in_a_stage_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["model.py"])
    monkeypatch.setenv("DVC_STAGE", json.dumps("model"))
    with pytest.raises(SystemExit):
        run(lambda name: (_ for _ in ()).throw(UserError(name)))
    assert "usage: " in capsys.readouterr().err
