"""The stage extract@M: `python -m pool5.stages.extract M` stores the layers of model M on both splits."""

from __future__ import annotations

from ..extract.extract_layers import extract_model
from ..params import load_params
from . import run


def main(model: str) -> None:
    """Extract the model of that name in params.yaml."""
    extract_model(model, load_params())


if __name__ == "__main__":
    run(main)
