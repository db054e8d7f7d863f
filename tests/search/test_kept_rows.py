"""Which rows are still there: in the same order, and by their bytes."""

from __future__ import annotations

import difflib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pool5.search.kept_rows import kept_rows, row_digests

ROWS = st.lists(st.integers(0, 9), max_size=14)


def kept(before: list[int], now: list[int]) -> list[int]:
    rows = [row_digests(np.array(values, np.float32)[:, None]) for values in (before, now)]
    return kept_rows(*rows).tolist()


def test_what_is_added_or_replaced_is_new_and_what_is_removed_is_named_by_none():
    assert kept([5, 6, 7, 8], [5, 9, 6, 8]) == [0, -1, 1, 3]
    assert kept([5, 6], [5, 9]) == [0, -1]
    assert kept([], [5]) == [-1]
    assert kept([5], []) == []


def test_a_row_that_moved_past_others_is_new_and_the_others_are_not():
    assert kept([1, 2, 3, 4, 5], [5, 1, 2, 3, 4]) == [-1, 0, 1, 2, 3]


def test_copies_are_kept_beside_the_rows_that_they_stood_beside():
    assert kept([0, 1, 0, 2, 0], [1, 0, 2, 0]) == [1, 2, 3, 4]
    assert kept([7, 7, 7], [7, 7]) == [0, 1]


@given(ROWS, ROWS)
def test_the_order_is_kept_and_the_bytes_are_the_same(before, now):
    found = kept(before, now)
    there = [row for row in found if row >= 0]
    assert there == sorted(set(there))
    assert all(before[old] == new for old, new in zip(found, now, strict=True) if old >= 0)


@given(st.lists(st.integers(0, 99), unique=True, max_size=14), st.lists(st.integers(0, 99), unique=True))
def test_of_rows_without_copies_no_fewer_are_kept_than_difflib_finds(before, now):
    blocks = difflib.SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
    assert sum(row >= 0 for row in kept(before, now)) >= sum(block.size for block in blocks)
