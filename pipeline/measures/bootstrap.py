"""The bootstrap over images."""

from __future__ import annotations

import numpy as np


def bootstrap_counts(num_images: int, num_resamples: int, seed: int) -> np.ndarray:
    """How often each image is drawn in each bootstrap resample of `num_images` images.

    One table for all models and classes keeps every comparison between them paired.

    Returns
    -------
    (num_images, num_resamples) float32 array, whose columns sum to `num_images`
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((num_images, num_resamples), np.float32)
    for b in range(num_resamples):
        drawn = rng.integers(0, num_images, num_images)
        counts[:, b] = np.bincount(drawn, minlength=num_images)
    return counts
