"""What a user may rely on is written down: keys, commands, files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pool5.cli import _MODULE_OF
from pool5.datasets.kinds import KINDS
from pool5.params import sections
from pool5.project import Project

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
SECTIONS = {
    kind.__name__.lower(): kind
    for kind in vars(sections).values()
    if isinstance(kind, type) and issubclass(kind, sections._Section) and not kind.__name__.startswith("_")
}
_NAMED = {"model": "models", "derived": "derive", "labelissues": "label_issues"}
IN_PROSE = ("params", "sample", "layer")
TITLES = {name: _NAMED.get(name, name) for name in SECTIONS if name not in IN_PROSE}


def section(title: str) -> str:
    found = re.search(rf"^(#+) {title}\n(.*?)(?=^#+ |\Z)", PAGES["params.md"], re.MULTILINE | re.DOTALL)
    assert found, f"docs/params.md has no heading {title}"
    return found[2]


@pytest.mark.parametrize("name", TITLES)
def test_every_key_of_params_is_documented(name):
    first_cells = re.findall(r"^\| (.*?) \|", section(TITLES[name]), re.MULTILINE)
    documented = set(re.findall(r"`([^`]+)`", " ".join(first_cells)))
    keys = {field.name for field in msgspec.structs.fields(SECTIONS[name])}
    assert keys - documented == set(), "keys that docs/params.md does not have"
    assert documented - keys == set(), "keys that there are not"


def test_every_section_and_kind_of_data_set_is_documented():
    for field in msgspec.structs.fields(sections.Params):
        assert section(field.name)
    assert [kind for kind in KINDS if f"`{kind}`" not in section("dataset")] == []
    sample = [field.name for field in msgspec.structs.fields(sections.Sample)]
    assert [key for key in sample if f"{key}:" not in section("dataset")] == []


@pytest.mark.parametrize("command", sorted(_MODULE_OF))
def test_every_command_is_in_the_readme(command):
    assert re.search(rf"\bpool5 {command}\b", PAGES["README.md"])


def names_of_files() -> Iterator[str]:
    """Where the parts of a project lie, as far as the name is the same in every project."""
    project = Project()
    for name in dir(Project):
        if name.startswith("_") or name in (
            "root",
            "images",
            "row_cache",
            "row_caches",
            "set_aside",
            "outputs_of",
            "has_features",
        ):
            continue
        path = getattr(project, name)
        if callable(path):
            path = path(*["X"] * len(inspect.signature(path).parameters))
        yield str(path).partition("X")[0].rstrip("/")


@pytest.mark.parametrize("place", sorted(set(names_of_files())))
def test_every_place_of_a_project_is_documented(place):
    assert any(place in text for text in PAGES.values())


def test_no_page_links_to_a_file_that_is_not_there():
    broken = []
    for name, text in PAGES.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        broken += [f"{name}: {target}" for target in targets if not (folder / target).exists()]
    assert broken == []


def test_no_page_names_a_file_of_the_program_that_is_not_there():
    named = {
        (name, path)
        for name, text in PAGES.items()
        for path in re.findall(r"`((?:pipeline|stages|tests|presets|benchmarks)/[\w./-]+)`", text)
    }
    assert [each for each in sorted(named) if not (ROOT / each[1]).exists()] == []
