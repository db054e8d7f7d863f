"""Doubted labels beside images that speak against them, pairs that contradict each other, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes

from ..images.address import Address
from ..results.label_issues import (
    Calibration,
    Kind,
    LabelConflict,
    LabelIssue,
    LabelIssuesResult,
    ProbeIssues,
)
from .canvas import new_figure, save_figure
from .model_marks import mark_of
from .sheets import Tile, compose_sheet

_ACROSS, _MOST = 2, 16  # doubted labels in a row of the sheet, and on it
_BESIDE = 3  # images beside one
_PAIRS_A_ROW, _MOST_PAIRS = 3, 18

Images = Mapping[str, Mapping[str, Address]]


def draw_issues(probe: ProbeIssues, kind: Kind, images: Images, train: str, stem: Path | str) -> None:
    """Draw the first labels of one list, each beside the nearest images that are labelled as is suspected.

    Nothing is drawn where the list is empty.

    Parameters
    ----------
    probe : ProbeIssues
    kind : `missing` or `wrong`
    images : {split: {id: address}}
    train : str
        The split of the images beside.
    stem : path without suffix
    """
    issues = probe.of_kind(kind)
    shown = issues[:_MOST]
    if not shown:
        return
    rows = []
    for start in range(0, len(shown), _ACROSS):
        some = shown[start : start + _ACROSS]
        rows.append(("", [tile for issue in some for tile in _issue_tiles(issue, images, train)]))
    said = (
        "not labelled with a class that they likely show"
        if kind == "missing"
        else ("labelled with a class that they likely do not show")
    )
    sheet = compose_sheet(
        rows,
        title=f"{probe.probe}: {len(issues)} images that are {said}",
        caption=f"The first {len(shown)}. Below each: the probability that the label is not right. Beside "
        f"it: the nearest images of {train} that are labelled as is suspected.",
        columns=[("", 1 + _BESIDE)] * min(len(shown), _ACROSS),
        legend={"miss": "its label is in doubt", "hit": "labelled as is suspected"},
    )
    save_figure(sheet, stem)


def _issue_tiles(issue: LabelIssue, images: Images, train: str) -> list[Tile | None]:
    """The image in question and those beside it, with nothing where there are fewer."""
    doubted = f"no {issue.class_name}?" if issue.kind == "missing" else f"{issue.class_name}?"
    if issue.instead:
        doubted += f" rather {issue.instead}"
    note = f"{doubted}\n{100 * issue.probability:.0f} %, {issue.split}"
    tiles: list[Tile | None] = [Tile(images[issue.split][issue.id], issue.id, note, "miss")]
    word = issue.class_name if issue.kind == "missing" else f"no {issue.class_name}"
    for near in issue.nearest[:_BESIDE]:
        tiles.append(Tile(images[train][near.id], near.id, f"{word}\ndistance {near.distance:.3f}", "hit"))
    return tiles + [None] * (1 + _BESIDE - len(tiles))


def draw_conflicts(result: LabelIssuesResult, images: Images, stem: Path | str) -> None:
    """Draw the first pairs of like images with different labels; nothing where there are none."""
    shown = result.conflicts[:_MOST_PAIRS]
    if not shown:
        return
    rows = []
    for start in range(0, len(shown), _PAIRS_A_ROW):
        pairs = shown[start : start + _PAIRS_A_ROW]
        rows.append(("", [tile for pair in pairs for tile in _pair_tiles(pair, images)]))
    sheet = compose_sheet(
        rows,
        title=f"{result.all_conflicts} pairs of like images that are labelled differently",
        caption=f"The first {len(shown)}, identical files before near-duplicates (cosine similarity of at "
        f"least {result.threshold}). Below each: the classes that it has and the other has not.",
        columns=[("", 2)] * min(len(shown), _PAIRS_A_ROW),
    )
    save_figure(sheet, stem)


def _pair_tiles(pair: LabelConflict, images: Images) -> list[Tile | None]:
    likeness = "the same file" if pair.identical_bytes else f"similarity {pair.similarity:.4f}"
    notes = f"{', '.join(pair.only_a) or '–'}\n{likeness}", ", ".join(pair.only_b) or "–"
    return [
        Tile(images[pair.split_a][pair.id_a], pair.id_a, notes[0]),
        Tile(images[pair.split_b][pair.id_b], pair.id_b, notes[1]),
    ]


def draw_reliability(probe: ProbeIssues, stem: Path | str) -> None:
    """Draw what was told against what was found; nothing where no label was judged."""
    if not probe.calibration:
        return
    figure = new_figure(4.2, 4.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    for number, calibration in enumerate(probe.calibration):
        _points(axes, number, calibration)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(alpha=0.25)
    axes.set_xlabel("probability that was told, mean of a tenth")
    axes.set_ylabel("share that is labelled so")
    figure.legend(frameon=False, loc="outside upper center", ncols=2)
    save_figure(figure, stem)


def _points(axes: Axes, number: int, calibration: Calibration) -> None:
    colour, marker = mark_of(number)
    told, found = zip(*((each.told, each.found) for each in calibration.bins), strict=True)
    (line,) = axes.plot(told, found, color=colour, marker=marker, label=calibration.split)
    line.set(markersize=4.5, linewidth=1.2)
