"""How the code is kept: small functions, few lines, one place that knows each thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
LIBRARY = sorted([*PIPELINE.rglob("*.py"), *(ROOT / "stages").rglob("*.py")])
MOST_LINES = 48_900
LONGEST_FUNCTION = 60
# who speaks to the user: the rest of the library logs, and says by `UserError.rerun` what must run again
FACES = (PIPELINE / "cli", PIPELINE / "serve", PIPELINE / "telling.py", ROOT / "stages")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """The literal strings of a file with their lines, docstrings left out."""
    tree = parsed(path)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def of_the_library() -> list[Path]:
    return [path for path in LIBRARY if not any(path.is_relative_to(face) for face in FACES)]


def test_the_library_stays_small():
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in LIBRARY)
    assert lines < MOST_LINES


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{named(path)}: {node.name}": node.end_lineno - node.lineno + 1
        for path in LIBRARY
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert long == {}


def test_only_project_knows_where_files_lie():
    literal = re.compile(r"(\.?/)?(data|reports|\.cache|exports)/.*")
    places = [
        f"{named(path)}:{line}: {text}"
        for path in LIBRARY
        if path != PIPELINE / "project.py"
        for line, text in texts_of(path)
        if literal.fullmatch(text) and text != ".cache/features"  # the default of a key of params.yaml
    ]
    assert places == []


def test_the_library_does_not_print():
    printing = [
        f"{named(path)}:{node.lineno}"
        for path in of_the_library()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_only_the_faces_name_a_command_of_dvc():
    named_there = [
        f"{named(path)}:{line}"
        for path in of_the_library()
        for line, text in texts_of(path)
        if "dvc repro" in text
    ]
    assert named_there == []


def test_the_page_parses_no_table_that_was_written_for_people():
    readers = [
        named(path)
        for path in (PIPELINE / "report").rglob("*.py")
        if re.search(r"\bcsv\.(reader|DictReader)|^import csv|read_csv", path.read_text(), re.MULTILINE)
    ]
    assert readers == []


def test_neighbor_has_one_spelling():
    folders = ["pipeline", "stages", "tests", "benchmarks", "docs", "presets"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix != ".png"]
    files = [path for path in files if ".venv" not in path.parts]  # the peers' own spelling
    files += [
        ROOT / name for name in ("README.md", "dvc.yaml", "params.yaml", "recipes.yaml", "pyproject.toml")
    ]
    other = "neigh" + "bour"
    there = [
        named(path)
        for path in files
        if path.is_file()
        and path.suffix in {".py", ".md", ".j2", ".js", ".css", ".yaml", ".toml"}
        and other in path.read_text(encoding="utf-8").lower()
    ]
    assert there == []


def test_the_graph_names_no_code():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    deps = [str(dep) for stage in graph["stages"].values() for dep in stage.get("do", stage).get("deps", [])]
    assert deps
    assert [
        dep for dep in deps if dep.endswith(".py") or dep.startswith(("pipeline", "stages", "pool5"))
    ] == []


def test_every_stage_has_a_recipe_version_and_depends_on_it():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    recipes = yaml.safe_load((ROOT / "recipes.yaml").read_text())
    assert set(graph) - {"params"} == set(recipes)
    for name in recipes:
        deps = graph[name].get("do", graph[name])["deps"]
        assert {f"data/params/{name}.json", f"data/params/{name}/${{key}}.json"} & set(deps), name


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda p: p.name
)
def test_params_hold_no_yaml_anchors(path):
    # DVC writes the file again for `dvc exp run -S`, and makes one object of what an anchor shares
    events = yaml.parse(path.read_text(encoding="utf-8"))
    assert [event.start_mark.line for event in events if getattr(event, "anchor", None)] == []
