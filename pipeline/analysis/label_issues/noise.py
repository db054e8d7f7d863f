"""How often labels are wrong, and how probably each one is.

Confident learning for several labels an image: every class stands against the rest, and held-out
probabilities speak (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset
labels"; Thyagarajan et al. 2022, "Identifying incorrect annotations in multi-label classification data",
whose ranking by self-confidence is cleanlab's). Its model is kept: a label is wrong by a rate that does not
depend on the image. Two things differ. A label of 0 (only difficult instances) counts nowhere. And the rates
are not taken from a joint of labels and guesses, which takes a class that is hard to tell for one that is
labelled badly: of the drawn sample, 5 % of whose labels were turned, it held .5 to .85 of the labels of every
class to be missing. Here the images that a probe is surest of bound the rates of each class from above, and
the least bound of all classes is taken for all. So the labels of one kind come in the order of
self-confidence.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# Of the images labelled so: that share counts as the surest, and at least so many. With half of the present
# ones rates came out up to eight times too high, where 5 % of the labels of the drawn sample were turned.
SUREST_PRESENT, SUREST_ABSENT, FEWEST_SUREST = 0.25, 0.5, 10
MOST = 0.1  # a rate; a bound above it says that the probe is weak, and not that the labels are


@dataclasses.dataclass(frozen=True)
class NoiseRates:
    """How often labels are wrong.

    Attributes
    ----------
    missing : float
        Of the images that show a class, the share labelled absent.
    wrong : float
        Of the images that do not, the share labelled present.
    """

    missing: float
    wrong: float


def rate_bounds(shown: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What bounds the two rates of each class from above: how often the surest images are labelled otherwise.

    Parameters
    ----------
    shown : (N, K) float array
        The probability that an image is labelled with the class; held out.
    labels : (N, K) int array
        1 present, -1 absent, 0 left out of that class.

    Returns
    -------
    missing, wrong : (K,) float64
        With half an image labelled otherwise added to what is counted; NaN for a class without labels.
    """
    columns = list(zip(shown.T, labels.T, strict=True))
    missing = [_otherwise(-told, given, 1, SUREST_PRESENT) for told, given in columns]
    wrong = [_otherwise(told, given, -1, SUREST_ABSENT) for told, given in columns]
    return np.array(missing, np.float64), np.array(wrong, np.float64)


def estimate_rates(shown: np.ndarray, labels: np.ndarray) -> NoiseRates | None:
    """The rates of all classes: the least bound of any, at most `MOST`; None without labels of both kinds."""
    known = ((labels == 1).any(axis=0)) & ((labels == -1).any(axis=0))
    if not known.any():
        return None
    missing, wrong = rate_bounds(shown[:, known], labels[:, known])
    return NoiseRates(min(float(missing.min()), MOST), min(float(wrong.min()), MOST))


def probably_wrong(shown: np.ndarray, labels: np.ndarray, rates: NoiseRates) -> np.ndarray:
    """The probability that each label is not right, (N, K) float64; NaN where it is 0 or nothing is told.

    With t the probability that an image shows the class, it is labelled with it in
    t (1 - missing) + (1 - t) wrong of all cases, which is what is told; that gives t, and Bayes the rest.
    """
    room = max(1 - rates.missing - rates.wrong, 1e-3)
    truth = np.clip((shown - rates.wrong) / room, 0, 1)
    doubt = np.where(labels == 1, (1 - truth) * rates.wrong / shown, truth * rates.missing / (1 - shown))
    return np.where(labels == 0, np.nan, np.clip(doubt, 0, 1))


def _otherwise(order: np.ndarray, labels: np.ndarray, label: int, share: float) -> float:
    """Of the surest images of a label, those of the lowest `order`, the share that has the other one."""
    known = np.flatnonzero(labels)
    given = int((labels == label).sum())
    if not given:
        return float("nan")
    count = min(max(FEWEST_SUREST, int(given * share)), given)
    surest = known[np.argsort(order[known], kind="stable")][:count]
    return float((labels[surest] == -label).sum() + 0.5) / (count + 1)
