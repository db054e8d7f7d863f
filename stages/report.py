"""The stage report: reports/index.html and reports/map.parquet, from the files of the other stages."""

from __future__ import annotations

from ..params import load_params
from ..report.page import write_report
from . import run


def main() -> None:
    """Write the page."""
    write_report(load_params())


if __name__ == "__main__":
    run(main)
