"""Every block of Python in the README runs, in a small finished project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.S | re.M)
# what the README calls it, and what it is called in the small project
NAMES = {
    "resnet18-finetuned": "net",
    "caffenet": "net",
    "train_000017": "900017",
    "test_000017": "000017",
    "cat.jpg": "data/raw/toy/000050.png",
    "pool5.faiss": "pooled.faiss",
    "layers/pool5": "layers/pooled",
    "net/pool5": "net/pooled",
    "net/fc7": "net/pooled",
    '"pool5"': '"pooled"',
    '"fc7"': '"pooled"',
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_a_block_of_the_readme_runs(block: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, here in NAMES.items():
        block = block.replace(name, here)
    monkeypatch.chdir(project)
    exec(compile(block, str(README), "exec"), {})


def test_the_readme_has_python() -> None:
    assert BLOCKS
