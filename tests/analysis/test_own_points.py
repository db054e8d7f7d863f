"""Points from a CSV of the project: what is read, and what is one line."""

from __future__ import annotations

import pytest

from pool5.analysis.maps.own_points import read_points
from pool5.errors import UserError


def test_further_columns_and_their_order_do_not_matter(tmp_path):
    (tmp_path / "mine.csv").write_text('\ufeffy,label,x,id\n2,"a,b",1,cat/1\n-3.5e2,,0,x y\n')
    assert read_points(tmp_path / "mine.csv") == {"cat/1": (1, 2), "x y": (0, -350)}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column id"),
        (b"id,x\na,1\n", "no column y; the first line must have id, x and y"),
        (b"id,x,y\na,1,2\na,1,2\n", r":3: a is listed twice"),
        (b"id,x,y\na,1,inf\n", r":2: '1' and 'inf' are no place"),
        (b"id,x,y\na,1\n", r":2: '1' and None are no place"),
        (b"id,x,y\na,one,2\n", r":2: 'one' and '2' are no place; write two finite numbers"),
        (b"id,x,y\n\xff,1,2\n", "not a text file in UTF-8"),
        (b'id,x,y\n"a,1,2\n', "not a CSV"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path, content, told):
    if content is not None:
        (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_points(tmp_path / "mine.csv")
