"""A CLIP of a configuration that is small enough for tests, and its weights in the hub's cache."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import nn

CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SIGLIP = CONFIG | {"custom_text": True, "init_logit_bias": -10}
COCA = copy.deepcopy(CONFIG) | {
    "custom_text": True,
    "multimodal_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
COCA["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 4, "output_tokens": True}
COCA["text_cfg"] |= {"embed_cls": True, "output_tokens": True}


def put_config(folder: Path, config: dict[str, Any] = CONFIG, name: str = "small.json") -> str:
    """Write a configuration into a project; gives its architecture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(config))
    return f"open_clip/{name}"


def by_open_clip(
    monkeypatch: Any, config: dict[str, Any], weights: Path | None = None, **options: Any
) -> nn.Module:
    """The network as open_clip's own factory makes it, in eval mode."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", config)
    path = None if weights is None else str(weights)
    network: nn.Module = open_clip.create_model("small", path, pretrained_text=False, **options)
    return network.eval()


def put_into_hub(hub: Path, repository: str, name: str, state: dict[str, torch.Tensor]) -> Path:
    """A file in the hub's cache layout."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    path = folder / "snapshots" / "abc123" / name
    path.parent.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    if name.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def put_tokenizer(hub: Path, repository: str, words: str) -> Path:
    """A tokenizer that knows some words, and the configuration of a text tower of one layer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    cuts = Tokenizer(models.WordLevel(unk_token="<unk>"))
    cuts.pre_tokenizer = pre_tokenizers.Whitespace()
    cuts.train_from_iterator([words], trainers.WordLevelTrainer(special_tokens=["<pad>", "<unk>"]))
    folder = hub / f"models--{repository.replace('/', '--')}"
    files = folder / "snapshots" / "main"
    PreTrainedTokenizerFast(tokenizer_object=cuts, pad_token="<pad>", unk_token="<unk>").save_pretrained(
        files
    )
    tower = {"model_type": "roberta", "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 1}
    sizes = {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 20}
    (files / "config.json").write_text(json.dumps(tower | sizes | {"pad_token_id": 0}))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("main")
    return files
