"""DVC stage `images`: draw the sample, download VOC, or check that the data set's own folder is there."""

from __future__ import annotations

from pathlib import Path

from ..datasets.images import provide_images
from ..params import load_params
from . import run


def main() -> None:
    dataset = load_params().dataset
    provide_images(dataset, Path("data/raw") / dataset.name)


if __name__ == "__main__":
    run(main)
