from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from pool5.files import locks


def test_a_lock_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    first = locks.take_lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        locks.take_lock(tmp_path / "lock", wait=False)
    first.close()
    with locks.locked(tmp_path / "lock") as second:
        assert second.is_real


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_once_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(answer, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(locks, "_told", set())
    for _ in range(2):
        with locks.locked(tmp_path / "lock") as lock:
            assert not lock.is_real
    assert caplog.text.count("has no locks") == 1
