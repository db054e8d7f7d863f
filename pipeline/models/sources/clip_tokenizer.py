"""The tokenizers of open_clip's text towers, with a digest of what decides their tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...errors import UserError
from .hub import needed
from .source import Tokenizer


def clip_tokenizer(text_cfg: Mapping[str, Any]) -> Tokenizer:
    """As `open_clip.get_tokenizer` has it for a configuration's `text_cfg`.

    One of the hub's is taken from its cache (HF_HOME), or else fetched into it.

    Raises
    ------
    UserError
        If it is not at hand and cannot be fetched; says which files to put where.
    """
    module = needed("open_clip.tokenizer", "open-clip")
    context = text_cfg.get("context_length", module.DEFAULT_CONTEXT_LENGTH)
    settings = dict(text_cfg.get("tokenizer_kwargs") or {})
    if name := text_cfg.get("hf_tokenizer_name"):
        needed("transformers", "open-clip")
        settings["tokenizer_mode"] = text_cfg.get("tokenizer_mode")
        found = _from_hub(module.HFTokenizer, name, context, settings)
        vocabulary = _serialized(found.tokenizer)
    else:
        found = module.SimpleTokenizer(context_length=context, **settings)
        vocabulary = Path(module.default_bpe()).read_bytes()
    about = {
        "tokenizer": type(found).__name__,
        "tokenizer_sha256": hashlib.sha256(vocabulary).hexdigest(),
        "tokenizer_settings": settings,
        "context_length": context,
    }

    def encode(texts: Sequence[str], further: int = 0) -> torch.Tensor:
        tokens: torch.Tensor = found(list(texts), context + further)
        return tokens

    return Tokenizer(encode, about)


def _from_hub(kind: Any, name: str, context: int, settings: Mapping[str, Any]) -> Any:
    try:
        return kind(name, context_length=context, local_files_only=True, **settings)
    except (OSError, ValueError):  # not in the cache, or not all of it
        pass
    try:
        return kind(name, context_length=context, **settings)
    except Exception as error:  # the hub's client raises its own errors, requests' and httpx's
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hub = needed("huggingface_hub", "open-clip")
        folder = Path(hub.constants.HF_HUB_CACHE) / hub.file_download.repo_folder_name(
            repo_id=name, repo_type="model"
        )
        raise UserError(
            f"tokenizer: that of huggingface.co/{name} cannot be fetched ({problem}); put its "
            f"tokenizer.json, tokenizer_config.json and config.json into {folder}/snapshots/main with the "
            f"word main in {folder}/refs/main"
        ) from None


def _serialized(tokenizer: Any) -> bytes:
    """All that a tokenizer of transformers knows, before padding and truncation are set."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        text: str = backend.to_str()
        return text.encode()
    return json.dumps([type(tokenizer).__name__, tokenizer.get_vocab()], sort_keys=True).encode()
