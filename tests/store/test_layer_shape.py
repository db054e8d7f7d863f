from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool5.store.layer_shape import LayerShape

LENGTHS = st.integers(1, 10**6)
SHAPES = st.one_of(
    st.lists(LENGTHS, min_size=1, max_size=5).map(lambda shape: LayerShape(tuple(shape))),
    st.tuples(LENGTHS, LENGTHS, LENGTHS).map(lambda shape: LayerShape(shape, "C,H,W")),
    st.tuples(LENGTHS, LENGTHS).map(lambda shape: LayerShape(shape, "tokens,C", 1)),
    st.tuples(LENGTHS, LENGTHS).map(
        lambda shape: LayerShape(shape[1:], "C", pooled_from=LayerShape(shape, "tokens,C", shape[0]))
    ),
)


@given(SHAPES)
def test_what_is_written_is_read_in_one_way(shape: LayerShape) -> None:
    text = shape.json()
    assert LayerShape.from_json(text) == shape
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert shape.width == math.prod(json.loads(text)["shape"])


def test_a_shape_says_what_its_axes_are() -> None:
    tokens = LayerShape((261, 384), "tokens,C", 5)
    assert str(tokens) == "261 x 384 (tokens, C; 5 of them prefix tokens)"
    assert str(LayerShape((384,), "C", pooled_from=tokens)) == "384 (C)"
    assert str(LayerShape((3, 4))) == "3 x 4"
    assert LayerShape((64, 7, 7), "C,H,W").channels == 64
    assert LayerShape((7, 7, 64), "H,W,C").channels == 64
    assert LayerShape((7, 7)).channels is None


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (((),), "1 to 32 axes"),
        (((0,),), "integers above 0"),
        (((2.0,),), "integers above 0"),
        (((2,), "tokens,C"), "a length for each axis"),
        (((2,), "B"), "axes are one of"),
        (((2,), "C", 1), "prefix tokens are among the tokens"),
        (((2, 3), "tokens,C", 3), "prefix tokens are among the tokens"),
        (((2,), "C", 0, LayerShape((4, 3), "tokens,C")), "the channels of what was pooled"),
        (((2,), "", 0, LayerShape((4, 2), "tokens,C")), "the channels of what was pooled"),
        (((2,), "C", 0, LayerShape((2,), "C", 0, LayerShape((2,), "C"))), "pooled once"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        LayerShape(*arguments)
