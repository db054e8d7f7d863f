"""What a part is given: the device, a folder, the time that is left, and a way to tell what it found."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any


class Check:
    """Handed to a part by `child.py`.

    Attributes
    ----------
    device : str
        `cuda:0` or `cpu`.
    quick : bool
        Everything small: that it runs is what is asked.
    scratch : Path
        A folder of this part alone.
    """

    def __init__(self, device: str, quick: bool, scratch: Path, pipe: int, limit_s: float) -> None:
        self.device, self.quick, self.scratch = device, quick, scratch
        self._pipe, self._ends = pipe, time.monotonic() + limit_s
        self.failed = False

    @property
    def on_card(self) -> bool:
        """Whether the device is a GPU."""
        return self.device != "cpu"

    def left(self) -> float:
        """Seconds until the part is cut off."""
        return self._ends - time.monotonic()

    def tell(self, what: str, ok: bool | None = None, **values: Any) -> None:
        """Tell a finding; it is kept from now on, whatever comes.

        Parameters
        ----------
        what : str
            What was looked at.
        ok : bool, optional
            Whether it is as it should be; None for a measurement, and for what could not be looked at.
        values
            What was found. The peaks of memory since the line before are added.
        """
        self.failed |= ok is False
        self.send({"what": what, "ok": ok} | values | peaks_of_memory())

    def send(self, line: dict[str, Any]) -> None:
        """Send a line to the parent, in one write where it is short."""
        data = json.dumps(_plain(line), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        while data:
            data = data[os.write(self._pipe, data) :]


def _plain(value: Any) -> Any:
    """As JSON has it: floats to four digits, since more would be noise, and none that is no number."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def peaks_of_memory() -> dict[str, int]:
    """Megabytes since the last call: of this process, and on the card what PyTorch gave out and held."""
    found = {}
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().split("\n")
        found["host_mb"] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["card_allocated_mb"] = torch.cuda.max_memory_allocated() >> 20
        found["card_reserved_mb"] = torch.cuda.max_memory_reserved() >> 20
        torch.cuda.reset_peak_memory_stats()
        free, total = torch.cuda.mem_get_info()
        found["card_in_use_mb"] = (total - free) >> 20  # by all, FAISS and the decoder among them
    return found
