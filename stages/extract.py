"""The stage extract@M: the layers of model M on both splits."""

from __future__ import annotations

from ..extract.extract_layers import extract_model
from ..params import load_params
from ..project import Project
from . import run


def main(model: str) -> None:
    project = Project()
    extract_model(model, load_params(project.params), project)


if __name__ == "__main__":
    run(main)
