"""What the stage `dataset` tells: what each split holds, what was left out, and what was odd."""

from __future__ import annotations

from typing import Any, ClassVar

from .record import Part, Record


class LeftOut(Part, frozen=True):
    """An image of a split that cannot be read, and why."""

    id: str
    path: str
    reason: str


class SplitContent(Part, frozen=True):
    """A split.

    Attributes
    ----------
    images : int
        That can be read.
    positives, difficult : {class: number of images}
        `difficult`: whose instances are all difficult.
    """

    images: int
    positives: dict[str, int]
    difficult: dict[str, int]
    left_out: tuple[LeftOut, ...] = ()


class Contradiction(Part, frozen=True):
    """An image whose class list and annotation say different things about a class."""

    id: str
    class_name: str
    listed: int
    annotated: int


class PassedOver(Part, frozen=True):
    """Files beside the images of the splits that are not read: how many of an ending, why, and one."""

    reason: str
    ending: str
    files: int
    example: str


class DatasetResult(Record, frozen=True):
    """The data set as it was found.

    Attributes
    ----------
    splits : {split: SplitContent}
    gaps : tuple of str
        What is not read, and what may be a mistake: a sentence each.
    """

    stage: ClassVar[str] = "dataset"

    dataset: str
    classes: tuple[str, ...]
    splits: dict[str, SplitContent]
    disagreements: tuple[Contradiction, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    gaps: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """What DVC compares: by split the images, those left out, and the images a class."""
        return {
            split: {
                "images": part.images,
                "unreadable": len(part.left_out),
                "positives": part.positives,
                "difficult": part.difficult,
            }
            for split, part in self.splits.items()
        }
