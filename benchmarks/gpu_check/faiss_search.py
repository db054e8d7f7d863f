"""Part e: FAISS on the card against the CPU."""

from __future__ import annotations

from benchmarks.gpu_check.check import Check


def run(check: Check) -> None:
    """The searches and the graph, in three sizes."""
    import faiss  # noqa: F401 - where it is missing, this part is

    from benchmarks.faiss_card import faiss_card_rows

    sizes = [(1000, 64)] if check.quick else [(4952, 6400), (60_000, 512), (1_000_000, 512)]
    for row in faiss_card_rows(sizes, check.device):
        check.tell(**row)
