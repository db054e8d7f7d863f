"""The parquet file in the columns that embedding-atlas reads."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pool5.report.page import write_report


@pytest.fixture(scope="module")
def table(run) -> pa.Table:
    write_report(run.params, run.project)
    return pq.read_table(run.project.report("map.parquet"))


def test_one_row_a_point_with_its_place_on_every_map(run, table):
    ids = table["id"].to_pylist()
    assert ids == run.on_map
    for name, places in run.places.items():
        rows = [run.ids.index(image) for image in ids]
        np.testing.assert_allclose(table[f"x {name}"], places[rows, 0], rtol=1e-5)
        np.testing.assert_allclose(table[f"y {name}"], places[rows, 1], rtol=1e-5)


def test_neighbors_are_rows_of_the_file_and_their_distances(run, table):
    ids = table["id"].to_pylist()
    for name, vectors in run.features.items():
        own = vectors[[run.ids.index(image) for image in ids]].astype(np.float64)
        unit = own / np.linalg.norm(own, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
        np.fill_diagonal(distances, np.inf)
        for row, near in enumerate(table[f"neighbors {name}"].to_pylist()):
            assert set(near) == {"ids", "distances"}
            np.testing.assert_allclose(distances[row, near["ids"]], near["distances"], atol=1e-6)
            np.testing.assert_allclose(near["distances"], np.sort(distances[row])[:6], atol=1e-6)


def test_pictures_are_jpeg_files(table):
    picture = table["image"][0].as_py()["bytes"]
    assert Image.open(io.BytesIO(picture)).format == "JPEG"


def test_without_a_map_there_is_a_row_for_every_test_image(bare_run):
    write_report(bare_run.params, bare_run.project)
    table = pq.read_table(bare_run.project.report("map.parquet"))
    assert table["id"].to_pylist() == bare_run.ids
    assert table["number of labels"].to_pylist() == (bare_run.labels == 1).sum(axis=1).tolist()
