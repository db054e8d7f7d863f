"""Which FAISS index suits a layer, and what it takes to train one."""

from __future__ import annotations

import dataclasses
import math
import re

from ..errors import UserError

# faiss.ClusteringParameters: fewer points a centroid leave it badly placed, more are thrown away
MIN_POINTS_PER_CENTROID = 39
MAX_POINTS_PER_CENTROID = 256

_EXACT_VALUES = 250_000_000  # 1 GB of float32: two cores scan it in about a tenth of a second
_BYTES_PER_LIST_ENTRY = 8  # the row number beside each code


@dataclasses.dataclass(frozen=True)
class Choice:
    """A FAISS factory string, and why this one."""

    factory: str
    reason: str


def choose_factory(rows: int, width: int, memory_bytes: float) -> Choice:
    """Choose an index for `rows` vectors of `width` values within a memory budget.

    Exact search while a scan is quick; beyond that an inverted file with about 4 sqrt(N) lists; with whole
    vectors in the lists if they fit into the memory, else with product-quantised codes (a search ranks their
    shortlist by the stored vectors, which stay on the disk).

    Raises
    ------
    UserError
        If not even the smallest codes fit.
    """
    size = f"{rows} x {width}"
    flat = 4 * rows * width
    if rows * width <= _EXACT_VALUES and flat <= memory_bytes:
        return Choice(
            "Flat", f"{size} is {flat / 1e9:.3g} GB as float32: it fits, and an exact scan of it is quick"
        )
    lists = _list_count(rows)
    inverted = rows * _BYTES_PER_LIST_ENTRY + 4 * lists * width
    if flat + inverted <= memory_bytes and lists > 1:
        return Choice(
            f"IVF{lists},Flat",
            f"{size} is too much to scan for every query; {flat / 1e9:.3g} GB of whole vectors fit into "
            f"{memory_bytes / 1e9:.3g} GB; {lists} lists are about 4 sqrt(N)",
        )
    for code in sorted((m for m in range(1, width // 8 + 1) if width % m == 0), reverse=True):
        if rows * code + inverted <= memory_bytes:
            return Choice(
                f"IVF{lists},PQ{code}",
                f"{size} is {flat / 1e9:.3g} GB as float32, too much for {memory_bytes / 1e9:.3g} GB; "
                f"{code} bytes a vector are the longest code that does, at 8 values a byte or more; "
                f"{lists} lists are about 4 sqrt(N)",
            )
    raise UserError(
        f"index.memory_gb: {memory_bytes / 1e9:.3g} GB hold no index over {size} values; "
        f"give at least {(rows + inverted) / 1e9:.2g}"
    )


def centroid_count(factory: str) -> int:
    """The largest codebook that training an index must place: 0 if nothing is clustered.

    Reads the lists of an inverted file (`IVF1024`, `IMI2x10`) and the codebooks of a product quantiser
    (`PQ16`, `PQ16x4fs`, `OPQ16`), 8 bits unless said otherwise.
    """
    counts = [0]
    for part in re.split(r"[,_()]", factory):
        if ivf := re.match(r"IVF(\d+)", part):
            counts.append(int(ivf[1]))
        elif imi := re.match(r"IMI\d+x(\d+)", part):
            counts.append(2 ** int(imi[1]))
        elif quantiser := re.match(r"(?:O?PQ|PLSQ|LSQ|RQ|PRQ)\d+(?:x(\d+))?", part):
            counts.append(2 ** int(quantiser[1] or 8))
    return max(counts)


def _list_count(rows: int) -> int:
    ideal = 4 * math.sqrt(rows)
    affordable = rows / MIN_POINTS_PER_CENTROID
    return 1 << max(int(math.log2(max(min(ideal, affordable), 1))), 0)
