"""The package: what the wheel holds, what its base needs, and the names that `import pool5` gives."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import pool5

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"dvc", "faiss", "jinja2", "matplotlib", "openTSNE", "pandas", "pyarrow", "safetensors"}
HEAVY |= {"sklearn", "torch"}


@pytest.fixture(scope="module")
def about() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build from: no leftovers of an old build get in, and the working tree stays as it is."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("pipeline", "presets", "stages"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("the build needs setuptools from a package index, and there is none to reach")
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


def test_every_folder_of_the_library_is_a_listed_package(about: dict) -> None:
    there = {
        "pool5" + "".join(f".{part}" for part in path.parent.relative_to(ROOT / "pipeline").parts)
        for path in (ROOT / "pipeline").rglob("__init__.py")
    }
    assert set(about["tool"]["setuptools"]["packages"]) == there | {"pool5.presets", "pool5.stages"}


def test_the_version_is_that_of_the_changelogs_top(about: dict) -> None:
    assert about["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pool5.__version__"}
    top = next(
        line for line in (ROOT / "docs/changelog.md").read_text().splitlines() if line.startswith("## ")
    )
    assert pool5.__version__.startswith(f"{top.split()[1]}.")


def test_the_wheel_holds_pool5_alone_and_all_that_a_project_starts_from(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name, origin in (("graph.yaml", "dvc.yaml"), ("recipes.yaml", "recipes.yaml")):
            assert archive.read(f"pool5/presets/{name}") == (source / origin).read_bytes()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pool5"}
    wanted = {f"pool5/{path.relative_to(source / 'pipeline')}" for path in (source / "pipeline").rglob("*.*")}
    wanted |= {f"pool5/{path.relative_to(source)}" for path in (source / "stages").glob("*.*")}
    wanted |= {f"pool5/{path.relative_to(source)}" for path in (source / "presets").glob("*.*")}
    assert {name for name in names if ".dist-info/" not in name} == wanted


def test_reading_and_searching_needs_nothing_that_is_an_extra(
    wheel: Path, project: Path, tmp_path: Path
) -> None:
    """In a Python that has the wheel, and in which the extras' modules cannot be imported."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
import numpy as np, pool5
assert pool5.__file__.startswith({str(tmp_path)!r}), pool5.__file__
features = pool5.FeatureFile.open("data/features/net/test.h5")
found = pool5.Searcher(features, "pooled").query("000003", k=2)
assert [near.id for near in found] == ["000007", "000100"], found
pool5.average_precision(np.zeros((3, 2)), np.array([[1, -1], [-1, 1], [1, 1]]), "voc2007")
from pool5.cli import main
file = "data/features/net/test.h5"
for words in ("query 000003 --model net --layer pooled", f"show {{file}}", "check", f"verify {{file}}",
              f"export {{file}} --to npy --out {tmp_path}/out"):
    sys.argv = ["pool5", *words.split()]
    try:
        main()
    except SystemExit as done:
        assert not done.code or words == "check", words  # which misses the images that are not there
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_told_in_one_line(project: Path) -> None:
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "faiss":
            raise ModuleNotFoundError("No module named 'faiss'", name=name)
sys.meta_path.insert(0, Refuse())
from pool5.cli import main
sys.argv = "pool5 query 000003 --model net --layer pooled --approximate".split()
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "pool5: faiss is not installed; run pip install 'pool5[pipeline]'\n",
    )


def test_a_module_that_is_missing_by_our_own_fault_is_not_hidden() -> None:
    from pool5.telling import told_in_one_line

    with pytest.raises(ModuleNotFoundError), told_in_one_line():
        raise ModuleNotFoundError("No module named 'pool5.nothing'", name="pool5.nothing")


def test_the_base_names_no_package_of_an_extra(about: dict) -> None:
    base, extras = about["project"]["dependencies"], about["project"]["optional-dependencies"]
    assert not set(base) & {name for names in extras.values() for name in names}
    pipelines = {"pipeline", "pipeline-cpu", "pipeline-without-faiss"}
    assert set(extras) == {
        *pipelines,
        "timm",
        "open-clip",
        "s3",
        "gs",
        "heif",
        "maps",
        "maps-cpu",
        "ray",
        "lance",
        "mcp",
        "serve",
        "dev",
    }


def test_without_a_gpu_the_same_packages_are_asked_for_but_faiss(about: dict) -> None:
    extras = about["project"]["optional-dependencies"]
    shared = "pool5[pipeline-without-faiss]"
    assert extras["pipeline-cpu"] == [shared, "faiss-cpu"]
    gpu, cpu = extras["pipeline"][1:]
    for machine, system, wanted in (
        ("x86_64", "linux", "gpu"),
        ("aarch64", "linux", "cpu"),
        ("arm64", "darwin", "cpu"),
    ):
        here = {"platform_machine": machine, "sys_platform": system}
        chosen = [r.name for r in map(Requirement, (gpu, cpu)) if r.marker and r.marker.evaluate(here)]
        assert chosen == [f"faiss-{wanted}"]


def test_the_locks_pin_every_package_with_hashes(about: dict) -> None:
    users, tools = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
    extras = about["project"]["optional-dependencies"]
    pipeline = extras["pipeline"][1:] + extras["pipeline-without-faiss"]
    for text, wanted in ((users, about["project"]["dependencies"] + pipeline), (tools, extras["dev"])):
        pinned = [part for part in text.split("\n") if "==" in part and not part.startswith(" ")]
        names = {Requirement(wish).name.lower() for wish in wanted}
        assert names <= {line.split("==")[0].lower() for line in pinned}
        assert text.count(" \\\n    --hash=sha256:") >= len(pinned)
    assert "pytest==" not in users


def test_the_names_at_the_door_are_those_inside() -> None:
    from pool5.store.feature_file import FeatureFile

    assert pool5.FeatureFile is FeatureFile
    assert set(pool5.__all__) <= set(dir(pool5))
    for name in pool5.__all__:
        assert getattr(pool5, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'FeatureFiel'"):
        _ = pool5.FeatureFiel
    perfect = pool5.average_precision(np.array([[2.0], [1.0]]), np.array([[1], [-1]]), "area")
    np.testing.assert_allclose(perfect, [1.0])


def test_importing_pool5_imports_nothing_else() -> None:
    code = "import sys, pool5; sys.exit('numpy' in sys.modules or 'pool5.store' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
