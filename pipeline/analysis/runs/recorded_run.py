"""A run that is to be set beside others: a project's records, and its rows where they are stored."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...errors import UserError
from ...params import Params, read_params
from ...project import Project
from ...results.ap import ApResult
from ...results.comparison import CompareResult
from ...results.record import R, load_if_there
from ...results.retrieval import RetrievalResult
from ...store.feature_file import FeatureFile
from ...store.logits_file import read_logits


@dataclasses.dataclass(frozen=True)
class TestImages:
    """What a run was measured on: N images, their (N, C) labels, and the classes."""

    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def order_of(self, other: TestImages) -> np.ndarray:
        """The rows of `other` that are these images, in this order; `ValueError` says why there are none."""
        if self.classes != other.classes:
            only = sorted(set(self.classes) ^ set(other.classes))
            raise ValueError(
                f"other classes ({only[0]} is in one only)" if only else "classes in another order"
            )
        row_of = {image: row for row, image in enumerate(other.ids.tolist())}
        only = sorted(row_of.keys() ^ set(self.ids.tolist()))
        if only:
            told = f"{len(only)} are in one only, such as {only[0]}"
            raise ValueError(f"other test images ({len(other.ids)} and {len(self.ids)}; {told})")
        rows = np.array([row_of[image] for image in self.ids.tolist()], np.int64)
        if changed := int((other.labels[rows] != self.labels).any(axis=1).sum()):
            raise ValueError(f"other labels of {changed} of the {len(rows)} test images")
        return rows


@dataclasses.dataclass(frozen=True)
class RecordedRun:
    """A run under the name that it was asked for by; `source` says where it was read."""

    name: str
    source: str
    project: Project

    @functools.cached_property
    def params(self) -> Params | None:
        """Its parameters, where they are."""
        with self.named():
            return read_params(self.project.params) if self.project.params.is_file() else None

    def record(self, kind: type[R], name: str) -> R | None:
        """A record, where there is one."""
        with self.named():
            return load_if_there(kind, self.project.result(name))

    @functools.cached_property
    def ap(self) -> ApResult | None:
        """Its average precision."""
        return self.record(ApResult, "ap")

    @functools.cached_property
    def retrieval(self) -> RetrievalResult | None:
        """Its measures of retrieval."""
        return self.record(RetrievalResult, "retrieval")

    @functools.cached_property
    def likeness(self) -> CompareResult | None:
        """How alike its layers are."""
        return self.record(CompareResult, "compare")

    @functools.cached_property
    def images(self) -> TestImages | None:
        """What it was measured on, where any row of it is stored."""
        if self.params is None:
            return None
        with self.named():
            for model in self.params.models:
                path = self.project.features(model, self.params.dataset.test)
                if path.is_file():
                    file = FeatureFile.open(path)
                    return TestImages(file.ids, np.asarray(file.labels), file.classes)
            for probe in self.params.probe:
                if (path := self.project.probe(probe)).is_file():
                    logits = read_logits(path)
                    return TestImages(logits.ids, logits.labels, logits.classes)
        return None

    def check_images(self, ids: np.ndarray) -> None:
        """Refuse rows that are not, one by one, those of `images`, by which runs are paired."""
        if self.images is None or not np.array_equal(ids, self.images.ids):
            raise UserError("its rows are of other images than those of the run's first model")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let an error name the run, and not where its files were put to be read."""
        try:
            yield
        except UserError as error:
            raise UserError(f"{self.name}: {str(error).replace(f'{self.project.root}/', '')}") from None
