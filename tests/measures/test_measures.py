from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from pool5.errors import UserError
from pool5.measures import AP, KINDS, NDCG, JaccardAt, MeanAveragePrecisionAt, PrecisionAt, parse_measure

from .measure_tests import ClassMeasureTests, RetrievalMeasureTests


def curve(scores, present):
    """Recall and precision at every distinct score, the highest first, in exact fractions."""
    above = [present[scores >= threshold] for threshold in sorted(set(scores.tolist()), reverse=True)]
    hits = [int(a.sum()) for a in above]
    return [(Fraction(h, int(present.sum())), Fraction(h, len(a))) for h, a in zip(hits, above, strict=True)]


class TestSklearnAP(ClassMeasureTests):
    measure = AP("sklearn")

    def expected(self, scores, present):
        return average_precision_score(present, scores) if present.any() else None


class TestAreaAP(ClassMeasureTests):
    measure = AP("area")

    def expected(self, scores, present):
        if not present.any():
            return None
        points = curve(scores, present)
        best = [max(p for r, p in points if r >= recall) for recall, _ in points]
        recalls = [Fraction(0), *(r for r, _ in points)]
        return float(sum((b - a) * p for (a, b), p in zip(pairwise(recalls), best, strict=True)))


class TestElevenPointAP(ClassMeasureTests):
    measure = AP("voc2007")

    def expected(self, scores, present):
        if not present.any():
            return None
        points = curve(scores, present)
        return float(sum(max(p for r, p in points if r >= Fraction(i, 10)) for i in range(11)) / 11)


class TestPrecisionAt4(RetrievalMeasureTests):
    measure = PrecisionAt(4)

    def expected(self, query, others, k):
        return np.mean([bool(query & other) for other in others[:k]]) if query else None


class TestMeanAveragePrecisionAt4(RetrievalMeasureTests):
    measure = MeanAveragePrecisionAt(4)

    def expected(self, query, others, k):
        relevant = [bool(query & other) for other in others]
        if not any(relevant):
            return None
        terms = [sum(relevant[: i + 1]) / (i + 1) for i in range(min(k, len(others))) if relevant[i]]
        return sum(terms) / min(k, sum(relevant))


class TestJaccardAt4(RetrievalMeasureTests):
    measure = JaccardAt(4)

    def expected(self, query, others, k):
        return np.mean([len(query & o) / len(query | o) for o in others[:k]]) if query else None


class TestNDCGAt100(RetrievalMeasureTests):
    measure = NDCG(100)

    def expected(self, query, others, k):
        gains = [len(query & other) for other in others]
        if not any(gains):
            return None
        if len(gains) == 1:  # scikit-learn ranks no single image
            return 1.0
        return ndcg_score([gains], [-np.arange(len(gains))], k=k, ignore_ties=True)


class TestNDCGAt4(TestNDCGAt100):
    measure = NDCG(4)


@pytest.mark.parametrize("text", ["P@0", "P@", "AP", "AP(coco)", "p@4", "mAP@4.0", "", "AP@4"])
def test_a_measure_that_there_is_not_is_told_with_those_there_are(text):
    with pytest.raises(UserError, match=r"no measure .*; there are AP\(voc2007\), AP\(area\), .*NDCG@k"):
        parse_measure(text)


def test_a_near_miss_has_a_hint():
    with pytest.raises(UserError, match=r"did you mean AP\(voc2007\)\?"):
        parse_measure("AP(voc2012)")


def test_every_kind_is_tested_here():
    tested = {
        type(tests.measure) for tests in globals().values() if hasattr(tests, "measure") and tests.measure
    }
    assert tested == set(KINDS)
