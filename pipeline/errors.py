"""What a user can cause, and how it is told: one line on stderr, exit code 2."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator


class UserError(Exception):
    """Something a user can mend.

    The message is one line: it names the thing (key, file, id), says what was found and what to do.
    """


def _disk_is_full(error: BaseException) -> bool:
    # h5py raises its own OSError, whose errno is only in the text
    return isinstance(error, OSError) and (
        error.errno in (errno.ENOSPC, errno.EDQUOT) or f"errno = {errno.ENOSPC}" in str(error)
    )


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and exit code 2.

    Wraps the body of every command and every stage, and nothing below them.
    """
    try:
        yield
    except UserError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # the reader of our output (`| head`) has gone: no error, and nothing left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if _disk_is_full(error):
            where = f" while writing {error.filename}" if error.filename else ""
            _stop(f"no space left on the disk{where}; free some and run again: finished work is kept")
        if isinstance(error, PermissionError):
            _stop(f"no permission for {error.filename}; change its owner or mode and run again")
        if error.filename is not None:  # a folder where a file should be, a name that is too long, ...
            _stop(
                f"{error.filename}: {(error.strerror or str(error)).lower()}; check this path and run again"
            )
        raise


def _stop(line: str) -> None:
    print(f"pool5: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(2) from None
