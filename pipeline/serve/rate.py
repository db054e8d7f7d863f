"""How many requests one client may make: a bucket of tokens each, which fills as time goes by."""

from __future__ import annotations

import collections
import time

_CLIENTS = 10_000  # that are remembered; the one that was seen longest ago is forgotten first


class Rate:
    """A number of requests a second for each client.

    Parameters
    ----------
    rate : float
        Requests a second; 0 for any number.
    burst : float
        The requests of so many seconds may be saved up.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._most = max(rate * burst, 1.0)
        self._left: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds that a client has to wait before this request is its turn; 0 if it may be answered now."""
        if not self._rate:
            return 0.0
        now = time.monotonic()
        left, seen = self._left.pop(client, (self._most, now))
        left = min(left + (now - seen) * self._rate, self._most)
        self._left[client] = (left - 1 if left >= 1 else left), now
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._rate
