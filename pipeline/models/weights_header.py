"""What the head of a model's weights file tells of them; reads no weight and knows no torch."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import UserError
from .card import WEIGHTS_FILE

# what batch normalisation keeps of its batches: stored beside the parameters, learned by no gradient
_STATISTICS = ("running_mean", "running_var")


def count_parameters(model_dir: Path | str) -> int | None:
    """The parameters of a model's network, buffers left out; None where its folder has no weights.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(model_dir) / WEIGHTS_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            counted = (
                int(math.prod(array.get_shape()))
                for name, array in arrays.items()
                if "F" in array.get_dtype() and not name.endswith(_STATISTICS)
            )
            return sum(counted)
    except SafetensorError as error:
        problem = f"{path}: not a safetensors file ({error})"
        raise UserError(problem, rerun=f"model@{path.parent.name}", force=True) from None
