"""`pool5 extract`: a model's images in units, under any scheduler."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from pool5.cli.extract import extract
from pool5.errors import UserError
from pool5.extract.work import ImageFiles
from pool5.project import Project
from pool5.store.row_cache import RowCache


@pytest.fixture
def emptied(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, Project]:
    """A copy of the project without rows and features, which is the working folder, and the project."""
    copy = tmp_path / "copy"
    for part in ("data/manifest", "data/models", "data/raw", "params.yaml"):
        source = project / part
        (copy / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
    monkeypatch.chdir(copy)
    return Project(copy), Project(project)


def pool5(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pool5", "extract", "net", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def set_extract(project: Project, **settings: object) -> None:
    document = yaml.safe_load(project.params.read_text())
    document["extract"] |= settings
    project.params.write_text(yaml.safe_dump(document))


def test_units_compute_each_image_once_and_the_stage_then_computes_none(emptied, caplog):
    project, whole = emptied
    caplog.set_level("INFO")
    for unit in ("2/3", "1/3", "3/3", "3/3"):
        assert CliRunner().invoke(extract, ["net", "--unit", unit]).exit_code == 0
    assert not project.feature_folders.exists()
    told = [line for line in caplog.messages if line.startswith("net, unit")]
    counts = [int(line.split(" images, ")[1].split()[0]) for line in told]
    assert sum(counts) == 346, "350 images, of which four are copies"
    assert counts[3] == 0
    assert max(counts[:3]) - min(counts[:3]) <= 1
    assert CliRunner().invoke(extract, ["net"]).exit_code == 0
    assert "net: 350 images, 0 computed" in caplog.text
    for split in ("train", "test"):
        assert project.features("net", split).read_bytes() == whole.features("net", split).read_bytes()


def test_a_unit_looks_at_nobody_s_claims(emptied, caplog):
    project, _ = emptied
    caplog.set_level("INFO")
    from pool5.extract.job import job_of
    from pool5.params import load_params

    job, preprocess, network = job_of("net", params := load_params(project.params), project)
    work = job.work(params.extract, preprocess, network, project)
    with RowCache(work.caches[0]).writer() as other:
        stored = {layer: other.rows(key) for layer, key in work.keys.items()}
        other.claim(stored, job.images.digests, 350)
        extract.main(["net", "--unit", "1/50"], standalone_mode=False)
    assert "net, unit 1 of 50: 6 images, 6 computed" in caplog.text


@pytest.mark.slow
def test_two_devices_publish_the_bytes_of_one(emptied):
    project, whole = emptied
    set_extract(project, device=["cpu", "cpu"], workers=2)
    done = pool5()
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"net: 350 images, 346 computed .*; 2 × .+: read .*; bottleneck: \w+\n", done.stderr)
    for split in ("train", "test"):
        assert project.features("net", split).read_bytes() == whole.features("net", split).read_bytes()


@pytest.mark.slow
def test_a_unit_is_shared_out_among_devices_as_well(emptied):
    project, whole = emptied
    set_extract(project, device=["cpu", "cpu"])
    for unit, computed in (("1/2", 173), ("2/2", 173)):
        assert f"unit {unit[0]} of 2: 173 images, {computed} computed" in (
            told := pool5("--unit", unit).stderr
        )
        assert "; 2 × " in told
    assert "350 images, 0 computed" in pool5().stderr
    for split in ("train", "test"):
        assert project.features("net", split).read_bytes() == whole.features("net", split).read_bytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_processes_on_one_gpu_publish_the_bytes_of_one(emptied, precision):
    project, _ = emptied
    found = []
    for number, device in enumerate(("cuda:0", ["cuda:0", "cuda:0"])):
        set_extract(project, device=device, precision=precision, workers=4, cache=f".cache/{number}")
        done = pool5()
        assert done.returncode == 0, done.stderr
        assert "346 computed" in done.stderr
        found.append([project.features("net", split).read_bytes() for split in ("train", "test")])
    assert f"; 2 × {torch.cuda.get_device_name(0)}: read " in done.stderr
    assert found[0] == found[1]


@pytest.mark.parametrize("unit", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/5", "1.5/3", ""])
def test_a_unit_that_is_none_is_one_line(unit):
    with pytest.raises(UserError, match="give it as I/N, such as 3/64, with I from 1 to N"):
        extract.main(["net", "--unit", unit], standalone_mode=False)


def test_a_mistake_exits_with_two_and_one_line(emptied):
    done = pool5("--unit", "5/4")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_shares_follow_each_other_and_hold_every_image_once():
    images = ImageFiles([str(n) for n in range(10)], np.arange(160, dtype=np.uint8).reshape(10, 16))
    for count in (1, 3, 10, 14):
        shares = [images.share(number, count) for number in range(1, count + 1)]
        assert [path for share in shares for path in share.paths] == images.paths
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_rows_of_another_kind_of_device_are_not_mixed_unless_it_is_said(emptied, monkeypatch):
    project, _ = emptied
    assert CliRunner().invoke(extract, ["net", "--unit", "1/2"]).exit_code == 0
    # torch takes the least instructions that it has: another kind of CPU
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    refused = pool5("--unit", "2/2")
    assert refused.returncode == 2
    assert "cpu DEFAULT" in refused.stderr
    assert "extract.mixed: true" in refused.stderr
    assert pool5("--unit", "2/2", "--mixed").returncode == 0
    unpublished = pool5()
    assert unpublished.returncode == 2, "no file is published of rows that are mixed, though none is missing"
    assert "extract.mixed: true" in unpublished.stderr
    set_extract(project, mixed=True)
    assert pool5().returncode == 0


def test_ray_that_is_not_installed_is_one_line(emptied, monkeypatch):
    project, _ = emptied
    set_extract(project, runner="ray")
    blocker = project.root / "without"
    (blocker / "ray").mkdir(parents=True)
    (blocker / "ray/__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')"
    )
    monkeypatch.setenv("PYTHONPATH", f"{blocker}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = pool5()
    assert done.returncode == 2
    assert done.stderr.strip().endswith("run pip install 'pool5[ray]'")
    assert len(done.stderr.splitlines()) == 1


def test_a_runner_that_is_none_is_told(emptied):
    set_extract(emptied[0], runner="dask")
    done = pool5()
    assert done.returncode == 2
    assert "extract.runner" in done.stderr
