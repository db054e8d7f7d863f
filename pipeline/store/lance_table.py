"""A Lance table of feature files: a row an image, of all splits, and a column of vectors a layer.

    id      string                  split   string
    digest  16 bytes                labels  list of string: the classes that are present
    <model>/<layer>                 fixed_size_list of float16 or float32; a dot in a name is a colon

Lance keeps each column in files of its own, so that a further layer is a further column and rewrites none.
The metadata of the schema says which images the rows are, and that of a column whose values they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from .feature_file import FeatureFile

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT, FORMAT_VERSION = "pool5-lance", "1"
_BATCH_BYTES = 32 << 20
_FRAGMENT_ROWS = 1 << 18  # what one machine of several is given to index


def column_of(model: str, layer: str) -> str:
    """What a layer's column is called: Lance takes a dot for the member of a struct."""
    return f"{model}/{layer}".replace(".", ":")


def open_table(uri: str) -> Any:
    """The `lance.LanceDataset` at a folder or an address; None if there is none.

    Where a bucket is and its keys are taken from the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …).

    Raises
    ------
    UserError
        If Lance is not installed, or cannot open what is there.
    """
    lance = lance_module()
    try:
        return lance.dataset(uri, storage_options=_storage_options(uri))
    except (ValueError, OSError) as error:
        if "was not found: Not found" in str(error):
            return None
        raise UserError(f"{uri}: Lance cannot open it ({cause(error)})") from None


def write_table(files: Sequence[FeatureFile], layers: Sequence[str], uri: str) -> list[str]:
    """Write layers of a model to a Lance table, or add them to the one that is there.

    The rows are written in batches of 32 MiB and seen by readers after one commit at the end; what a kill
    leaves behind is read by nobody.

    Parameters
    ----------
    files : one feature file a split, of one model
    layers : names
    uri : a folder, or an address such as s3://bucket/path

    Returns
    -------
    list of str
        The columns that were written: none if all of them were there, of the same values.

    Raises
    ------
    UserError
        If the files do not belong together, the table is of other images, or has a column of that name with
        other values; or Lance is not installed, or cannot write.
    """
    import pyarrow as pa

    lance = lance_module()
    _check_together(files, layers)
    table = open_table(uri)
    fields = [_field(files, layer) for layer in layers]
    images = {"format": FORMAT, "format_version": FORMAT_VERSION, "dataset": files[0].dataset}
    images |= {"images": json.dumps([_images(file) for file in files], sort_keys=True)}
    if table is not None:
        files = _in_order_of(table.schema, files, images, uri)
        new = [not _is_there(table.schema, field, uri) for field in fields]
        fields = [field for field, wanted in zip(fields, new, strict=True) if wanted]
        layers = [layer for layer, wanted in zip(layers, new, strict=True) if wanted]
    if not layers:
        return []
    try:
        if table is None:
            schema = pa.schema([*_image_fields(), *fields], metadata=images)
            reader = pa.RecordBatchReader.from_batches(schema, _batches(files, layers, schema))
            options = _storage_options(uri)
            lance.write_dataset(reader, uri, max_rows_per_file=_FRAGMENT_ROWS, storage_options=options)
        else:
            schema = pa.schema(fields)
            table.add_columns(pa.RecordBatchReader.from_batches(schema, _batches(files, layers, schema)))
    except (ValueError, OSError) as error:
        raise UserError(f"{uri}: Lance cannot write it ({cause(error)})") from None
    return [field.name for field in fields]


def lance_module() -> Any:
    """The module `lance`; `UserError` if it is not installed, with what to install."""
    # without these Lance warns of what it will change, and of each list that stays empty
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    os.environ.setdefault("LANCE_LOG", "error")
    try:
        import lance
    except ModuleNotFoundError as error:
        if error.name not in ("lance", "pyarrow"):
            raise
        raise UserError(f"{error.name} is not installed; run pip install 'pool5[lance]'") from None
    return lance


def cause(error: Exception) -> str:
    """What Lance says in a line, without the places in its source."""
    lines = re.sub(r", /\S+\.rs:\d+:\d+", "", str(error).strip()).splitlines()
    return lines[0] if lines else type(error).__name__


def _storage_options(uri: str) -> dict[str, str]:
    """Lance reads the environment, but speaks no plain HTTP unless it is told to."""
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {"allow_http": "true"} if plain and uri.startswith("s3://") else {}


