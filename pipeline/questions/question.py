"""A question made of several things: images, texts and vectors are added and taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UserError
from ..store.feature_file import FeatureFile
from .embedder import Embedder
from .subjects import find_image

Kind = Literal["id", "image", "text", "vector"]
_CALLED = {"id": "image of the data set", "image": "image file", "text": "text", "vector": "vector"}


@dataclasses.dataclass(frozen=True)
class Term:
    """Something that a question is made of.

    Attributes
    ----------
    what : str
        An id of the data set, the path of an image file, a text, or the name of a vector.
    minus : bool
        Whether it is taken away.
    values : (D,) array, optional
        Of a vector.
    """

    what: str
    kind: Kind
    minus: bool = False
    values: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"“{self.what}”" if self.kind == "text" else self.what


@dataclasses.dataclass(frozen=True)
class Question:
    """The sum of the terms, each brought to length one, those with a minus taken away.

    A single id is that image as it is stored.
    """

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        signs = ("− " if term.minus else "+ " for term in self.terms)
        return " ".join(sign + str(term) for sign, term in zip(signs, self.terms, strict=True)).removeprefix(
            "+ "
        )

    def told(self) -> str:
        """What each term was taken for, in one line."""
        return "question: " + " ".join(
            f"{'−' if term.minus else '+'} {term} ({_CALLED[term.kind]})" for term in self.terms
        )

    def named(self, kind: Kind) -> list[str]:
        """The terms of a kind."""
        return list(dict.fromkeys(term.what for term in self.terms if term.kind == kind))

    def ids_in(self, features: FeatureFile) -> list[str]:
        """The images that take part, as far as they are in a split."""
        return [name for name in self.named("id") if name in features]

    def vector(self, features: FeatureFile, layer: str, embedder: Embedder) -> np.ndarray:
        """The (1, D) question in the space of a layer; float32.

        Raises
        ------
        UserError
            If a term has no vector in the layer's space, or nothing is left of them.
        """
        vectors = {("id", name): _stored(name, features, layer) for name in self.named("id")}
        if files := [Path(name) for name in self.named("image")]:
            rows = embedder.images(files, features, layer)
            vectors |= {("image", str(name)): row for name, row in zip(files, rows, strict=True)}
        if texts := self.named("text"):
            rows = embedder.words(texts, features, layer)
            vectors |= {("text", text): row for text, row in zip(texts, rows, strict=True)}
        total = np.zeros(features.layer(layer).shape[1], np.float64)
        for term in self.terms:
            own = vectors[term.kind, term.what] if term.values is None else _checked(term, features, layer)
            total += -_of_length_one(own) if term.minus else _of_length_one(own)
        if np.linalg.norm(total) < 1e-6:  # float32 features
            raise UserError(f"{self}: nothing is left of the question; ask for something else")
        return total[None].astype(np.float32)


def terms_of(what: Sequence[str], features: FeatureFile, layer: str, *, files: bool) -> list[Term]:
    """What is to be taken away: an id of the data set, else an image file that is there, else a text.

    `files` says whether a name may be that of a file.
    """
    terms = []
    for name in what:
        is_id = find_image(features, layer, name) is not None
        kind: Kind = "id" if is_id else "image" if files and Path(name).is_file() else "text"
        terms.append(Term(name, kind, minus=True))
    return terms


def _stored(name: str, features: FeatureFile, layer: str) -> np.ndarray:
    found = find_image(features, layer, name)
    if found is None:
        features.rows([name])  # refuses it
    assert found is not None
    file, row = found
    return np.asarray(file.layer(layer)[row])


def _checked(term: Term, features: FeatureFile, layer: str) -> np.ndarray:
    values = np.asarray(term.values, np.float32)
    width = features.layer(layer).shape[1]
    if values.shape != (width,):
        raise UserError(f"{term} has {values.size} values, not {width} as {features.model}/{layer} needs")
    if not np.isfinite(values).all():
        raise UserError(f"{term} has a value that is not finite")
    return values


def _of_length_one(vector: np.ndarray) -> np.ndarray:
    """A row of zeros stays one."""
    wide = vector.astype(np.float64)
    length = np.linalg.norm(wide)
    return np.asarray(wide / length if length > 0 else wide)
