"""What an extraction took on this machine: another run takes another time, so it is no output of a stage."""

from __future__ import annotations

from typing import ClassVar

from .record import Record


class ExtractionCost(Record, frozen=True):
    """How fast a network went through images, layers and all.

    Attributes
    ----------
    device : str
        The GPU's or the processor's name, and how many where several of a machine did it: `2 × …`.
    precision : str
    batch_size : int
    workers : int
        Processes that decoded images, of each machine.
    machines : int
        That worked together; `network_rate` is then the mean of one.
    images : int
        That were computed.
    seconds : float
        From the start to the published files, without the time spent waiting for other runs.
    read, infer, write : float
        Seconds of these in which one was waited for, of all machines together; of several devices of a
        machine their mean.
    bottleneck : str
        Which of the three that was for longest.
    network_rate : float or None
        Images a second of the network by itself, after its first batch; None where there was no other.
    """

    stage: ClassVar[str] = "extract"

    device: str
    precision: str
    batch_size: int
    workers: int
    machines: int
    images: int
    seconds: float
    read: float
    infer: float
    write: float
    bottleneck: str
    network_rate: float | None

    @property
    def rate(self) -> float:
        """Images a second, reading and writing included."""
        return self.images / self.seconds
