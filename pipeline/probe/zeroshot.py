"""The zero-shot probe: the classes asked for in words, by the text tower of the layer's model.

Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 3.1.4:
each class is the mean of its texts' vectors, one a template, as `open_clip.build_zero_shot_classifier` has
it. No image and no label is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..results.probe import ProbedClass, TrainedProbe
from .kind import KeptProbe, Probe, ProbeTask
from .linear_probe import normalise
from .logistic_regression import LinearClassifier


def decided_by(task: ProbeTask) -> dict[str, Any]:
    """The templates, and what decides a text's vector: text tower, tokenizer and context."""
    from ..models.text import text_key  # imports torch, which the other kinds do without

    return {"text": text_key(task.model, task.root), "templates": list(task.settings.templates)}


def train(task: ProbeTask) -> Probe:
    """Logits as the model has them of an image and a text: scale times their cosine, plus bias.

    Templates name a class as the data set does: `{}` becomes `diningtable`, if that is its name.
    """
    from ..models.text import load_text_tower

    classes = task.train.classes
    texts = [tuple(t.replace("{}", name) for t in task.settings.templates) for name in classes]
    tower = load_text_tower(task.model, task.root)
    scale, bias = tower.scale_and_bias()
    width = task.test.layer(task.layer).shape[1]
    vectors = class_vectors(texts, tower.embed) if texts else np.empty((0, width), np.float32)
    classifier = LinearClassifier(np.float32(scale) * vectors, np.full(len(classes), bias, dtype=np.float32))
    record = TrainedProbe(
        name=task.name,
        of=task.settings.of,
        kind="zeroshot",
        classes=tuple(ProbedClass(class_name=c, texts=t) for c, t in zip(classes, texts, strict=True)),
    )
    return Probe(
        logits=lambda features: classifier.logits(normalise(features)).astype(np.float32),
        tensors={"bias": classifier.bias, "weight": classifier.weight},
        about={**decided_by(task), "scale": scale, "features": "L2-normalised"},
        record=record,
        gaps=() if classes else ("the data set has no classes, so there is nothing to ask for",),
    )


def held_out(task: ProbeTask, kept: KeptProbe) -> np.ndarray:
    """It has learned from no image, so each is held out; see `ProbeKind`."""
    classifier = LinearClassifier(kept.tensors["weight"], kept.tensors["bias"])
    return classifier.logits(normalise(task.train.layer(task.layer))).astype(np.float32)


def class_vectors(texts: Sequence[Sequence[str]], embed: Callable[[Sequence[str]], np.ndarray]) -> np.ndarray:
    """A (K, D) float32 vector of length one for each class: the mean of its texts' vectors of length one.

    Parameters
    ----------
    texts : K sequences of T str
    embed : function
        Of n texts: (n, D) vectors.
    """
    vectors = normalise(embed([text for each in texts for text in each]))
    return normalise(vectors.reshape(len(texts), -1, vectors.shape[1]).mean(axis=1))