def _check_together(files: Sequence[FeatureFile], layers: Sequence[str]) -> None:
    first = files[0]
    splits = [file.split for file in files]
    for file in files[1:]:
        if (file.dataset, file.model) != (first.dataset, first.model):
            raise UserError(f"{file.path}: not of {first.model} on {first.dataset} as {first.path} is")
        if splits.count(file.split) > 1:
            raise UserError(f"{file.path}: split {file.split} is given twice; give one file a split")
        for layer in layers:
            if file.key_digest(layer) != first.key_digest(layer):
                raise UserError(f"{file.path}: {layer} was computed in another way than in {first.path}")


def _images(file: FeatureFile) -> dict[str, Any]:
    """What the rows of a split are, whatever is computed of them."""
    return {
        "split": file.split,
        "rows": len(file),
        "ids_digest": file.ids_digest,
        "labels_digest": file.labels_digest,
        "images_digest": hashlib.blake2b(np.ascontiguousarray(file.digests).data, digest_size=16).hexdigest(),
    }


def _image_fields() -> list[pa.Field]:
    import pyarrow as pa

    return [
        pa.field("id", pa.string(), nullable=False),
        pa.field("digest", pa.binary(16), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
    ]


def _field(files: Sequence[FeatureFile], layer: str) -> pa.Field:
    import pyarrow as pa

    first, rows = files[0], files[0].layer(layer)
    about = {
        "model": first.model,
        "layer": layer,
        "feature_key": json.dumps(first.key(layer), sort_keys=True),
        "feature_key_digest": first.key_digest(layer),
    }
    about |= {f"layer_digest.{file.split}": file.layer_digest(layer) for file in files}
    if shape := first.shape(layer):
        about["shape"] = shape.json()
    kind = pa.list_(pa.from_numpy_dtype(rows.dtype), rows.shape[1])
    return pa.field(column_of(first.model, layer), kind, nullable=False, metadata=about)


def _in_order_of(
    schema: pa.Schema, files: Sequence[FeatureFile], images: dict[str, str], uri: str
) -> list[FeatureFile]:
    """The files in the order of the table's splits; `UserError` if its rows are not theirs."""
    there = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if (there.get("format"), there.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{uri}: a Lance table that `pool5 export` did not write; choose another place")
    before, now = ({each["split"]: each for each in json.loads(told["images"])} for told in (there, images))
    if there["dataset"] != images["dataset"] or before.keys() != now.keys():
        has = f"{', '.join(before)} of {there['dataset']}"
        raise UserError(f"{uri}: has the images of {has}, not {', '.join(now)} of {images['dataset']}")
    for split, here in now.items():
        if other := [what for what in here if before[split][what] != here[what]]:
            names = ", ".join(what.removesuffix("_digest") for what in other)
            raise UserError(f"{uri}: {split} has other {names} there; export to another place")
    return sorted(files, key=lambda file: list(before).index(file.split))


def _is_there(schema: pa.Schema, field: pa.Field, uri: str) -> bool:
    """Whether the table has that column; `UserError` if it has it with other values."""
    if field.name not in schema.names:
        return False
    if not schema.field(field.name).equals(field, check_metadata=True):
        raise UserError(f"{uri}: has a column {field.name} of other values; export to another place")
    return True


def _batches(
    files: Sequence[FeatureFile], layers: Sequence[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The rows of the files one after the other, in the columns of `schema`."""
    import pyarrow as pa

    for file in files:
        arrays = [file.layer(layer) for layer in layers]
        step = max(_BATCH_BYTES // sum(rows.dtype.itemsize * rows.shape[1] for rows in arrays), 1)
        for start in range(0, len(file), step):
            part = slice(start, min(start + step, len(file)))
            columns = _image_columns(file, part) if "id" in schema.names else []
            for rows, field in zip(arrays, list(schema)[-len(layers) :], strict=True):
                values = pa.array(np.ascontiguousarray(rows[part]).ravel())
                columns.append(pa.FixedSizeListArray.from_arrays(values, type=field.type))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _image_columns(file: FeatureFile, part: slice) -> list[pa.Array]:
    import pyarrow as pa

    digests = np.ascontiguousarray(file.digests[part])
    asked, classes = np.nonzero(file.labels[part] == 1)
    counts = np.bincount(asked, minlength=len(digests))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    names = pa.array(file.classes, pa.string()).take(pa.array(classes))
    return [
        pa.array(file.ids[part].tolist(), pa.string()),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(digests), [None, pa.py_buffer(digests)]),
        pa.array([file.split] * len(digests), pa.string()),
        pa.ListArray.from_arrays(pa.array(offsets), names),
    ]
