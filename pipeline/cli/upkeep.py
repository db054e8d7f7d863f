"""What a project has from the program: its graph, its recipes, and whether these are the installed ones."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import yaml

from ..errors import UserError
from ..params import Dataset, Params
from ..project import Project

# lines of the graph, and what they are for images that are listed
_ALWAYS = (
    "    deps: [data/params/images.json]\n",
    "    deps: [data/params/images.json]\n    always_changed: true  # it lists the images again\n",
)
_PARAMS = "deps: [params.yaml, recipes.yaml"
_BY_LISTING = 'deps: ["${dataset.root}", "data/raw/', 'deps: ["data/raw/'


def shipped(name: str) -> str:
    """A file of presets/: `graph.yaml` is the project's dvc.yaml."""
    return (files("pool5.presets") / name).read_text(encoding="utf-8")


def graph_for(dataset: Dataset, read: Iterable[str] = ()) -> str:
    """The dvc.yaml for a data set: where its images are listed, DVC watches the list and not its root.

    `read` are the project's own files that params.yaml names: architectures, lists and points.
    """
    graph = shipped("graph.yaml")
    if dataset.is_listed:
        graph = graph.replace(*_ALWAYS).replace(*_BY_LISTING)
    named = "".join(f", {json.dumps(file, ensure_ascii=False)}" for file in dict.fromkeys(read))
    return graph.replace(_PARAMS, f"{_PARAMS}{named}")


def check_recipes(project: Project) -> None:
    """Refuse a project that another version of the program was set up for.

    Its dvc.lock would call outputs up to date that this program makes in another way.

    Raises
    ------
    UserError
        If recipes.yaml is not the installed one.
    """
    path = project.recipes
    if path.is_file() and path.read_text(encoding="utf-8") != shipped("recipes.yaml"):
        raise UserError(
            f"{path}: of another version of pool5 than the installed one; run `pool5 init --update`"
        )


def unnoticed_files(params: Params, project: Project) -> Iterator[str]:
    """What a stage reads and whose changes DVC would not notice: architectures, lists, points, images."""
    if not project.graph.is_file():
        return
    stages = yaml.safe_load(project.graph.read_bytes())["stages"]
    dataset, watched = params.dataset, "${dataset.root}" in stages["dataset"]["deps"]
    told = f"dataset.root: {dataset.root}: changed images would not be noticed, as {project.graph} is"
    if dataset.is_listed and (watched or "always_changed" not in stages["images"]):
        yield (f"{told} not that of listed images; run `pool5 init --update`")
    if not dataset.is_listed and not watched:
        yield (f"{told} that of listed images; set dataset.listing: true, or run `pool5 init --update`")
    for file, key in files_read(params, project).items():
        yield from _unnoticed(key, file, project, stages["params"]["deps"])


def files_read(params: Params, project: Project) -> dict[str, str]:
    """{file of the project: the key that names it} of architectures, lists and points that are there."""
    read = {model.file: f"models.{name}.architecture" for name, model in params.models.items()}
    read |= dict.fromkeys(params.dataset.list_files, "dataset.lists and exclude")
    read |= {file: f"maps.points.{name}" for name, file in params.maps.points.items()}
    return {file: key for file, key in read.items() if file and _is_of(project, file)}


def _unnoticed(key: str, file: str, project: Project, noticed: Collection[str]) -> Iterator[str]:
    made = (project.manifests.parent, project.reports)
    if any((project.root / file).is_relative_to(folder) for folder in made):
        yield f"{key}: {file} is made by the pipeline, which reads it first; copy it elsewhere"
    elif file not in noticed:
        yield (
            f"{key}: add {file} to the deps of the stage params in {project.graph}, so that a change of it "
            "is noticed; `pool5 init --update` does"
        )


def _is_of(project: Project, file: str) -> bool:
    """Whether it is there and in the project; else what reads it refuses it."""
    return Path(file).parts[:1] not in ((), ("..",), ("/",)) and (project.root / file).is_file()


def unwritten_files(project: Project) -> Iterator[str]:
    """What DVC was stopped in the middle of writing, and now stops at."""
    for path in (project.root / "dvc.lock", project.root / ".dvc/tmp/rwlock"):
        if path.is_file() and not path.stat().st_size:
            yield f"{path}: empty, as DVC was stopped while it wrote it; remove it: what is computed is kept"


def writer_of(project: Project, path: Path) -> str | None:
    """The stage that writes the feature file at `path`, there or not; None if it is none of the project."""
    path = path.resolve()
    named = {
        "extract": project.features(path.parent.name, path.stem),
        "derive": project.derived(path.parent.name, path.stem),
    }
    return next((stage for stage, own in named.items() if path == own.resolve()), None)
