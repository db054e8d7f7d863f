"""Words for messages: an amount, some of many names, and what a mistyped name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_NEAR = 0.65  # a slip in three letters is nearer, `boat` and `bottle` are not


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """A hint in brackets with a space before it, such as ` (did you mean fc7?)`, or nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=most, cutoff=_NEAR)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 model`, `2 models`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def some_of(names: Sequence[str], most: int = 20, between: str = ", ") -> str:
    """`cat, dog`; of a thousand the first, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"
