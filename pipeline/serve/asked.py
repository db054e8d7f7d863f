"""What a request asks for, checked against the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..errors import NotThere, UserError
from ..files.hints import did_you_mean
from ..params import Metric, problem_with_words
from ..questions.open_store import OpenStore
from ..questions.question import Question, question_of
from .limits import Limits


@dataclasses.dataclass(frozen=True)
class Asked:
    """A question to a layer, as it came.

    Attributes
    ----------
    model, layer : str, optional
        By default the first that is stored.
    ids, texts : sequences of str
    vectors : sequence of (D,) arrays
    images : sequence of bytes
        Of image files.
    minus : sequence of str
        Each an id, else a text.
    """

    model: str | None = None
    layer: str | None = None
    ids: Sequence[str] = ()
    texts: Sequence[str] = ()
    vectors: Sequence[np.ndarray] = ()
    images: Sequence[bytes] = ()
    minus: Sequence[str] = ()
    k: int = 4
    classes: Sequence[str] = ()
    split: str | None = None
    metric: Metric | None = None

    def check(self, limits: Limits) -> None:
        """Refuse, with `UserError`, what is more than one request may ask for."""
        terms = len(self.ids) + len(self.texts) + len(self.vectors) + len(self.images) + len(self.minus)
        if terms > limits.ids:
            raise UserError(f"{terms} ids and texts; ask with {limits.ids} or fewer")
        if not 1 <= self.k <= limits.k:
            raise UserError(f"k is {self.k}; ask for 1 to {limits.k} neighbors")

    def reference(self, store: OpenStore) -> str:
        """The `<model>/<layer>` that is asked; `NotThere` if there is none of that name."""
        for reference in store.layers:
            model, _, layer = reference.partition("/")
            if self.model in (None, model) and self.layer in (None, layer):
                return reference
        wanted = "/".join(filter(None, [self.model, self.layer]))
        hint = did_you_mean(wanted, store.layers)
        raise NotThere(f"no layer {wanted} is stored{hint}; there are {', '.join(store.layers)}")

    def question(self, store: OpenStore) -> Question:
        """The one question that all terms make up.

        Raises
        ------
        UserError
            If there is no term, or one that the layer cannot be asked with; `NotThere` for an id or split.
        """
        reference = self.reference(store)
        features, own = store.file(reference, self.split)
        beside = store.files_of(features.model)
        question = question_of(
            features,
            own,
            ids=self.ids,
            images=self.images,
            texts=self.texts,
            vectors=self.vectors,
            minus=self.minus,
            beside=beside,
        )
        for name in question.named("id"):
            if not any(name in file for file in beside):
                raise NotThere(f"no image {name} in {features.model}'s splits")
        if (texts := question.named("text")) and (why := problem_with_words(store.params, reference)):
            raise UserError(f"“{texts[0]}” is taken as a text, and {why}")
        return question
