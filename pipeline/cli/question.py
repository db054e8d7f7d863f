"""A question made of several things: images and texts are added and taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UserError
from ..params import Params, problem_with_words, split_reference
from ..project import Project
from ..store.feature_file import FeatureFile
from .subjects import check_key, embed_files, find_image


@dataclasses.dataclass(frozen=True)
class Term:
    """Something that a question is made of: an id of the data set, an image file, or a text."""

    what: str
    kind: Literal["id", "image", "text"]
    minus: bool = False

    def __str__(self) -> str:
        return f"“{self.what}”" if self.kind == "text" else self.what


@dataclasses.dataclass(frozen=True)
class Question:
    """The sum of the terms, each brought to length one, those with a minus taken away."""

    terms: tuple[Term, ...]
    features: FeatureFile
    layer: str

    def __str__(self) -> str:
        signs = ("− " if term.minus else "+ " for term in self.terms)
        return " ".join(sign + str(term) for sign, term in zip(signs, self.terms, strict=True)).removeprefix(
            "+ "
        )

    def told(self) -> str:
        """What each term was taken for, in one line."""
        kinds = {"id": "image of the data set", "image": "image file", "text": "text"}
        return "question: " + " ".join(
            f"{'−' if term.minus else '+'} {term} ({kinds[term.kind]})" for term in self.terms
        )

    @property
    def ids(self) -> list[str]:
        """The images that take part, as far as they are in the split that is searched."""
        return list({t.what: None for t in self.terms if t.kind == "id" and t.what in self.features})

    def vector(self, params: Params, project: Project) -> np.ndarray:
        """The (1, D) question; float32.

        Raises
        ------
        UserError
            If a term has no vector in the layer's space, or nothing is left of them.
        """
        model = self.features.model
        by_kind = {kind: [t.what for t in self.terms if t.kind == kind] for kind in ("id", "image", "text")}
        vectors = {("id", name): self._stored(name) for name in by_kind["id"]}
        if files := [Path(name) for name in by_kind["image"]]:
            rows = embed_files(files, self.features, model, self.layer, params)
            vectors |= {("image", str(name)): row for name, row in zip(by_kind["image"], rows, strict=True)}
        if texts := by_kind["text"]:
            rows = self._embed_texts(texts, params, project)
            vectors |= {("text", text): row for text, row in zip(texts, rows, strict=True)}
        total = np.zeros(len(next(iter(vectors.values()))), np.float64)
        for term in self.terms:
            unit = _of_length_one(vectors[term.kind, term.what])
            total += -unit if term.minus else unit
        if np.linalg.norm(total) < 1e-6:  # float32 features
            raise UserError(f"{self}: nothing is left of the question; ask for something else")
        return total[None].astype(np.float32)

    def _stored(self, name: str) -> np.ndarray:
        found = find_image(self.features, self.layer, name)
        assert found is not None
        file, row = found
        return np.asarray(file.layer(self.layer)[row])

    def _embed_texts(self, texts: Sequence[str], params: Params, project: Project) -> np.ndarray:
        model = self.features.model
        check_key(params, model, self.layer, self.features)
        reference = f"{model}/{self.layer}"
        if problem := problem_with_words(params, reference):
            raise UserError(f"“{texts[0]}” is no id and no file but a text, and {problem}")
        from ..models.text import embed_texts

        source, _ = split_reference(params.source(reference))
        return embed_texts(project.model(source), texts, project.root)


def question_of(
    ids: Sequence[str],
    image: Path | None,
    texts: Sequence[str],
    minus: Sequence[str],
    features: FeatureFile,
    layer: str,
) -> Question:
    """The question of `pool5 query`; what is taken away is an id, else a file that is there, else a text.

    Raises
    ------
    UserError
        If an id is not there.
    """
    terms = [Term(name, "id") for name in ids]
    for name in ids:
        if find_image(features, layer, name) is None:
            features.rows([name])  # refuses it
    terms += [Term(str(image), "image")] if image is not None else []
    terms += [Term(text, "text") for text in texts]
    for what in minus:
        is_id = find_image(features, layer, what) is not None
        kind: Literal["id", "image", "text"] = "id" if is_id else "image" if Path(what).is_file() else "text"
        terms.append(Term(what, kind, minus=True))
    return Question(tuple(terms), features, layer)


def _of_length_one(vector: np.ndarray) -> np.ndarray:
    """A row of zeros stays one."""
    wide = vector.astype(np.float64)
    length = np.linalg.norm(wide)
    return np.asarray(wide / length if length > 0 else wide)
