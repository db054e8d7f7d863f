"""Heat maps and the tree: the same bytes each time, numbers where they have room."""

from __future__ import annotations

import itertools

import pytest

from pool5.figures.comparison import draw_heat_maps, draw_tree
from pool5.results.comparison import ComparedPair, CompareResult, Merge


def compared(count: int) -> CompareResult:
    layers = tuple(f"model-{number}/fc7" for number in range(count))
    pairs = tuple(
        ComparedPair(
            first=a, second=b, measure=measure, value=0.123, lo=0.1, hi=0.2, chance=0.5, chance_sd=0.1,
            images=9,
        )
        for measure in ("CKA", "Procrustes")
        for a, b in [*itertools.combinations(layers, 2)]
    )  # fmt: skip
    tree, branches = [], list(range(count))
    while len(branches) > 1:  # the last two are merged first
        right, left = branches.pop(), branches.pop()
        tree.append(Merge(left=left, right=right, distance=0.1 * (len(tree) + 1)))
        branches.append(count + len(tree) - 1)
    return CompareResult(
        split="test", images=9, metric="cosine", layers=layers, measures=("CKA", "RSA", "Procrustes"),
        pairs=pairs, tree=tuple(tree), k=4,
    )  # fmt: skip


@pytest.mark.parametrize("draw", [draw_heat_maps, draw_tree])
def test_the_same_record_gives_the_same_bytes(draw, tmp_path):
    for name in ("one", "two"):
        draw(compared(4), tmp_path / name)
    for suffix in (".png", ".svg"):
        first, second = ((tmp_path / name).with_suffix(suffix).read_bytes() for name in ("one", "two"))
        assert first == second


def test_a_measure_without_values_has_no_square_and_few_layers_have_numbers(tmp_path):
    draw_heat_maps(compared(4), tmp_path / "few")
    draw_heat_maps(compared(14), tmp_path / "many")
    few, many = ((tmp_path / f"{name}.svg").read_text() for name in ("few", "many"))
    assert few.count(">0.12<") == 2 * 4 * 3
    assert ">0.12<" not in many
    assert "RSA" not in few
    assert "Procrustes (0 is the same)" in few


def test_alike_layers_stand_beside_each_other():
    assert compared(4).order == tuple(f"model-{n}/fc7" for n in (0, 1, 2, 3))
    merged = CompareResult(
        split="t", images=4, metric="cosine", layers=("a/x", "b/x", "c/x"),
        tree=(Merge(left=0, right=2, distance=0.1), Merge(left=3, right=1, distance=0.4)),
    )  # fmt: skip
    assert merged.order == ("a/x", "c/x", "b/x")
