"""The curves of a training, as DVCLive writes them for `dvc plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dvclive import Live


class Curves:
    """Loss, learning rate and validation mAP by epoch, under `folder`.

    DVC removes a stage's outputs before it runs it again, so a training that goes on writes the epochs
    before it again from `history`. No time stamps: the same training gives the same files.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, float]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._live = Live(dir=str(folder), report=None, save_dvc_exp=False, dvcyaml=None)
        for metrics in history:
            self.add(metrics)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Write one epoch."""
        for name, value in metrics.items():
            self._live.log_metric(name, value)
        self._live.next_step()

    def close(self) -> None:
        """Finish; DVCLive's own summary goes, since no plot can be drawn from it."""
        self._live.end()
        Path(self._live.metrics_file).unlink(missing_ok=True)
