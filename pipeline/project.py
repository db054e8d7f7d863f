"""Where everything of a project lies: the one place that knows the names of its files and folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from .files.remote import is_remote

_EXPERIMENTS = (".dvc", "tmp", "exps")  # where `dvc exp run --temp` and `--queue` clone the project to


@dataclasses.dataclass(frozen=True)
class Project:
    """A project's folder; `Project()` is the working folder.

    What it names need not exist. A `layer` is written `<model>/<layer>`.
    """

    root: Path = Path()

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def graph(self) -> Path:
        return self.root / "dvc.yaml"

    @property
    def recipes(self) -> Path:
        return self.root / "recipes.yaml"

    @property
    def plot_template(self) -> Path:
        return self.root / ".dvc/plots/precision_recall.json"

    @property
    def data(self) -> Path:
        """The folder of all that stages keep."""
        return self._data()

    def resolved(self, stage: str, item: str | None = None) -> Path:
        """What decides a stage's outputs: its parameters, defaults filled in, and its recipe version."""
        return self._data("params", *([stage, f"{item}.json"] if item else [f"{stage}.json"]))

    def raw(self, dataset: str) -> Path:
        return self._data("raw", dataset)

    def images(self, dataset_root: str) -> str:
        """What a manifest's paths start from; `dataset.root` may be absolute, or an address (`s3://…`)."""
        return dataset_root if is_remote(dataset_root) else str(self.root / dataset_root)

    @property
    def manifests(self) -> Path:
        return self._data("manifest")

    def manifest(self, split: str) -> Path:
        return self.manifests / f"{split}.csv"

    @property
    def objects(self) -> Path:
        return self.manifests / "objects.csv"

    @property
    def looks(self) -> Path:
        """What the pictures look like."""
        return self.manifests / "looks.csv"

    @property
    def models(self) -> Path:
        return self._data("models")

    def model(self, name: str) -> Path:
        return self.models / name

    @property
    def feature_folders(self) -> Path:
        return self._data("features")

    def features(self, model: str, split: str) -> Path:
        return self.feature_folders / model / f"{split}.h5"

    @property
    def derived_folders(self) -> Path:
        return self._data("derived")

    def derived_folder(self, name: str) -> Path:
        """Of the feature files of a layer that was computed from another one, and what it learned."""
        return self.derived_folders / name

    def derived(self, name: str, split: str) -> Path:
        return self.derived_folder(name) / f"{split}.h5"

    @property
    def neighbor_folders(self) -> Path:
        return self._data("neighbors")

    def extraction(self, model: str) -> Path:
        """The record of which images have rows in the model's feature files."""
        return self.feature_folders / model / "extraction.json"

    def neighbors(self, layer: str) -> Path:
        return self.neighbor_folders / f"{layer}.h5"

    @property
    def indexes(self) -> Path:
        return self._data("indexes")

    def index(self, layer: str, engine: str = "faiss") -> Path:
        return self.indexes / f"{layer}.{engine}"

    @property
    def probes(self) -> Path:
        return self._data("probes")

    def probe(self, name: str) -> Path:
        """Its test logits; its weights stand beside them, as .safetensors."""
        return self.probes / f"{name}.h5"

    @property
    def results(self) -> Path:
        return self._data("results")

    def result(self, name: str) -> Path:
        """A record: `ap`, `tsne/<model>/<layer>`, …"""
        return self.results / f"{name}.json"

    def result_folder(self, stage: str) -> Path:
        """Of the records of a stage that writes one a layer."""
        return self._data("results", stage)

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def report(self, *parts: str) -> Path:
        return self.reports.joinpath(*parts)

    def metrics(self, name: str) -> Path:
        return self.report("metrics", f"{name}.json")

    def row_cache(self, setting: str) -> Path | str:
        """The row cache that `extract.cache` names, a path or an address."""
        return setting if is_remote(setting) else self._home / setting

    def row_caches(self, setting: str, read_also: Sequence[str]) -> tuple[Path | str, list[Path | str]]:
        """That row cache, and those of `extract.read_also`."""
        return self.row_cache(setting), [self.row_cache(name) for name in read_also]

    @property
    def publishing_locks(self) -> Path:
        return self._home / ".cache/locks"

    @property
    def unit_cache(self) -> Path:
        return self._home / ".cache/units"

    @property
    def known_images(self) -> Path:
        """What was found in the images, to read only those that are new."""
        return self._home / ".cache/images.known"

    @property
    def known_shards(self) -> Path:
        """A folder with what was found in tar shards, to read only the new ones."""
        return self._home / ".cache/shards.known"

    @property
    def downloads(self) -> Path:
        return self._home / ".cache/downloads"

    @property
    def checkpoints(self) -> Path:
        return self.root / ".cache/training"

    def outputs_of(self, model: str) -> list[Path]:
        """What is made for one model alone."""
        made = self.model(model), self.feature_folders / model, self.result(f"training/{model}")
        return [*made, self.report("training", model), self.metrics(f"training/{model}")]

    def set_aside(self, output: Path) -> Path:
        """Where an output goes that params.yaml names no more."""
        return self.aside / output.relative_to(self.root)

    @property
    def aside(self) -> Path:
        """The folder of all that was set aside."""
        return self.root / ".cache/removed"

    @property
    def costs(self) -> Path:
        """What extractions took on this machine."""
        return self._home / ".cache/costs"

    def cost(self, measured: str) -> Path:
        """Of what `store.extraction_cost` calls so."""
        return self.costs / f"{measured}.json"

    def timings(self, *parts: str) -> Path:
        return self.root.joinpath(".cache/timings", *parts)

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def _home(self) -> Path:
        """Where the caches are: for an experiment in a folder of its own, in the project that it is of."""
        here = self.root.resolve()
        inside = [folder for folder in here.parents if folder.parts[-3:] == _EXPERIMENTS]
        return inside[-1].parents[2] if inside else self.root

    def _data(self, *parts: str) -> Path:
        return self.root.joinpath("data", *parts)
