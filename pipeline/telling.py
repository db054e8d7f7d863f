"""How the faces tell what the library raises and logs: one line on stderr, exit code 2."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator

from .errors import UserError

# what is imported under another name than it is installed by
_MODULE_OF = {"faiss-cpu": "faiss", "faiss-gpu": "faiss", "opentsne": "openTSNE", "scikit-learn": "sklearn"}

_INTERRUPTED = "interrupted; run the same command again to go on from here"


def in_words(error: UserError) -> str:
    """The message and the remedy in one line."""
    line = " ".join(str(error).split())
    if error.rerun is None:
        return line
    return f"{line}; {remedy(error.rerun, error.force)}"


def remedy(stage: str, force: bool = False) -> str:
    """How a stage is run again; by force, it alone, as what it stands on is sound."""
    return f"run `dvc repro {'-sf ' if force else ''}{stage}`"


def stop_at_once(*_: object) -> None:
    """A handler of Ctrl-C for as long as nothing has begun: some imports make another error of it."""
    print(_INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(130)


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what a user can cause into one line on stderr and exit code 2; wraps every command and stage."""
    _log_to_stderr()
    _may_be_interrupted()
    try:
        yield
    except UserError as error:
        _stop(in_words(error))
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # the reader of our output (`| head`) has gone: no error, and nothing left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except ModuleNotFoundError as error:
        extra = _extras().get(error.name or "")
        if extra is None:
            raise
        _stop(f"{error.name} is not installed; run pip install 'pool5[{extra}]'")
    except (KeyError, UnicodeEncodeError, OSError) as error:
        if (line := _about_the_system(error)) is None:
            raise
        _stop(line)


def _extras() -> dict[str, str]:
    """The modules that come with an extra of the package, and the first extra that brings each."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        wanted = requires("pool5") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in wanted:
        if named := re.match(r"([\w-]+).*extra == [\"']([\w-]+)", line):
            name, extra = named[1].lower(), named[2]
            module = _MODULE_OF.get(name, name.replace("-", "_"))
            found.setdefault(module, "pipeline" if extra.startswith("pipeline-") else extra)
    return found


def _about_the_system(error: KeyError | UnicodeEncodeError | OSError) -> str | None:
    """What is wrong with the user's name, the locale, the disk or a path; None where it is none of them."""
    if isinstance(error, KeyError):
        line = "this user has no name on this machine, and PyTorch asks for one; set USER and run again"
        return line if "getpwuid" in str(error) else None
    if isinstance(error, UnicodeEncodeError):
        narrow = error.encoding.startswith(("ascii", "latin", "iso8859", "charmap"))
        line = f"{error.object!r:.80} cannot be written in this locale; set PYTHONUTF8=1 and run again"
        return line if narrow else None
    # h5py raises its own OSError, whose errno is only in the text
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or f"errno = {errno.ENOSPC}" in str(error):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"no space left on the disk{where}; free some and run again: finished work is kept"
    if isinstance(error, PermissionError):
        return f"no permission for {error.filename}; change its owner or mode and run again"
    if error.filename is not None:  # a folder where a file should be, a name that is too long, ...
        return f"{error.filename}: {(error.strerror or str(error)).lower()}; check this path and run again"
    return None


def _may_be_interrupted() -> None:
    """From here on Ctrl-C is an exception, after which what was begun is put in order."""
    if signal.getsignal(signal.SIGINT) is stop_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _log_to_stderr() -> None:
    """Show what the library and the stages log; no prefix, which belongs to the line that ends a run."""
    for name in ("pool5", "__main__"):  # a stage is its process's main module
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(_Stderr())
            logger.setLevel(logging.INFO)
            logger.propagate = False


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


def _stop(line: str) -> None:
    print(f"pool5: {line}", file=sys.stderr)
    raise SystemExit(2) from None
