"""Small feature files with known neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pool5.search.gpu import FaissGpu, Gpu, found_gpu
from pool5.store.feature_file import write_feature_file
from pool5.store.feature_key import FeatureKey

CLASSES = ("cat", "dog", "person")


def clustered(seed: int, rows: int, width: int, clusters: int = 20) -> np.ndarray:
    """Points around a few centres, as features of a few kinds of images are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, width))
    return (centres[rng.integers(0, clusters, rows)] + 0.6 * rng.standard_normal((rows, width))).astype(
        np.float32
    )


@pytest.fixture
def write_features(tmp_path: Path):
    """Writes a feature file with layers `fc7` of 24 values and `half`, the same as float16.

    Rows `zeros` have no length; so many as `rare` says show the first class.
    """

    def write(
        name: str = "test",
        rows: int = 300,
        seed: int = 0,
        ids: list[str] | None = None,
        zeros: Sequence[int] = (),
        rare: int | None = None,
    ) -> Path:
        path = tmp_path / "data" / "features" / "net" / f"{name}.h5"
        vectors = clustered(seed, rows, 24)
        vectors[[7, 200]] = vectors[3]  # exact duplicates
        vectors[list(zeros)] = 0
        rng = np.random.default_rng(seed)
        labels = np.where(rng.random((rows, 3)) < 0.3, 1, -1).astype(np.int8)
        labels[5] = (0, -1, 1)
        if rare is not None:
            labels[:, 0] = np.where(np.arange(rows) % (rows // rare) == 1, 1, -1)
        keys = {
            layer: FeatureKey(
                architecture="net",
                weights_sha256="0" * 64,
                node=layer,
                preprocessing={"resize": 32, "crop": 32},
                precision="fp32",
                dtype=dtype,
                recipe_version=1,
            )
            for layer, dtype in (("fc7", "float32"), ("half", "float16"))
        }
        write_feature_file(
            path,
            dataset="toy",
            split=name,
            model="net",
            classes=CLASSES,
            ids=np.array(ids or [f"{number:06d}" for number in range(rows)]),
            digests=rng.integers(0, 256, (rows, 16), dtype=np.uint8),
            labels=labels,
            layers={"fc7": vectors, "half": vectors.astype(np.float16)},
            keys=keys,
        )
        return path

    return write


def refuse_to_skip() -> None:
    """Fail where there is a GPU that PyTorch uses, and a FAISS that is made for GPUs cannot."""
    faiss, torch = pytest.importorskip("faiss"), pytest.importorskip("torch")
    if "GPU" in faiss.get_compile_options() and torch.cuda.is_available():
        pytest.fail("FAISS cannot use the GPU that PyTorch uses; it has logged why")


@pytest.fixture
def cuda() -> Gpu:
    """The GPU, found as the library finds it: where CUDA is half there, FAISS would end the tests."""
    gpu = found_gpu()
    if gpu is None:
        refuse_to_skip()
        pytest.skip("needs a CUDA device")
    assert isinstance(gpu, FaissGpu)
    return gpu
