"""Confident learning: how many labels are wrong, and how probably each is.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", for each
class against the rest, as Thyagarajan et al. 2022, "Identifying incorrect annotations in multi-label
classification data", have it for several labels an image. Counts are those of cleanlab's
`compute_confident_joint(multi_label=True)`. What differs: a label of 0 (only difficult instances) counts
nowhere, and there are probabilities, where cleanlab ranks by scores: those of the model that confident
learning rests on, in which a label is wrong by a rate that depends on the class and not on the image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_ROUNDING = 1e-6  # cleanlab's, below a threshold
PRIOR_IMAGES = 10.0  # that a class's rates are drawn to those of all classes with


@dataclasses.dataclass(frozen=True)
class NoiseRates:
    """How often the labels of each class are wrong; NaN for a class that nothing is known of.

    Attributes
    ----------
    missing : (K,) float64
        Of the images that show the class, the share labelled absent.
    wrong : (K,) float64
        Of the images that do not, the share labelled present.
    """

    missing: np.ndarray
    wrong: np.ndarray


def confident_joint(shown: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many images have each label and, as far as can be told, each truth.

    An image counts as showing a class if it is told with at least the mean probability of those that are
    labelled with it, and likewise for absence; of both, the more probable. Counts are scaled to all images.

    Parameters
    ----------
    shown : (N, K) float array
        The probability that an image is labelled with the class; held out.
    labels : (N, K) int array
        1 present, -1 absent, 0 left out of that class.

    Returns
    -------
    (K, 2, 2) float64 array
        By class, label and truth, absent before present.
    """
    present, absent = labels == 1, labels == -1
    images = np.stack([absent.sum(axis=0), present.sum(axis=0)], axis=1)  # (K, 2)
    least_absent = np.where(absent, 1 - shown, 0).sum(axis=0) / np.maximum(images[:, 0], 1) - _ROUNDING
    least_present = np.where(present, shown, 0).sum(axis=0) / np.maximum(images[:, 1], 1) - _ROUNDING
    likely, unlikely = shown >= least_present, 1 - shown >= least_absent
    truths = unlikely & (~likely | (shown <= 0.5)), likely & (~unlikely | (shown > 0.5))
    counts = [[(given & truth).sum(axis=0) for truth in truths] for given in (absent, present)]
    joint = np.array(counts, np.float64).transpose(2, 0, 1)
    for place in (0, 1):  # at least one image is labelled rightly
        joint[:, place, place] = np.maximum(joint[:, place, place], 1)
    scaled: np.ndarray = joint / joint.sum(axis=2, keepdims=True) * images[:, :, None]
    return scaled


def estimate_rates(shown: np.ndarray, labels: np.ndarray) -> NoiseRates:
    """The rates of wrong labels; of few images they say little, and are drawn to those of all classes."""
    joint = confident_joint(shown, labels)
    missing = _drawn(joint[:, 0, 1], joint[:, :, 1].sum(axis=1))
    wrong = _drawn(joint[:, 1, 0], joint[:, :, 0].sum(axis=1))
    return NoiseRates(missing, wrong)


def probably_wrong(shown: np.ndarray, labels: np.ndarray, rates: NoiseRates) -> np.ndarray:
    """The probability that each label is not right, (N, K) float64; NaN where it is 0 or nothing is known.

    With t the probability that an image shows the class, it is labelled with it in
    t (1 - missing) + (1 - t) wrong of all cases, which is what is told; that gives t, and Bayes the rest.
    """
    room = np.maximum(1 - rates.missing - rates.wrong, 1e-3)
    truth = np.clip((shown - rates.wrong) / room, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_absent = truth * rates.missing / (1 - shown)
        of_present = (1 - truth) * rates.wrong / shown
    doubt = np.where(labels == 1, of_present, of_absent)
    return np.where(labels == 0, np.nan, np.clip(doubt, 0, 1))


def _drawn(wrong: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The share of each class, with `PRIOR_IMAGES` images more at the share of all classes."""
    everything = images.sum()
    mean = wrong.sum() / everything if everything else 0.0
    return np.asarray((wrong + PRIOR_IMAGES * mean) / (images + PRIOR_IMAGES))
