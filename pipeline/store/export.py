"""Feature files in the forms that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..files.atomic import atomic_write, write_text
from ..files.csv_file import joined
from .feature_file import FeatureFile

_BLOCK_ROWS = 8192


def export_npy(file: FeatureFile, layers: Sequence[str], folder: Path) -> list[Path]:
    """`<layer>.npy` for each layer, `labels.npy`, and `ids.txt` with an id a line.

    A layer called `labels` is in `layer.labels.npy`.
    """
    written = []
    for layer in layers:
        rows = file.layer(layer)
        written.append(folder / f"{_apart(layer, ['labels'])}.npy")
        with atomic_write(written[-1]) as temporary, temporary.open("wb") as out:
            np.lib.format.write_array_header_1_0(
                out, {"descr": rows.dtype.str, "fortran_order": False, "shape": rows.shape}
            )
            for start in range(0, len(rows), _BLOCK_ROWS):
                out.write(np.ascontiguousarray(rows[start : start + _BLOCK_ROWS]).data)
    written += [folder / "labels.npy", folder / "ids.txt"]
    with atomic_write(folder / "labels.npy") as temporary, temporary.open("wb") as out:
        np.save(out, file.labels)
    write_text(folder / "ids.txt", "".join(f"{name}\n" for name in file.ids))
    return written


def export_parquet(file: FeatureFile, layers: Sequence[str], folder: Path) -> list[Path]:
    """`<split>.parquet`: id, a column a class, and a column of fixed-size lists a layer.

    The columns are called `id`, `label.<class>` and `<layer>`; a layer with the name of another column is
    `layer.<layer>`. What identifies the features (data set, split, model, layers' keys) is in the schema's
    metadata, and the layers' shapes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [file.layer(layer) for layer in layers]
    kinds = [pa.list_(pa.from_numpy_dtype(array.dtype), array.shape[1]) for array in arrays]
    about = {"dataset": file.dataset, "split": file.split, "model": file.model}
    about |= {f"feature_key.{layer}": json.dumps(file.key(layer), sort_keys=True) for layer in layers}
    about |= {f"shape.{layer}": shape.json() for layer in layers if (shape := file.shape(layer))}
    ours = {"id": pa.string(), **{f"label.{name}": pa.int8() for name in file.classes}}
    theirs = [_apart(layer, ours) for layer in layers]
    schema = pa.schema([*ours.items(), *zip(theirs, kinds, strict=True)], metadata=about)
    path = folder / f"{file.split}.parquet"
    # vectors do not compress: snappy would only cost time
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, compression="none") as writer:
        for start in range(0, len(file), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            columns = [pa.array(file.ids[part].tolist(), pa.string())]
            columns += [pa.array(column) for column in file.labels[part].T]
            for array, kind in zip(arrays, kinds, strict=True):
                columns.append(pa.FixedSizeListArray.from_arrays(pa.array(array[part].ravel()), type=kind))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return [path]


def export_tensorboard(file: FeatureFile, layers: Sequence[str], folder: Path) -> list[Path]:
    """Files for TensorBoard's projector: `tensorboard --logdir <folder>` shows them.

    `<layer>.bytes` holds float32 rows, `metadata.tsv` ids and labels (`|` between an image's classes),
    `projector_config.pbtxt` their names.
    """
    written, config = [], []
    for layer in layers:
        rows = file.layer(layer)
        written.append(folder / f"{layer}.bytes")
        with atomic_write(written[-1]) as temporary, temporary.open("wb") as out:
            for start in range(0, len(rows), _BLOCK_ROWS):
                out.write(rows[start : start + _BLOCK_ROWS].astype("<f4").data)
        config.append(
            f'embeddings {{\n  tensor_name: "{file.model}/{layer}"\n  tensor_path: "{layer}.bytes"\n'
            f"  tensor_shape: {len(rows)}\n  tensor_shape: {rows.shape[1]}\n"
            '  metadata_path: "metadata.tsv"\n}\n'
        )
    written += [folder / "metadata.tsv", folder / "projector_config.pbtxt"]
    classes = np.array(file.classes)
    shown = (joined(classes[labels == 1]) for labels in file.labels)
    lines = (f"{name}\t{labels}\n" for name, labels in zip(file.ids, shown, strict=True))
    write_text(folder / "metadata.tsv", "".join(["id\tlabels\n", *lines]))  # the projector knows no quotes
    write_text(folder / "projector_config.pbtxt", "".join(config))
    return written


def _apart(layer: str, ours: Iterable[str]) -> str:
    """What a layer is called beside names of ours; no two layers are called alike."""
    return f"layer.{layer}" if layer in ours or layer.startswith("layer.") else layer
