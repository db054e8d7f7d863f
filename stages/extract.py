"""The stage extract@M: `python -m stages.extract M` stores the layers of model M on both splits."""

from __future__ import annotations

from pipeline.extract.extract_layers import extract_model
from pipeline.params import load_params
from stages import run


def main(model: str) -> None:
    """Extract the model of that name in params.yaml."""
    extract_model(model, load_params())


if __name__ == "__main__":
    run(main)
