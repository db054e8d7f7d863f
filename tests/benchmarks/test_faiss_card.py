"""The measurements of FAISS on a card, played by the CPU."""

from __future__ import annotations

import pytest

from benchmarks.faiss_card import faiss_card_rows
from tests.search.conftest import refuse_to_skip


def test_all_of_it_runs_without_a_card_and_the_cpu_agrees_with_itself(monkeypatch):
    monkeypatch.setattr("benchmarks.faiss_card._SMALL", 700)
    monkeypatch.setattr("benchmarks.faiss_card._FIRST", 300)
    rows = list(faiss_card_rows([(600, 16), (900, 16)], "cpu"))
    assert all(row["ok"] for row in rows)
    assert [row["what"] for row in rows] == [
        "Flat of 600 x 16, searched",
        "IVF8,Flat of 600 x 16, searched",
        "IVF8,Flat of 600 x 16, trained",
        "IVF8,PQ2 of 600 x 16, searched",
        "IVF8,PQ2 of 600 x 16, trained",
        "the 10 nearest of 600 of 600 x 16",
        "the 10 nearest of 900 of 900 x 16",
    ]


@pytest.mark.gpu
def test_on_cuda_the_card_agrees_with_the_cpu():
    rows = list(faiss_card_rows([(5000, 64)], "cuda"))
    if len(rows) == 1:
        refuse_to_skip()
        pytest.skip("FAISS finds no GPU")
    assert all(row["ok"] for row in rows), rows
    assert all(row["memory_mb"] > 0 for row in rows)
