"""Networks of the user's own: a function of a Python file in the project."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import nn

from ...errors import UserError
from ...files.hints import did_you_mean
from .source import ModelSource

_SPELLING = re.compile(r"([^:]+\.py):(\w+)")
_MODULE = "pool5_own_"  # and the beginning of the file's hash


class OwnSource(ModelSource):
    """As `ModelSource` says; a name is `<file>.py:<function>`, the file given from the project's folder.

    The function gives an `nn.Module`. It is called with `models.<name>.arguments`, and with `num_outputs` and
    `crop` (side of the images in pixels) if it has parameters of these names. The file's sha256 is among the
    options; it may import what is installed, but no other file of the project, whose changes nobody would
    see.
    """

    name: ClassVar[str] = "network of one's own"

    def spells(self, architecture: str) -> bool:
        """As a file and a function."""
        return _SPELLING.fullmatch(architecture) is not None

    def architectures(self) -> tuple[str, ...]:
        """Nobody knows."""
        return ()

    def check(self, architecture: str) -> None:
        """The file must be there, in the project, and have the function."""
        self._function(architecture)

    def files(self, architecture: str) -> tuple[str, ...]:
        """The one."""
        return (architecture.rpartition(":")[0],)

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """As the function does."""
        function = self._function(architecture)
        built_from, now = options.pop("file_sha256", None), self.options(architecture)["file_sha256"]
        if built_from not in (None, now):
            file = self.files(architecture)[0]
            raise UserError(f"{file} has changed since the model was made from it", rerun="model")
        told = {"num_outputs": num_outputs, "crop": crop}
        taken = {name: told[name] for name in told.keys() & inspect.signature(function).parameters}
        path = self._path(architecture)
        with _told_in_a_line(architecture, path), _of_one_file(path, self.root), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*non-meta parameter")  # which it loads itself
            network = function(**taken | options)
        if not isinstance(network, nn.Module):
            raise UserError(f"architecture {architecture}: gave a {type(network).__name__}, not an nn.Module")
        for head in self.heads(architecture, network):
            if (width := len(network.get_parameter(f"{head}.weight"))) != num_outputs:
                raise UserError(
                    f"architecture {architecture}: {head}, its last linear or convolution layer, gives "
                    f"{width} values, not num_outputs = {num_outputs}; make the classifier last"
                )
        return network.train()

    def heads(self, architecture: str, network: nn.Module) -> tuple[str, ...]:
        """The last linear or convolution layer, where the function takes `num_outputs`."""
        takes = "num_outputs" in inspect.signature(self._function(architecture)).parameters
        return super().heads(architecture, network) if takes else ()

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, Any]:
        """The sha256 of the file."""
        return {"file_sha256": hashlib.sha256(self._source(architecture)).hexdigest()}

    def _path(self, architecture: str) -> Path:
        file = self.files(architecture)[0]
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise UserError(f"architecture {architecture}: give the file from the project's folder")
        return self.root / file

    def _source(self, architecture: str) -> bytes:
        path = self._path(architecture)
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(
                f"architecture {architecture}: {path} cannot be read ({error.strerror})"
            ) from None

    def _function(self, architecture: str) -> Callable[..., object]:
        path, wanted = self._path(architecture), architecture.rpartition(":")[2]
        source = self._source(architecture)
        with _told_in_a_line(architecture, path):
            module = _loaded(path.resolve(), self.root, source)
        functions = {n: f for n, f in vars(module).items() if callable(f) and not n.startswith("_")}
        if wanted not in functions:
            hint = did_you_mean(wanted, functions)
            raise UserError(f"architecture {architecture}: {path} has no function {wanted}{hint}")
        function: Callable[..., object] = functions[wanted]
        return function


@functools.lru_cache(maxsize=16)
def _loaded(path: Path, root: Path, source: bytes) -> ModuleType:
    """The file run as a module of its own; once, so on the CPU, and from the same generator every time."""
    name = f"{_MODULE}{hashlib.sha256(source).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(name, None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module  # where a dataclass looks its annotations up
    with _of_one_file(path, root), torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        exec(compile(source, path, "exec"), vars(module))
    return module


@contextlib.contextmanager
def _of_one_file(path: Path, root: Path) -> Iterator[None]:
    """Refuse what is imported from the project meanwhile."""
    installed = sys.stdlib_module_names | {__name__.partition(".")[0]}  # their folders may be in the project
    there, files, root = set(sys.modules), [], root.resolve()
    try:
        yield
    finally:
        for name in sys.modules.keys() - there:
            file = Path(getattr(sys.modules[name], "__file__", None) or "/").resolve()
            its_own = "site-packages" not in file.parts and name.partition(".")[0] not in installed
            if file.is_relative_to(root) and its_own:
                del sys.modules[name]  # so that it is refused the next time too
                files.append(file)
    for file in files:
        raise UserError(
            f"{path.name} imports {file}, whose changes would not be noticed; write it in {path.name}"
        )


@contextlib.contextmanager
def _told_in_a_line(architecture: str, path: Path) -> Iterator[None]:
    """An error in the user's file as one line, with the place in that file."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if torch.get_default_device().type == "meta":  # it is built once more, with weights
            raise NotImplementedError(str(error)) from error
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path.resolve())]
        where = f" (line {frames[-1].lineno})" if frames else ""
        told = " ".join(str(error).split())
        raise UserError(f"architecture {architecture}: {type(error).__name__}: {told}{where}") from None
