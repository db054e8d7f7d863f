"""`pool5 cache` says what is there, removes what is not in use, and refuses in one line what it cannot do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pool5.params import load_params

ROOT = Path(__file__).resolve().parents[2]


def pool5(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pool5", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )


@pytest.fixture
def unmade(tmp_path: Path) -> Path:
    """A project whose models have not been made yet."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "presets" / "sample.yaml").read_bytes())
    return tmp_path


@pytest.fixture
def made(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project, tmp_path / "project"))


def set_param(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))


def test_an_empty_cache_has_nothing_in_it(unmade: Path) -> None:
    told = pool5(unmade, "cache", "stats")
    assert told.returncode == 0
    assert "0.0 MB" in told.stdout


def test_gc_removes_nothing_while_the_keys_in_use_are_unknown(unmade: Path) -> None:
    told = pool5(unmade, "cache", "gc")
    assert told.returncode == 2
    assert "cannot be told from unused ones" in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_a_size_that_is_none_is_refused(unmade: Path) -> None:
    told = pool5(unmade, "cache", "gc", "--max-size", "12x")
    assert told.returncode == 2
    assert "--max-size: 12x is not a size" in told.stderr


def test_a_size_and_params_exclude_each_other(unmade: Path) -> None:
    told = pool5(unmade, "cache", "gc", "--max-size", "1G", "--params", "params.yaml")
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)


def test_gc_says_what_it_removed(unmade: Path) -> None:
    told = pool5(unmade, "cache", "gc", "--max-size", "1G")
    assert told.returncode == 0
    assert told.stdout == "removed 0 shards, 0.0 MB, from .cache/features\n"


def test_stats_name_who_uses_what(made: Path) -> None:
    told = pool5(made, "cache", "stats").stdout
    assert "346 rows in 1 shard  net/pooled  (mobilenet_v3_small" in told
    (use,) = json.loads(pool5(made, "cache", "stats", "--json").stdout)
    # 350 images, of which two in each split are copies of a third
    assert (use["rows"], use["in_use_by"], use["key"]["node"]) == (346, ["net/pooled"], "flatten")


def test_gc_keeps_the_rows_in_use_and_removes_them_when_no_params_ask_for_them(made: Path) -> None:
    kept = pool5(made, "cache", "gc")
    assert kept.stdout.startswith("removed 0 shards")
    shutil.copy(made / "params.yaml", made / "old.yaml")
    set_param(made, "device: cpu", "device: cpu, dtype: float16")
    assert pool5(made, "cache", "gc", "--params", "old.yaml").stdout.startswith("removed 0 shards")
    assert "in no params in use" in pool5(made, "cache", "stats").stdout
    assert pool5(made, "cache", "gc").stdout.startswith("removed 1 shard")
    assert json.loads(pool5(made, "cache", "stats", "--json").stdout) == []


def test_why_names_the_field_that_changed_and_counts_the_rows(made: Path) -> None:
    assert pool5(made, "why", "net", "test").stdout.split("\n")[:2] == [
        "images: the same",
        "pooled: every row is in the cache",
    ]
    set_param(made, "device: cpu", "device: cpu, dtype: float16")
    told = pool5(made, "why", "net", "test").stdout
    assert "pooled: dtype: float32 -> float16; 228 of 230 rows to compute" in told


def test_why_says_that_a_model_of_another_recipe_is_made_again(made: Path) -> None:
    set_param(made, "train: null", "train: {epochs: 2, batch_size: 4, lr: 0.1}")
    told = pool5(made, "why", "net", "test").stdout
    assert told.startswith("net: train: None -> {")
    assert "made again" in told
    card = made / "data/models/net/model.json"
    recipe = load_params(made / "params.yaml").models["net"].train
    about = json.loads(card.read_text()) | {"recipe": json.loads(msgspec.json.encode(recipe))}
    card.write_text(json.dumps(about))
    assert pool5(made, "why", "net", "test").stdout.startswith("images: the same")
    set_param(made, "epochs: 2", "epochs: 3")
    assert pool5(made, "why", "net", "test").stdout.startswith("net: train.epochs: 2 -> 3: it will be made")
    set_param(made, "architecture: mobilenet_v3_small", "architecture: resnet18")
    assert "architecture: mobilenet_v3_small -> resnet18" in pool5(made, "why", "net", "test").stdout


def test_why_counts_the_rows_that_were_lost(made: Path) -> None:
    shutil.rmtree(made / ".cache")
    assert "228 of 230 rows to compute" in pool5(made, "why", "net", "test").stdout


def test_why_of_what_is_not_there_is_refused(made: Path) -> None:
    for arguments, told in (
        (("other", "test"), "no model 'other' in params.yaml; it has net"),
        (("net", "val"), "split val is not extracted; params.yaml names train and test"),
    ):
        done = pool5(made, "why", *arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert told in done.stderr
