"""`pool5 compare`: runs beside a baseline, with the differences that are beyond noise."""

from __future__ import annotations

import click

from ..project import Project

_HERE = "."


@click.command()
@click.argument("runs", metavar="RUN…", nargs=-1, required=True)
@click.option(
    "--baseline", metavar="RUN", help="What the others are compared with; by default the first RUN."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every class.")
def compare(runs: tuple[str, ...], baseline: str | None, as_json: bool) -> None:
    """Compare each RUN with a baseline: parameters, AP, retrieval, CKA.

    A RUN is an experiment, branch, tag or commit of this project, a folder of another project, or a folder
    with results alone. A single RUN is compared with the project here as it is. Differences are paired by
    image where both runs have stored the rows of the same images.
    """
    import msgspec

    from ..analysis.runs.comparison import compare_runs
    from ..analysis.runs.tables import run_markdown
    from ..files.json_file import json_text
    from .recorded_runs import opened_runs

    names = list(dict.fromkeys([baseline, *runs] if baseline else runs))
    if len(names) == 1 and not baseline:
        names.insert(0, _HERE)
    with opened_runs(names, Project()) as (first, *others):
        found = compare_runs(first, others)
    print(json_text(msgspec.to_builtins(found)) if as_json else run_markdown(found), end="")
