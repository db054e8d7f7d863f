"""What the stage `model` tells of a training: its epochs, and which one was kept."""

from __future__ import annotations

from typing import Any, ClassVar

from ..files.hints import some_of
from .record import Part, Record


class Epoch(Part, frozen=True):
    """An epoch's mean loss, its last learning rate, and mAP on the images held out, where there are any."""

    loss: float
    lr: float
    val_map: float | None = None


class TrainingResult(Record, frozen=True):
    """A training; one of no epochs is of a model whose weights were taken as they are.

    Attributes
    ----------
    classes : tuple of str
        Names of the outputs; empty where nobody says.
    order_assumed : bool
        The weights are a checkpoint's as they are, and it names no classes: the order is the data set's.
    images : int
        That were trained on.
    kept_epoch : int or None
        The epoch, from 1, whose weights were kept.
    history : tuple of Epoch
        From the first epoch to the last.
    """

    stage: ClassVar[str] = "model"
    version: ClassVar[int] = 2

    model: str
    classes: tuple[str, ...] = ()
    order_assumed: bool = False
    images: int = 0
    epochs: int = 0
    kept_epoch: int | None = None
    history: tuple[Epoch, ...] = ()

    def doubt(self, classes: tuple[str, ...]) -> str | None:
        """Why its outputs may not be `classes` in this order; None where they are known to be."""
        if self.order_assumed:
            return "its weights name no classes; the order of its outputs is assumed to be the data set's"
        if self.classes and self.classes != classes:
            return (
                f"its weights call their outputs {some_of(self.classes, 3)}; they are taken to be the data "
                "set's classes in their order"
            )
        return None

    def metrics(self) -> dict[str, Any]:
        """What DVC compares: the number of epochs, and of the kept one its number, loss and mAP."""
        if self.kept_epoch is None:
            return {"epochs": self.epochs}
        kept = self.history[self.kept_epoch - 1]
        values = {"epochs": self.epochs, "kept_epoch": self.kept_epoch, "loss": kept.loss}
        return values if kept.val_map is None else values | {"val_map": kept.val_map}
