from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pool5.store.unit_cache import UnitCache, remove_unused, unit_usage

KEY = {"layer_digest": "ab", "perplexity": 30.0}


class Maker:
    """Makes a unit of two files and counts how often."""

    def __init__(self, text: str = "made") -> None:
        self.text, self.calls = text, 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "map.json").write_text(self.text)
        (folder / "map.bin").write_bytes(bytes(100))


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    return {"map.json": tmp_path / "out/m/fc7.json", "map.bin": tmp_path / "out/m/fc7.bin"}


def units(root: Path) -> list[Path]:
    return [path for path in root.glob("*/*") if path.is_dir()]


def test_a_parameter_that_is_set_back_costs_nothing(tmp_path: Path, outputs: dict[str, Path]) -> None:
    cache, make = UnitCache(tmp_path / "units", "tsne", 1), Maker()
    assert cache.put(KEY, outputs, make)
    assert cache.put(KEY | {"perplexity": 50.0}, outputs, Maker("other"))
    assert outputs["map.json"].read_text() == "other"
    assert not cache.put(KEY, outputs, make)
    assert (outputs["map.json"].read_text(), make.calls) == ("made", 1)


def test_another_recipe_version_makes_it_anew(tmp_path: Path, outputs: dict[str, Path]) -> None:
    assert UnitCache(tmp_path / "units", "tsne", 1).put(KEY, outputs, Maker())
    assert UnitCache(tmp_path / "units", "tsne", 2).put(KEY, outputs, Maker())


def test_stages_do_not_share_units(tmp_path: Path, outputs: dict[str, Path]) -> None:
    assert UnitCache(tmp_path / "units", "tsne", 1).put(KEY, outputs, Maker())
    assert UnitCache(tmp_path / "units", "index", 1).put(KEY, outputs, Maker())


def test_a_kill_while_it_is_made_leaves_nothing(tmp_path: Path, outputs: dict[str, Path]) -> None:
    cache = UnitCache(tmp_path / "units", "tsne", 1)

    def killed(folder: Path) -> None:
        (folder / "map.json").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.put(KEY, outputs, killed)
    assert units(tmp_path / "units") == []
    assert not outputs["map.json"].exists()
    assert cache.put(KEY, outputs, Maker())


def test_a_unit_without_all_its_files_is_no_unit(tmp_path: Path, outputs: dict[str, Path]) -> None:
    cache = UnitCache(tmp_path / "units", "tsne", 1)
    with pytest.raises(FileNotFoundError):
        cache.put(KEY, outputs, lambda folder: (folder / "map.json").touch())
    assert units(tmp_path / "units") == []


@pytest.mark.parametrize("damage", ["changed", "lost", "no list", "no JSON"])
def test_a_damaged_unit_is_made_anew(tmp_path: Path, outputs: dict[str, Path], damage: str) -> None:
    cache, make = UnitCache(tmp_path / "units", "tsne", 1), Maker()
    cache.put(KEY, outputs, make)
    (unit,) = units(tmp_path / "units")
    if damage == "changed":
        (unit / "map.json").write_text("mad")
    elif damage == "lost":
        (unit / "map.bin").unlink()
    elif damage == "no list":
        (unit / "files.json").unlink()
    else:
        (unit / "files.json").write_text("[1]")
    assert cache.put(KEY, outputs, make)
    assert (make.calls, outputs["map.json"].read_text()) == (2, "made")


def test_an_edited_output_does_not_change_what_is_kept(tmp_path: Path, outputs: dict[str, Path]) -> None:
    cache, make = UnitCache(tmp_path / "units", "tsne", 1), Maker()
    cache.put(KEY, outputs, make)
    with outputs["map.json"].open("a") as file:
        file.write("edited")
    assert not cache.put(KEY, outputs, make)
    assert outputs["map.json"].read_text() == "made"


def test_the_latest_that_fits_is_the_one_that_was_put_last(tmp_path: Path, outputs: dict[str, Path]) -> None:
    cache, names = UnitCache(tmp_path / "units", "tsne", 1), ["map.json", "rows"]

    def make(folder: Path) -> None:
        Maker(folder.name)(folder)
        (folder / "rows").touch()

    def latest() -> str | None:
        unit = cache.latest(names, lambda unit: (unit / "map.json").is_file())
        return None if unit is None else (unit / "map.json").read_text()

    assert latest() is None
    texts = []
    for seed in (0, 1, 0):
        cache.put(KEY | {"seed": seed}, outputs, make, beside=["rows"])
        texts.append(outputs["map.json"].read_text())
        assert latest() == texts[-1]
    assert texts[0] == texts[2] != texts[1]
    cache.put(KEY | {"seed": 2}, outputs, Maker("without rows"))
    assert latest() == texts[0]
    assert UnitCache(tmp_path / "units", "tsne", 2).latest(names, lambda _: True) is None
    for rows in (tmp_path / "units").glob("*/*/rows"):
        rows.write_text("damaged")
    assert latest() is None


def test_a_unit_that_another_run_removes_meanwhile_is_not_the_latest(
    tmp_path: Path, outputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = UnitCache(tmp_path / "units", "tsne", 1)
    for seed in (0, 1):
        cache.put(KEY | {"seed": seed}, outputs, Maker(str(seed)))

    def removed(unit: Path) -> bool:
        if (unit / "map.json").read_text() == "1":
            shutil.rmtree(unit)
        return (unit / "map.json").read_text() == "0"

    unit = cache.latest(outputs, removed)
    assert unit is not None
    monkeypatch.setattr(Path, "glob", lambda *_: iter([tmp_path / "gone", unit]))  # listed, then removed
    assert cache.latest(outputs, lambda _: True) == unit


def test_what_no_last_run_took_is_removed(tmp_path: Path, outputs: dict[str, Path]) -> None:
    root = tmp_path / "units"
    for perplexity in (30.0, 50.0):
        with UnitCache(root, "tsne", 1) as cache:
            cache.put(KEY | {"perplexity": perplexity}, outputs, Maker())
    with UnitCache(root, "index", 1) as other:
        other.put(KEY, outputs, Maker())
    (root / "tsne" / ".left-by-a-kill").mkdir()
    assert unit_usage(root)[0] == 4
    count, size = remove_unused(root)
    assert count == 2
    assert size > 100
    assert unit_usage(root)[0] == 2
    assert not UnitCache(root, "tsne", 1).put(KEY | {"perplexity": 50.0}, outputs, Maker())
    assert not UnitCache(root, "index", 1).put(KEY, outputs, Maker())


def test_where_nothing_is_kept_nothing_is_removed(tmp_path: Path) -> None:
    assert remove_unused(tmp_path / "none") == (0, 0)
    assert unit_usage(tmp_path / "none") == (0, 0)


def test_two_runs_that_make_the_same_unit_at_once_are_no_error(
    tmp_path: Path, outputs: dict[str, Path]
) -> None:
    cache, make = UnitCache(tmp_path / "units", "tsne", 1), Maker()

    def overtaken(folder: Path) -> None:
        UnitCache(tmp_path / "units", "tsne", 1).put(KEY, outputs, make)
        make(folder)

    assert cache.put(KEY, outputs, overtaken)
    assert outputs["map.json"].read_text() == "made"
    assert len(units(tmp_path / "units")) == 1
