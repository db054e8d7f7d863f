from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from pool5.errors import UserError
from pool5.telling import told_in_one_line


def told(capsys, error: BaseException) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped, told_in_one_line():
        raise error
    return stopped.value.code, capsys.readouterr().err


def test_a_users_mistake_is_one_line_on_stderr_and_exit_code_2(capsys):
    code, text = told(capsys, UserError("params.yaml: tsne.seed: expected `int`,\n got `str`"))
    assert (code, text) == (2, "pool5: params.yaml: tsne.seed: expected `int`, got `str`\n")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "data/x.h5"),
        OSError(
            "Can't write data (file write failed: errno = 28, error message = 'No space left on device')"
        ),
    ],
)
def test_a_full_disk_is_one_line_that_says_nothing_is_lost(capsys, error):
    code, text = told(capsys, error)
    assert code == 2
    assert "no space left on the disk" in text
    assert "run again" in text


@pytest.mark.parametrize("error", [IsADirectoryError, NotADirectoryError, FileExistsError])
def test_a_path_that_cannot_be_is_named(capsys, error):
    code, text = told(capsys, error(errno.EISDIR, "Is a directory", "data/x.h5"))
    assert (code, text) == (2, "pool5: data/x.h5: is a directory; check this path and run again\n")


def test_a_locale_that_cannot_hold_a_name_is_one_line(capsys):
    code, text = told(capsys, UnicodeEncodeError("ascii", "fiéld", 2, 3, "ordinal not in range(128)"))
    assert code == 2
    assert "'fiéld' cannot be written in this locale; set PYTHONUTF8=1" in text


def test_a_user_without_a_name_is_one_line(capsys):
    # in a container that was started for the number of a user; PyTorch asks as it is imported
    code, text = told(capsys, KeyError("getpwuid(): uid not found: 1234"))
    assert code == 2
    assert "set USER and run again" in text


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyError("cat")])
def test_a_defect_of_ours_is_not_hidden(error):
    with pytest.raises(type(error)), told_in_one_line():
        raise error


def test_a_reader_that_stops_reading_is_no_error():
    code = "from pool5.telling import told_in_one_line as t\nwith t():\n  while True: print('x' * 999)"
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.stderr is not None
    assert writer.stderr.read() == b""
    assert writer.wait() == 0
