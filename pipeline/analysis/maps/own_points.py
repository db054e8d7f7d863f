"""One's own places of images on a map, from a CSV."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from ...errors import UserError

_COLUMNS = ("id", "x", "y")


def read_points(path: Path) -> dict[str, tuple[float, float]]:
    """{id: (x, y)} of a CSV in UTF-8 whose header has `id`, `x` and `y`; further columns are passed over.

    The tables of maps that the pipeline writes are such files.

    Raises
    ------
    UserError
        One line that names the file and the line in it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if missing := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
                raise UserError(f"{path}: no column {missing[0]}; the first line must have id, x and y")
            found: dict[str, tuple[float, float]] = {}
            for row in table:
                if row["id"] in found:
                    raise UserError(f"{path}:{table.line_num}: {row['id']} is listed twice; remove a line")
                found[row["id"]] = _place(row, f"{path}:{table.line_num}")
            return found
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write it again") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV ({error}); write it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); maps.points names it") from None


def _place(row: dict[str, str | None], where: str) -> tuple[float, float]:
    try:
        x, y = float(row["x"] or ""), float(row["y"] or "")
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UserError(f"{where}: {row['x']!r} and {row['y']!r} are no place; write two finite numbers")
    return x, y
