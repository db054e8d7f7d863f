"""Kills, faults and full disks: nothing is damaged, and no more is lost than was promised."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_jobs
from small_jobs import manifest_of, rows_in, run, write_images

ROOT = Path(__file__).resolve().parents[2]


def small_job(what: str, base: Path, *numbers: int) -> dict:
    done = subprocess.run(
        [sys.executable, small_jobs.__file__, what, str(base), *map(str, numbers)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", 160)
    _, file = run(tmp_path, manifest_of(tmp_path / "images"))
    file.rename(tmp_path / "reference.h5")
    return tmp_path


@pytest.mark.slow
@pytest.mark.long
def test_sixty_kills_damage_nothing_and_lose_no_more_than_the_shard_at_work(base: Path) -> None:
    shutil.rmtree(base / "cache")
    report = small_job("kill", base, 60, 1)
    assert report["kills"] >= 50
    assert report["damaged"] == []
    assert report["wrong"] == 0
    assert report["left"] == []
    assert report["killed with rows"] > 5, "the kills all came too early to mean anything"
    assert max(report["lost"]) <= small_jobs.ROWS_A_SHARD + 2 * 16, "a shard, and the batches that filled it"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="traces x86-64 Linux calls"
)
@pytest.mark.parametrize("fault", [0, errno.ENOSPC, errno.EIO], ids=["kill", "disk full", "disk broken"])
def test_a_fault_at_any_system_call_of_publishing_leaves_the_old_file_or_the_new_one(
    base: Path, fault: int
) -> None:
    for path in sorted((base / "images").iterdir())[40:]:
        path.unlink()
    _, file = run(base, manifest_of(base / "images"))
    file.replace(base / "reference.h5")
    report = small_job("fault", base, fault)
    assert not report["bad"], "\n".join(report["bad"])
    assert {"openat", "pwrite64", "fsync", "fallocate"} <= set(report["calls"])
    assert any(name.startswith("rename") for name in report["calls"])


def test_a_full_disk_stops_with_one_line_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs more rights than this user has")
    try:
        write_images(tmp_path / "images", 96)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(560 << 10))
        command = [sys.executable, "-c", _FILL.format(base=str(tmp_path), disk=str(disk))]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(small_jobs.__file__).parent}"}
        full = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert full.returncode == 2
        assert len(full.stderr.splitlines()) == 1
        assert "no space left on the disk" in full.stderr
        assert not [*disk.rglob("*.unfinished"), *disk.rglob("*.tmp")]
        ballast.unlink()
        again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


_FILL = """
from pathlib import Path
from pool5.telling import told_in_one_line
from small_jobs import manifest_of, run
base = Path("{base}")
with told_in_one_line():
    manifest = manifest_of(base / "images")
    run(base, manifest, nodes={{"early": 700}}, cache=Path("{disk}/cache"), out="{disk}/features")
"""


def test_what_was_computed_before_an_error_is_kept(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 40)
    manifest = manifest_of(tmp_path / "images")
    (tmp_path / "images" / "000035.png").write_bytes(b"damaged")
    with pytest.raises(Exception, match=r"000035\.png"):
        run(tmp_path, manifest)
    assert rows_in(tmp_path) == 32
