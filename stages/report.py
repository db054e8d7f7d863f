"""The stage report: one page and one parquet file, from the records and figures of the other stages."""

from __future__ import annotations

from ..params import load_params
from ..project import Project
from ..report.page import write_report
from . import run


def main() -> None:
    project = Project()
    write_report(load_params(project.params), project)


if __name__ == "__main__":
    run(main)
