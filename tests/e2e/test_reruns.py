"""`dvc repro`: the whole line, and exactly what a change runs again."""

from __future__ import annotations

import json

import pytest
import yaml
from audited import stages_of
from project import ROOT, Project, small_params

pytestmark = pytest.mark.slow

LAYERS = small_params()["models"]["caffenet"]["layers"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project.copy_to(tmp_path_factory.mktemp("clone"), small_params())
    done = project.repro()
    assert done.code == 0, done.err
    project.commit("run")
    return project


@pytest.fixture(autouse=True)
def _params_are_put_back(project):
    before = project.params
    yield
    if project.params != before:
        project.write_params(before)
        project.repro("params")


def stale(project: Project) -> set[str]:
    """The stages that `dvc repro` would run, their own deps or params being changed."""
    done = project.run("dvc", "status", "--json")
    assert done.code == 0, done.err
    return set(json.loads(done.out))


def test_every_file_of_the_contract_is_there(project):
    params = project.params
    splits, indexed, mapped = ("trainval", "test"), params["index"]["of"], params["tsne"]["of"]
    expected = [
        *(f"data/features/{model}/{split}.h5" for model in params["models"] for split in splits),
        *(f"data/neighbors/{layer}.h5" for layer in params["neighbors"]["of"]),
        *(f"data/indexes/{layer}{suffix}" for layer in indexed for suffix in (".faiss", ".json")),
        *(f"reports/tsne/{layer}/map{suffix}" for layer in mapped for suffix in (".png", ".svg", ".csv")),
        "data/probes/frozen.h5",
        "data/probes/frozen.safetensors",
        "reports/neighbors/sheet.png",
        "reports/neighbors/sheet.svg",
        "reports/neighbors/neighbors.csv",
        "reports/ap/ap.csv",
        "reports/ap/ap.png",
        "reports/ap/ap.svg",
        "reports/metrics/ap.json",
        "reports/index.html",
    ]
    assert [name for name in expected if not (project.folder / name).is_file()] == []


def test_nothing_changed_runs_nothing(project):
    assert project.repro().stages == []


def test_a_project_needs_no_code_of_its_own_and_a_changed_comment_runs_nothing(project):
    graph = (project.folder / "dvc.yaml").read_text()
    assert not any((project.folder / name).exists() for name in ("pipeline", "stages"))
    assert ".py" not in graph.replace("python", "")
    assert stale(project) == set()


def test_how_the_work_is_done_runs_only_the_stage_that_reads_params(project):
    project.set(
        extract__device="auto", extract__workers=1, extract__batch_size=5, extract__cache=".cache/other"
    )
    assert project.repro().stages == ["params"]
    assert stale(project) == set()


@pytest.mark.long
def test_a_second_machine_of_the_kind_gets_the_same_bytes(project, tmp_path):
    other = project.clone_to(tmp_path / "clone")
    done = other.repro("--no-run-cache")
    assert done.code == 0, done.err
    assert (other.folder / "dvc.lock").read_text() == (project.folder / "dvc.lock").read_text()
    assert other.run("git", "status", "--porcelain").out == ""


@pytest.mark.parametrize(
    ("changed", "rerun"),
    [
        ({"tsne__perplexity": 5}, {"tsne", "report"}),
        ({"neighbors__k": 3}, {"retrieval", "report"}),
        # a further layer trains nothing; what reads the features follows when they have changed
        ({"models__caffenet__layers": LAYERS | {"conv": "conv5"}}, {"extract@caffenet", "report"}),
        ({"models__source__train__epochs": 2}, {"model@source", "report"}),
    ],
    ids=["tsne", "neighbors", "layers", "train"],
)
def test_a_change_of_params_runs_only_what_it_decides(project, changed, rerun):
    project.set(**changed)
    done = project.repro("params")
    assert (done.code, done.stages) == (0, ["params"]), done.err
    assert stale(project) == rerun


def test_a_model_is_trained_again_when_the_one_that_it_starts_from_was(project):
    graph = yaml.safe_load((project.folder / "dvc.yaml").read_text())
    deps = {item: stage["deps"] for name, item, stage in stages_of(graph, project.params) if name == "model"}
    assert "data/models/source" in deps["tuned"]


def test_one_changed_image_computes_one_row_a_model(project):
    photo = project.folder / "data/raw/sample/JPEGImages"
    changed = sorted(photo.glob("test_*.jpg"))[0]
    old = changed.read_bytes()
    changed.unlink()
    # the bytes after the end-of-image marker change the file and not the picture
    changed.write_bytes(old + b"\0")
    try:
        done = project.repro("extract@caffenet")
        assert [stage for stage in done.stages if stage != "images"] == ["dataset", "extract@caffenet"]
        assert "1 computed" in done.err + done.out
    finally:
        changed.unlink()
        changed.write_bytes(old)
        project.repro()


def test_a_fresh_clone_that_pulls_recomputes_nothing(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "--force", "here", str(tmp_path / "remote"))
    assert project.repro().code == 0
    assert project.run("dvc", "push").code == 0
    project.commit("share")
    clone = project.clone_to(tmp_path / "clone")
    assert clone.run("dvc", "pull").code == 0
    done = clone.repro()
    assert (done.code, done.stages) == (0, [])


@pytest.mark.long
def test_a_branch_with_other_params_and_a_worktree_of_it_are_put_back_by_checkout(project, tmp_path):
    project.git("checkout", "--quiet", "-b", "wide")
    project.set(tsne__perplexity=5)
    assert project.repro("tsne").code == 0
    project.commit("wide")
    worktree = Project(tmp_path / "worktree")
    try:
        project.git("checkout", "--quiet", "main")
        assert project.run("dvc", "checkout").code == 0
        assert stale(project) == set()
        project.git("worktree", "add", "--quiet", str(worktree.folder), "wide")
        assert worktree.run("dvc", "cache", "dir", "--local", str(project.folder / ".dvc/cache")).code == 0
        assert worktree.run("dvc", "checkout").code in (0, 1)  # the page of that branch was not asked for
        assert stale(worktree) == {"report"}
    finally:
        project.git("worktree", "remove", "--force", str(worktree.folder))
        project.git("checkout", "--quiet", "main")
        project.run("dvc", "checkout")


@pytest.mark.long
def test_experiments_metrics_and_plots_work_as_a_dvc_user_expects(project):
    done = project.run("dvc", "exp", "run", "-S", "tsne.perplexity=3")
    assert done.code == 0, done.err
    metrics = json.loads(project.run("dvc", "metrics", "show", "--json").out)
    assert metrics
    plots = project.run("dvc", "plots", "show", "--json")
    assert plots.code == 0, plots.err


def test_a_query_from_the_shell_answers_without_the_query_itself(project):
    done = project.run("pool5", "query", "test_000003", "--model", "caffenet", "--layer", "pool5", "--json")
    assert done.code == 0, done.err
    neighbors = json.loads(done.out)
    assert [n["rank"] for n in neighbors] == [1, 2, 3, 4]
    assert "test_000003" not in [n["id"] for n in neighbors]


@pytest.mark.long
def test_params_with_a_data_set_and_a_model_alone_end_with_a_page(tmp_path):
    few = {key: value for key, value in small_params().items() if key in ("dataset", "models", "extract")}
    few["models"] = {"plain": few["models"]["plain"]}
    alone = Project.copy_to(tmp_path / "alone", few)
    done = alone.repro()
    assert done.code == 0, done.err
    assert (alone.folder / "reports/index.html").is_file()
    assert stale(alone) == set()


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_gives_a_graph(preset, tmp_path):
    if preset.stem in ("graph", "recipes"):
        pytest.skip("no params")
    other = Project.copy_to(tmp_path / "preset", yaml.safe_load(preset.read_text()))
    done = other.run("dvc", "stage", "list", "--all")
    assert done.code == 0, done.err
    assert "report" in done.out
