"""What a kind of probe gets, and what it must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..params import Probe as ProbeParams
from ..params import split_reference
from ..results.probe import TrainedProbe
from ..store.feature_file import FeatureFile

# (N, D) features as they are stored -> (N, K) float32
Logits = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ProbeTask:
    """What a probe is made from.

    Attributes
    ----------
    name : str
        In params.yaml.
    settings : ProbeParams
    train, test : FeatureFile
        Of the layer's model; the labels of `test` are none of a probe's business.
    model : path
        The folder of that model: its weights and card, and a text tower where it has one.
    root : path
        The project's folder.
    """

    name: str
    settings: ProbeParams
    train: FeatureFile
    test: FeatureFile
    model: Path
    root: Path = Path()

    @property
    def layer(self) -> str:
        """The name of the layer in its model's files."""
        return split_reference(self.settings.of)[1]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A probe that is ready to score images.

    Attributes
    ----------
    logits : function
        Of features as they are stored, (N, D), to (N, K) float32: higher means more likely present, a column
        a class, every one finite. A row's logits do not depend on the rows beside it.
    tensors : {name: array}
        What is kept of it beside its logits, as safetensors; at least one.
    about : {name: JSON value}
        Written into the header of that file, which has `of`, `classes` and `feature_key` already.
    record : TrainedProbe
        What is told of it; `weights_sha256` is filled in by who writes the file.
    gaps : tuple of str
        What it could not learn, and why; without its name.
    """

    logits: Logits
    tensors: Mapping[str, np.ndarray]
    about: Mapping[str, Any]
    record: TrainedProbe
    gaps: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class KeptProbe:
    """What stands in the safetensors file of a probe: `Probe.tensors`, and its header."""

    tensors: Mapping[str, np.ndarray]
    about: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ProbeKind:
    """A kind of probe; a file each, and a line in `kinds.KINDS`.

    The same task gives the same bytes, whatever the number of threads and whichever other probes there are.
    No class and one class, a class that none or all of the images show, and a single image are no errors:
    what cannot be learned has logits that are the same for every image, and a gap. `UserError` is for what
    only the user can mend.

    Attributes
    ----------
    decided_by : function
        Of a task: all that decides the probe beside its name, the layer's values, ids, labels and classes,
        as plain JSON values; part of the key under which the probe is kept.
    train : function
        Of a task, whose features are finite: the probe.
    held_out : function
        Of a task and what is kept of the probe: the logits (N, K) of the training images, each from a probe
        that has not learned from that image. Of a class that cannot be held out they are NaN.
    train_few : function, optional
        Of features (n, D), labels (n, K) and settings: the logits of a probe that learned from these rows
        alone. None: it learns from no images, and `shots` means nothing to it.
    """

    decided_by: Callable[[ProbeTask], dict[str, Any]]
    train: Callable[[ProbeTask], Probe]
    held_out: Callable[[ProbeTask, KeptProbe], np.ndarray]
    train_few: Callable[[np.ndarray, np.ndarray, ProbeParams], Logits] | None = None
