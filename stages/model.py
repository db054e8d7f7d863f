"""The stage model@M: the weights of model M in data/models/M, trained where the recipe says so."""

from __future__ import annotations

from ..files.json_file import write_json
from ..params import load_params
from ..project import Project
from ..results.record import save_record
from ..training.make_model import make_model
from . import run


def main(name: str) -> None:
    project = Project()
    result = make_model(name, load_params(project.params), project)
    save_record(result, project.result(f"training/{name}"))
    write_json(project.metrics(f"training/{name}"), result.metrics())


if __name__ == "__main__":
    run(main)
