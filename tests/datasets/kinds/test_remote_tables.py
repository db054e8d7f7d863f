"""Tables in a bucket and behind a web server, and the images in them."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from listed import listed

from pool5.images.address import Address
from pool5.images.budget import UnreadableImage
from pool5.images.image_bytes import read_bytes
from pool5.params import Columns

ROWS = [bytes([n]) * 5000 for n in range(40)]
IMAGE = Columns(image="image")


def _parquet() -> bytes:
    split = ["train", "test"] * 20
    pq.write_table(pa.table({"image": ROWS, "split": split}), file := io.BytesIO(), row_group_size=8)
    return file.getvalue()


def _all_rows(root: str, paths) -> list[bytes]:
    return [read_bytes(Address.parse(path, root)) for path in paths]


def test_images_in_a_parquet_file_of_a_bucket_are_read_where_they_are(bucket):
    bucket.put("x/images.parquet", _parquet())
    train, test = listed("table", f"{bucket}/x", columns=IMAGE).values()
    assert train.paths[1] == "images.parquet#image/2"
    assert _all_rows(f"{bucket}/x", (*train.paths, *test.paths)) == ROWS[::2] + ROWS[1::2]
    with pytest.raises(UnreadableImage, match="cannot be read"):
        _all_rows(f"{bucket}/x", ["nothing.parquet#image/2"])


def test_images_in_a_parquet_file_of_a_web_server_are_too(web):
    web.files["images.parquet"] = _parquet()
    train = listed("table", str(web), files="images.parquet", columns=IMAGE)["train"]
    assert _all_rows(str(web), train.paths) == ROWS[::2]


def test_a_csv_in_a_bucket_names_images_beside_it(bucket):
    bucket.put("x/images.csv", b"path,split\na.jpg,train\nb.jpg,test\n")
    assert listed("table", f"{bucket}/x")["test"].paths == ("b.jpg",)
