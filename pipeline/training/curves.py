"""The curves of a training, for `dvc plots`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files.atomic import write_text
from ..files.csv_file import csv_text
from ..results.training import Epoch


def write_curves(folder: Path, history: Sequence[Epoch]) -> None:
    """Write loss, learning rate and validation mAP by epoch, a table each, where DVCLive would put them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in Epoch.__struct_fields__:
        rows = [(epoch, getattr(metrics, name)) for epoch, metrics in enumerate(history)]
        if any(value is not None for _, value in rows):
            text = csv_text(["step", name], rows, delimiter="\t")
            write_text(folder / "plots" / "metrics" / f"{name}.tsv", text)
