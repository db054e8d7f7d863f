"""Weights on the Hugging Face hub, and the libraries that bring them: extras, which may be missing."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError

_FILES = ("model.safetensors", "pytorch_model.bin")
_TIMEOUT = 10  # seconds that the hub has to say whether a file is there


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of the hub on this machine; `origin` names its repository and revision."""

    path: Path
    origin: str


def needed(module: str, extra: str) -> Any:
    """A module of one of pool5's extras.

    Raises
    ------
    UserError
        If it is not installed; names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UserError(f"{module} is not installed; run pip install 'pool5[{extra}]'") from None


def fetched_from_hub(repository: str, file: str | None = None, names: Sequence[str] = _FILES) -> HubFile:
    """A file of a repository, from the hub's cache on this machine or else fetched into it.

    The cache is the hub's own, which other programs share; HF_HOME says where it is, HF_TOKEN who asks.

    Parameters
    ----------
    file : str, optional
        Its name there; by default the first of `names` that there is.

    Raises
    ------
    UserError
        If it is not at hand and cannot be fetched; says where to put it.
    """
    hub = needed("huggingface_hub", "timm")
    names = (file,) if file else names
    for name in names:
        if isinstance(found := hub.try_to_load_from_cache(repository, name), str):
            return _described(repository, Path(found))
    try:
        with _silence():
            name = _first_there(repository, names)
            return _described(repository, Path(hub.hf_hub_download(repository, name)))
    except Exception as error:
        # the hub's client raises its own errors, its HTTP library's, OSError and ValueError
        problem = _what_is_wrong(error)
    folder = Path(hub.constants.HF_HUB_CACHE) / hub.file_download.repo_folder_name(
        repo_id=repository, repo_type="model"
    )
    raise UserError(
        f"weights: {names[0]} of huggingface.co/{repository} cannot be fetched ({problem}); put it into "
        f"{folder}/snapshots/main with the word main in {folder}/refs/main, or into data/models and give "
        "its name there and its sha256"
    )


def _described(repository: str, path: Path) -> HubFile:
    return HubFile(path, f"huggingface.co/{repository} at revision {path.parent.name}")


def _first_there(repository: str, names: Sequence[str]) -> str:
    """The first file that the hub has; asked for once, where a download tries for most of a minute."""
    import huggingface_hub as hub

    for name in names:
        try:
            hub.get_hf_file_metadata(hub.hf_hub_url(repository, name), timeout=_TIMEOUT)
        except hub.errors.EntryNotFoundError:
            continue
        return name
    raise FileNotFoundError(f"there is no {' or '.join(names)}")


def _what_is_wrong(error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "its licence must be accepted on that page first, and HF_TOKEN set"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it wants a token: set HF_TOKEN"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The client logs every attempt; what is wrong is told once, in a line."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
