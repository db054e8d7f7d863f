"""Measures: arrays in, numbers out.

A measure is a small frozen value whose text is its name in tables (`AP(voc2007)`, `P@4`), as in ir_measures.
Those of a ranking for each class have the methods of `AP`, those of neighbors are a `RetrievalMeasure`. A new
one is a file and a place in `KINDS`; `tests/measures/measure_tests.py` holds what every one must pass. Those
of two representations are a `RepresentationMeasure`, with a place in `COMPARISONS`.
"""

from __future__ import annotations

from ..errors import UserError
from ..files.hints import did_you_mean
from .average_precision import AP
from .cka import CKA
from .jaccard_at import JaccardAt
from .mean_average_precision_at import MeanAveragePrecisionAt
from .ndcg import NDCG
from .neighbor_overlap import NeighborOverlap
from .precision_at import PrecisionAt
from .procrustes import Procrustes
from .representation import RepresentationMeasure
from .retrieval import RetrievalMeasure
from .rsa import RSA

KINDS: tuple[type[AP] | type[RetrievalMeasure], ...] = (
    AP,
    PrecisionAt,
    MeanAveragePrecisionAt,
    JaccardAt,
    NDCG,
)
COMPARISONS: tuple[type[RepresentationMeasure], ...] = (CKA, RSA, NeighborOverlap, Procrustes)


def parse_measure(text: str) -> AP | RetrievalMeasure | RepresentationMeasure:
    """The measure of that name; `UserError` if there is none."""
    kinds = (*KINDS, *COMPARISONS)
    for kind in kinds:
        if (measure := kind.parse(text)) is not None:
            return measure
    forms = [form for kind in kinds for form in kind.forms()]
    hint = did_you_mean(text, [form.replace("@k", "@4") for form in forms])
    raise UserError(f"no measure {text!r}{hint}; there are {', '.join(forms)}")
