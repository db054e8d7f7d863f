"""Networks on devices that are not there, for processes: what each does goes by the device's name."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from small_jobs import PixelNetwork

from pool5.errors import UserError
from pool5.extract import extractor
from pool5.extract.work import Timed
from pool5.params import Layer

LAYERS = {"early": 40, "late": 7}
TWO = ("cuda:0", "cuda:1")


@dataclasses.dataclass(frozen=True)
class Devices:
    """Loads the network on a device; where it does, it tells in `folder` how many images it has seen.

    Attributes
    ----------
    pace : {device: seconds a batch}
    dies : {device: batches}
        After so many it is killed.
    kinds : {device: kind}
    fails : {device: error}
        Raised when the network is loaded.
    flush : int, optional
        Bytes after which rows are stored.
    """

    folder: Path
    pace: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dies: Mapping[str, int] = dataclasses.field(default_factory=dict)
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fails: Mapping[str, Exception] = dataclasses.field(default_factory=dict)
    flush: int = 0

    def __call__(self, device: str = "") -> DeviceNetwork:
        if error := self.fails.get(device):
            raise error
        extractor.FLUSH_BYTES = self.flush or extractor.FLUSH_BYTES
        if device:
            self._wait_for_all(device)
        return DeviceNetwork(self, device)

    def _wait_for_all(self, device: str) -> None:
        """Both have a share before either goes on: on a busy machine one might have ended by then."""
        (self.folder / f"{device}.here").touch()
        while len(list(self.folder.glob("*.here"))) < len(TWO):
            time.sleep(0.01)

    @property
    def seen(self) -> dict[str, int]:
        """How many images each device has seen."""
        return {path.stem: int(path.read_text() or 0) for path in self.folder.glob("*.seen")}


class DeviceNetwork(PixelNetwork):
    """Takes a tenth of a second a batch, it says, the first left out."""

    def __init__(self, devices: Devices, device: str) -> None:
        super().__init__(LAYERS, log=devices.folder / f"{device}.seen", pace=devices.pace.get(device, 0.01))
        self.device_kind = devices.kinds.get(device, "pixels")
        self.device = "a card"
        self._dies_at = devices.dies.get(device)

    def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
        if self._dies_at is not None and self.seen >= self._dies_at * len(images):
            os.kill(os.getpid(), signal.SIGKILL)
        wait = super().start(images)
        if self.seen > len(images):
            self.timed += Timed(len(images), 0.1)
        return wait


def not_there(device: str) -> UserError:
    """As `models.device` says it."""
    return UserError(f"extract.device: {device}: torch finds no GPU; set it to auto or cpu")
