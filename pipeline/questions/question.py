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
    data : bytes, optional
        Of an image that is no file here; `what` is then what it is called.
    """

    what: str
    kind: Kind
    minus: bool = False
    values: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)
    data: bytes | None = dataclasses.field(default=None, repr=False)

    def __str__(self) -> str:
        return f"“{self.what}”" if self.kind == "text" else self.what

    @property
    def picture(self) -> Path | bytes:
        """Of an image: its file, or its bytes."""
        return Path(self.what) if self.data is None else self.data


@dataclasses.dataclass(frozen=True)
class Question:
    """The sum of the terms, each brought to length one, those with a minus taken away.

    A single image or vector is that as it is.
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

    @property
    def is_one_image(self) -> bool:
        """Whether it is a single image or vector, and nothing is taken away."""
        first, *further = self.terms
        return not further and first.kind != "text" and not first.minus

    @property
    def needs_network(self) -> bool:
        """Whether a network has to make vectors of something."""
        return any(term.kind in ("image", "text") and term.values is None for term in self.terms)

    def named(self, kind: Kind) -> list[str]:
        """The terms of a kind."""
        return list(dict.fromkeys(term.what for term in self.terms if term.kind == kind))

    @property
    def widths(self) -> set[int]:
        """How many values the vectors among the terms have."""
        return {np.size(term.values) for term in self.terms if term.values is not None}

    def id_in(self, features: FeatureFile) -> str | None:
        """The id of a question that is one image of this split, as it is stored; None for any other."""
        first = self.terms[0]
        return first.what if self.is_one_image and first.kind == "id" and first.what in features else None

    def ids_in(self, features: FeatureFile) -> list[str]:
        """The images that take part, as far as they are in a split."""
        return [name for name in self.named("id") if name in features]

    def vector(
        self,
        features: FeatureFile,
        layer: str,
        embedder: Embedder,
        beside: Sequence[FeatureFile] | None = None,
    ) -> np.ndarray:
        """The (1, D) question in the space of a layer; float32. `beside` as in `find_image`.

        Raises
        ------
        UserError
            If a term has no vector in the layer's space, or nothing is left of them.
        """
        vectors = {("id", name): _stored(name, features, layer, beside) for name in self.named("id")}
        if images := {term.what: term.picture for term in self.terms if term.kind == "image"}:
            rows = embedder.images(list(images.values()), features, layer)
            vectors |= {("image", name): row for name, row in zip(images, rows, strict=True)}
        if texts := self.named("text"):
            rows = embedder.words(texts, features, layer)
            vectors |= {("text", text): row for text, row in zip(texts, rows, strict=True)}
        own = [
            vectors[term.kind, term.what] if term.values is None else _checked(term, features, layer)
            for term in self.terms
        ]
        if self.is_one_image:
            return own[0][None].astype(np.float32)
        total = np.zeros(features.layer(layer).shape[1], np.float64)
        for term, values in zip(self.terms, own, strict=True):
            total += -_of_length_one(values) if term.minus else _of_length_one(values)
        if np.linalg.norm(total) < 1e-6:  # float32 features
            raise UserError(f"{self}: nothing is left of the question; ask for something else")
        return total[None].astype(np.float32)


def terms_of(
    what: Sequence[str],
    features: FeatureFile,
    layer: str,
    *,
    files: bool,
    beside: Sequence[FeatureFile] | None = None,
) -> list[Term]:
    """What is to be taken away: an id of the data set, else an image file that is there, else a text.

    `files` says whether a name may be that of a file; `beside` as in `find_image`.
    """
    terms = []
    for name in what:
        is_id = find_image(features, layer, name, beside) is not None
        kind: Kind = "id" if is_id else "image" if files and Path(name).is_file() else "text"
        terms.append(Term(name, kind, minus=True))
    return terms


def question_of(
    features: FeatureFile,
    layer: str,
    *,
    ids: Sequence[str] = (),
    images: Sequence[str | Path | bytes] = (),
    texts: Sequence[str] = (),
    vectors: Sequence[np.ndarray] = (),
    minus: Sequence[str] = (),
    files: bool = False,
    beside: Sequence[FeatureFile] | None = None,
) -> Question:
    """The one question that all of these make up; `minus`, `files` and `beside` as in `terms_of`.

    Raises
    ------
    UserError
        If nothing but `minus` is given.
    """
    terms = [Term(name, "id") for name in ids]
    terms += [_pictured(image, n) for n, image in enumerate(images, start=1)]
    terms += [Term(text, "text") for text in texts]
    terms += [Term(f"vector {n}", "vector", values=values) for n, values in enumerate(vectors, start=1)]
    if not terms:
        raise UserError("nothing to ask with; give an id, an image, words or a vector")
    return Question((*terms, *terms_of(minus, features, layer, files=files, beside=beside)))


def _pictured(image: str | Path | bytes, number: int) -> Term:
    if isinstance(image, bytes):
        return Term(f"image {number}" if number > 1 else "image", "image", data=image)
    return Term(str(image), "image")


def _stored(name: str, features: FeatureFile, layer: str, beside: Sequence[FeatureFile] | None) -> np.ndarray:
    found = find_image(features, layer, name, beside)
    if found is None:
        features.rows([name])  # refuses it
    assert found is not None
    file, row = found
    return np.asarray(file.layer(layer)[row])


def _checked(term: Term, features: FeatureFile, layer: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large is no finite number, and refused below
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
