"""Measures that look at the first k neighbors: how their names are written."""

from __future__ import annotations

import re
from typing import ClassVar, Self


class AtK:
    """A name with a number, as `P@4`; for dataclasses that have a field `k`."""

    name: ClassVar[str]
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """How its name may be written, with k for the number."""
        return (f"{cls.name}@k",)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The measure of that name; None if it is of another kind."""
        found = re.fullmatch(rf"{cls.name}@([1-9]\d*)", text)
        return cls(k=int(found[1])) if found else None  # type: ignore[call-arg]  # the dataclass's field
