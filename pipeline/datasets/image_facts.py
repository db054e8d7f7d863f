"""What is known of many images, packed: fifty-five bytes an image instead of some objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from ..images.looks import Looks

ROW = np.dtype(
    [
        ("digest", "V16"), ("size", np.int32, 2), ("turned", bool),
        ("doubt", np.int32), ("note", np.int32), ("reason", np.int32),
        ("brightness", np.float32), ("contrast", np.float32), ("sharpness", np.float32),
        ("plain", np.float32), ("low", np.uint8), ("high", np.uint8),
    ]
)  # fmt: skip

_NOT_SEEN = (0,) * len(Looks._fields)


@dataclasses.dataclass(frozen=True)
class ImageFact:
    """What is known of a file.

    Attributes
    ----------
    digest : bytes
        BLAKE2b-128 of the file's bytes.
    size : (width, height)
        As stored.
    looks : Looks
    doubt : str
        What may be wrong with it; '' where nothing is.
    turned : bool
        Whether the upright picture is as wide as the stored one is high.
    note : str
        What of it is ignored; '' where nothing is.
    """

    digest: bytes
    size: tuple[int, int]
    looks: Looks
    doubt: str = ""
    turned: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True)
class BadImage:
    """A file that gives no image, and why."""

    path: str
    reason: str
    too_large: bool = False


class Facts(Mapping[str, ImageFact | BadImage]):
    """{path: what is known of it}, in the order of the paths.

    Attributes
    ----------
    paths : sequence of N str, all different
    table : (N,) array of ROW
        A doubt, a note and the reason why a file is none are places in `texts`; 0 where there is none.
    texts : list of str
        The first is ''.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.table = np.zeros(len(paths), ROW)
        self.texts = [""]
        self._row_of = {path: row for row, path in enumerate(paths)}
        self._place_of = {"": 0}

    def fill(self, rows: np.ndarray, facts: Sequence[ImageFact | BadImage]) -> None:
        """Take in what was found of some rows."""
        if len(facts):
            self.table[rows] = np.array([self._packed(fact) for fact in facts], ROW)

    def place(self, text: str) -> int:
        """Where a text is in `texts`; it is put there."""
        if text not in self._place_of:
            self._place_of[text] = len(self.texts)
            self.texts.append(text)
        return self._place_of[text]

    def _packed(self, fact: ImageFact | BadImage) -> tuple[object, ...]:
        if isinstance(fact, BadImage):
            return bytes(16), (0, 0), False, 0, 0, self.place(fact.reason), *_NOT_SEEN
        texts = self.place(fact.doubt), self.place(fact.note)
        return fact.digest, fact.size, fact.turned, *texts, 0, *fact.looks

    def __getitem__(self, path: str) -> ImageFact | BadImage:
        digest, size, turned, doubt, note, reason, *looks = self.table[self._row_of[path]].item()
        if reason:
            return BadImage(path, self.texts[reason])
        return ImageFact(
            digest, tuple(size.tolist()), Looks(*looks), self.texts[doubt], turned, self.texts[note]
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, paths: Iterable[str]) -> np.ndarray:
        """The (n,) rows of some paths."""
        return np.array([self._row_of[path] for path in paths], np.int64)

    @property
    def bad(self) -> np.ndarray:
        """Which files give no image: (N,) bool."""
        return self.table["reason"] > 0

    @property
    def bad_images(self) -> list[BadImage]:
        """All of them."""
        return [bad for _, bad in self.bad_of(self.paths)]

    def bad_of(self, paths: Sequence[str]) -> list[tuple[int, BadImage]]:
        """Those among some paths, each with its place there."""
        places = self.table["reason"][self.rows(paths)]
        return [(at, BadImage(paths[at], self.texts[places[at]])) for at in np.flatnonzero(places).tolist()]

    @property
    def digests(self) -> np.ndarray:
        """(N, 16) uint8; zeros for a bad one."""
        return np.ascontiguousarray(self.table["digest"]).view(np.uint8).reshape(-1, 16)

    def told(self, kind: Literal["doubt", "note"]) -> dict[str, list[str]]:
        """{doubt or note: paths of the images that have it}."""
        places = self.table[kind]
        return {
            self.texts[place]: [self.paths[row] for row in np.flatnonzero(places == place).tolist()]
            for place in dict.fromkeys(places[places > 0].tolist())
        }
