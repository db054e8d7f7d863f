"""DVC stage `dataset`: every image's id, digest, size, labels and boxes, by split."""

from __future__ import annotations

from ..datasets.inventory import take_inventory
from ..params import load_params
from . import run


def main() -> None:
    params = load_params()
    take_inventory(
        params.dataset,
        on_bad_image=params.extract.on_bad_image,
        folder="data/manifest",
        metrics="reports/metrics/dataset.json",
    )


if __name__ == "__main__":
    run(main)
