"""`pool5 init`: a project of one's own, for the images at hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml

from ..errors import UserError
from ..files.atomic import write_text
from ..files.remote import is_remote
from ..params import read_params
from ..project import Project
from .upkeep import files_read, graph_for, shipped

if TYPE_CHECKING:
    from ..datasets.recognize import Recognized

_HEADER = "# Written by `pool5 init`: {}. Keys that are left out have defaults.\n"
_GITIGNORE = """\
/.cache/
/dvc_plots/
/.venv/
/data/
/exports/
/reports/
"""
_DVC_CONFIG = """\
[core]
    analytics = false
    check_update = false
[cache]
    type = "hardlink,reflink,copy"
"""


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--images", help="Their folder or bucket (s3://…), a table of them, COCO's JSON, or a tar shard."
)
@click.option(
    "--update", is_flag=True, help="Only renew dvc.yaml and recipes.yaml, after an upgrade of pool5."
)
def init(folder: Path, images: str | None, update: bool) -> None:
    """Set up a project in DIR for the images at hand.

    Without --images, for the one folder in DIR that holds images; without one, for a small drawn sample.
    A params.yaml that is there stays as it is.
    """
    project = Project(folder)
    if update:
        if not project.params.is_file():
            raise UserError(f"{project.params}: no such file; run `pool5 init` without --update first")
        if not _renew(project):
            click.echo("dvc.yaml and recipes.yaml are the installed ones already")
        return
    if find_spec("dvc") is None:
        raise UserError("dvc is not installed; run pip install 'pool5[pipeline]'")
    if not project.params.exists():  # first: what is refused leaves nothing behind
        text, described = _first_params(folder, images or _only_images(folder))
        folder.mkdir(parents=True, exist_ok=True)
        write_text(project.params, text)
        click.echo(f"{project.params}: for {described}")
    else:
        click.echo(f"{project.params} is there already and stays as it is")
    _renew(project, only_missing=True)
    _write_missing(folder / ".gitignore", _GITIGNORE)
    _start_dvc(folder)
    _write_missing(project.plot_template, shipped("precision_recall.json"))
    where = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"next: {where}dvc repro, then open reports/index.html")


def _first_params(folder: Path, images: str | None) -> tuple[str, str]:
    """The text of a params.yaml, and what it is for."""
    if images is None:
        return shipped("sample.yaml"), "a small sample that the program draws itself; --images names your own"
    from ..datasets.recognize import recognize

    seen = recognize(images)
    preset = shipped("table.yaml" if seen.has_labels else "images.yaml")
    described = " ".join(seen.described.split())
    return (
        f"{_HEADER.format(described)}\n{_dataset_section(seen, folder)}\n{preset[preset.index('models:') :]}",
        described,
    )


def _dataset_section(seen: Recognized, folder: Path) -> str:
    root = seen.root
    if not is_remote(root):
        inside = Path(root).resolve().is_relative_to(folder.resolve())
        root = str(Path(root).resolve().relative_to(folder.resolve()) if inside else Path(root).resolve())
    name = re.sub(r"[^\w.-]+", "-", Path(root).stem).lstrip("-.") or "images"
    section: dict[str, str | dict[str, str]] = {"name": name, "kind": seen.kind, "root": root}
    section |= {"train": seen.train, "test": seen.test}
    section |= {"files": seen.files} if seen.files else {}
    section |= {"columns": seen.columns} if seen.columns else {}
    return yaml.safe_dump({"dataset": section}, sort_keys=False, allow_unicode=True, width=100)


def _only_images(folder: Path) -> str | None:
    from ..datasets.recognize import recognize

    found = []
    ours = {"data", "reports", "exports"}
    inside = folder.iterdir() if folder.is_dir() else ()
    for path in sorted(p for p in inside if p.is_dir() and p.name not in ours and p.name[0] != "."):
        try:
            recognize(path)
        except UserError:
            continue
        found.append(path)
    if len(found) > 1:
        raise UserError(f"{folder}: images in {' and '.join(p.name for p in found)}; name one with --images")
    return str(found[0]) if found else None


def _renew(project: Project, *, only_missing: bool = False) -> bool:
    """Write the installed graph and recipes; gives whether a file changed."""
    changed = False
    params = read_params(project.params)
    graph = graph_for(params.dataset, files_read(params, project))
    for path, new in ((project.graph, graph), (project.recipes, shipped("recipes.yaml"))):
        old = path.read_text(encoding="utf-8") if path.exists() else None
        if old == new or (only_missing and old is not None):
            continue
        write_text(path, new)
        changed = True
        if old is not None:
            click.echo(f"{path}: renewed")
    return changed


def _write_missing(path: Path, text: str) -> None:
    if not path.exists():
        write_text(path, text)


def _start_dvc(folder: Path) -> None:
    """`git init` and `dvc init` where they have not been done; without git, DVC does alone."""
    if (folder / ".dvc").exists():
        return
    kind = ["--no-scm"]
    if shutil.which("git"):
        inside = ["git", "rev-parse", "--show-prefix"]
        prefix = subprocess.run(inside, cwd=folder, capture_output=True, text=True, check=False)
        if prefix.returncode:
            subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        kind = ["--subdir"] if prefix.stdout.strip() else []
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    command = [sys.executable, "-m", "dvc", "init", "--quiet", *kind]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise UserError(f"{folder}: dvc init failed: {done.stderr.strip() or done.stdout.strip()}")
    config = folder / ".dvc/config"
    no_scm = "    no_scm = True\n" if kind == ["--no-scm"] else ""
    write_text(config, _DVC_CONFIG.replace("[cache]\n", f"{no_scm}[cache]\n"))
