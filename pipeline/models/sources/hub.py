"""Weights on the Hugging Face hub, and the libraries that bring them: extras, which may be missing."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any

from ...errors import UserError

_FILES = ("model.safetensors", "pytorch_model.bin")


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


def fetched_from_hub(repository: str, file: str | None = None, names: tuple[str, ...] = _FILES) -> HubFile:
    """A file of a repository, from the hub's cache on this machine or else fetched into it.

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
    problem = ""
    for name in names:
        try:
            return _described(repository, Path(hub.hf_hub_download(repository, name)))
        except Exception as error:
            # the hub's client raises its own errors, requests', httpx's, OSError and ValueError
            problem = problem or (str(error).strip().splitlines() or [type(error).__name__])[0]
    folder = Path(hub.constants.HF_HUB_CACHE) / hub.file_download.repo_folder_name(
        repo_id=repository, repo_type="model"
    )
    raise UserError(
        f"weights: {names[0]} of huggingface.co/{repository} cannot be fetched ({problem}); put it into "
        f"{folder}/snapshots/main with the word main in {folder}/refs/main, or into data/models and give "
        "its name there and its sha256"
    )


def _described(repository: str, path: Path) -> HubFile:
    revision = path.parent.name
    return HubFile(path, f"huggingface.co/{repository} at revision {revision}")
