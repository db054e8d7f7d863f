"""Reading rows of a layer: beside plain .npy and the layouts that people use in HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

_OPENING = "Pool5's time has the opening of HDF5 and the check of its header, which do not grow with the rows"


def synthetic_features(path: Path, vectors: np.ndarray, layer: str = "fc7") -> None:
    """A feature file of given vectors, with 20 classes and invented images."""
    count = len(vectors)
    key = FeatureKey("resnet18", "0" * 64, "flatten", {"resize": 256}, "fp32", str(vectors.dtype), 1)
    digests = np.zeros((count, 16), np.uint8)
    digests[:, :8] = np.arange(count, dtype=np.int64)[:, None].view(np.uint8)
    write_feature_file(
        path,
        dataset="synthetic",
        split="test",
        model="resnet18",
        classes=tuple(f"class{i:02}" for i in range(20)),
        ids=np.char.zfill(np.arange(count).astype(np.str_), 7),
        digests=digests,
        labels=np.where(np.random.default_rng(0).random((count, 20)) < 0.08, 1, -1).astype(np.int8),
        layers={layer: vectors},
        keys={layer: key},
    )


def storage_rows(scratch: Path, runs: int = 5) -> list[Row]:
    """A whole layer, and 300 rows drawn at random, of 4952 x 6400 float32."""
    count, width = 4952, 6400
    random = np.random.default_rng(0)
    vectors = np.maximum(random.standard_normal((count, width), np.float32), 0)
    chosen = random.choice(count, 300, replace=False)
    ids = np.char.zfill(np.arange(count).astype(np.str_), 7)
    ours, npy = scratch / "layer.h5", scratch / "layer.npy"
    groups, chunked = scratch / "groups.h5", scratch / "chunked.h5"
    synthetic_features(ours, vectors)
    np.save(npy, vectors)
    with h5py.File(groups, "w") as file:
        for name, row in zip(ids, vectors, strict=True):
            file.create_group(name).create_dataset("global_descriptor", data=row)
    with h5py.File(chunked, "w") as file:
        file.create_dataset("fc7", data=vectors, chunks=True, compression="gzip", compression_opts=4)
    del vectors

    def pool5(rows: np.ndarray | slice) -> np.ndarray:
        return np.array(FeatureFile.open(ours).layer("fc7")[rows])

    def plain(rows: np.ndarray | slice) -> np.ndarray:
        return np.array(np.load(npy, mmap_mode="r")[rows])

    def hloc(rows: np.ndarray | slice) -> np.ndarray:
        with h5py.File(groups) as file:
            return np.stack([file[name]["global_descriptor"][()] for name in ids[rows]])

    def gzip(rows: np.ndarray | slice) -> np.ndarray:
        with h5py.File(chunked) as file:
            if isinstance(rows, slice):
                return file["fc7"][rows]
            order = np.argsort(rows)  # h5py wants increasing rows
            return file["fc7"][rows[order]][np.argsort(order)]

    def same(a: np.ndarray, b: np.ndarray) -> str:
        return "values equal to the bit" if a.tobytes() == b.tobytes() else f"{DIFFERENT}values differ"

    rows = []
    for row, wanted, turns in (
        ("reading a layer", slice(None), 3),
        ("reading 300 random rows", chosen, runs),
    ):
        peers = [
            Peer(name, version, timed(lambda read=read, wanted=wanted: read(wanted)), same, note=note)
            for name, version, read, note in (
                ("plain .npy, mapped", f"NumPy {np.__version__}", plain, _OPENING),
                ("one HDF5 group an image (hloc)", f"h5py {h5py.__version__}", hloc, ""),
                ("gzip-chunked HDF5", f"h5py {h5py.__version__}", gzip, ""),
            )
        ]
        given = f"{count} x {width} float32, from opening the file; the file is in the page cache"
        rows += contest(row, given, "Pool5", timed(lambda wanted=wanted: pool5(wanted)), peers, turns, True)
    for path in (ours, npy, groups, chunked):
        path.unlink()
    return rows
