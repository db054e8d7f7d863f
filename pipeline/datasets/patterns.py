"""Which paths count: `include` and `exclude`, patterns as in a .gitignore."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..errors import UserError
from ..images.address import Address, is_taken
from ..params import Dataset
from ..params.sections import is_list


def chosen_by(dataset: Dataset) -> Callable[[str], bool]:
    """Whether a path from the root counts: it is among what `include` names, if anything, and not excluded.

    The patterns are Git's, by the library pathspec: `*.png` and `old/` anywhere, `/old/` and `a/*.png` from
    the root; `!` takes back what an earlier one says.

    Raises
    ------
    UserError
        If a pattern is none.
    """
    include, exclude = dataset.include, tuple(text for text in dataset.exclude if not is_list(text))
    if not include and not exclude:
        return lambda _: True
    included, excluded = _matches("include", include), _matches("exclude", exclude)
    return lambda path: (not include or included(path)) and not (exclude and excluded(path))


@functools.lru_cache(16)
def _matches(key: str, patterns: tuple[str, ...]) -> Callable[[str], bool]:
    import pathspec

    for pattern in patterns:
        try:
            (read,) = pathspec.GitIgnoreSpec.from_lines([pattern]).patterns
        except ValueError:
            read = None
        if read is None or read.include is None:
            raise UserError(
                f"dataset.{key}: {pattern!r} is no pattern as in a .gitignore, such as *.png or old/"
            )
    return pathspec.GitIgnoreSpec.from_lines(patterns).match_file


def name_of(path: str, image_id: str) -> str:
    """What patterns and lists call an image: its path, its name in a tar, or the id of a table's row."""
    if "#" not in path or not is_taken(path):
        return path
    address = Address.parse(path)
    return address.file if not address.member else address.member if address.span else image_id
