"""Sparse labels hold what the dense array holds, whatever is done to them."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool5 import labels as module
from pool5.labels import Labels

DENSE = arrays.arrays(
    np.int8, st.tuples(st.integers(0, 7), st.integers(0, 5)), elements=st.sampled_from([-1, -1, -1, 0, 1])
)


@given(DENSE)
def test_the_dense_array_comes_back(dense):
    labels = Labels.dense(dense)
    assert (len(labels), labels.shape, np.asarray(labels).dtype) == (len(dense), dense.shape, np.int8)
    np.testing.assert_array_equal(np.asarray(labels), dense)


@given(DENSE)
def test_what_is_present_is_what_the_array_says(dense):
    labels = Labels.taken(dense)
    assert Labels.taken(labels) is labels
    np.testing.assert_array_equal(labels.present().toarray(), (dense == 1).astype(np.float32))
    for rows, column in zip(labels.images_of_classes(), dense.T, strict=True):
        assert rows.tolist() == np.flatnonzero(column == 1).tolist()


@given(DENSE)
def test_of_places_it_is_the_same_as_of_the_array(dense):
    rows, columns = np.nonzero(dense >= 0)
    order = np.random.default_rng(0).permutation(len(rows))
    places = rows[order], columns[order]
    np.testing.assert_array_equal(np.asarray(Labels.of(*places, dense[places], dense.shape)), dense)


@given(DENSE, st.data())
def test_rows_and_columns_are_taken_in_the_order_asked_for(dense, data):
    rows = np.array(data.draw(st.permutations(range(len(dense)))), np.int64)
    columns = data.draw(st.permutations(range(dense.shape[1])))[:3]
    labels = Labels.dense(dense)
    np.testing.assert_array_equal(np.asarray(labels[rows]), dense[rows])
    np.testing.assert_array_equal(np.asarray(labels[rows % 2 == 0]), dense[rows % 2 == 0])
    np.testing.assert_array_equal(np.asarray(labels[1:3]), dense[1:3])
    np.testing.assert_array_equal(np.asarray(labels.columns(columns)), dense[:, columns])


@given(DENSE)
def test_counts_and_what_each_row_shows_are_those_of_the_array(dense):
    labels = Labels.dense(dense)
    np.testing.assert_array_equal(labels.shown(), (dense == 1).any(axis=1))
    for label in (0, 1):
        np.testing.assert_array_equal(labels.count(label), (dense == label).sum(axis=0))
        found = [columns.tolist() for columns in labels.each(label)]
        assert found == [np.flatnonzero(row == label).tolist() for row in dense]


@given(DENSE, st.integers(1, 40))
def test_blocks_of_any_size_make_up_the_array_and_are_made_into_it(dense, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", size)
        labels = Labels.dense(dense)
        blocks = list(labels.blocks())
    np.testing.assert_array_equal(np.asarray(labels), dense)
    np.testing.assert_array_equal(np.concatenate([dense[:0], *blocks]), dense)


def test_a_million_images_of_a_thousand_classes_take_megabytes():
    rows = np.arange(1_000_000)
    labels = Labels.of(rows, rows % 1000, np.ones(len(rows)), (len(rows), 1000))
    assert sum(part.nbytes for part in labels.entries()) < 20e6
    assert set(labels.count(1).tolist()) == {1000}
