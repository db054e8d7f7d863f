"""A project with a model that reads, one that does not, and layers derived from the former."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pool5.datasets.manifest import write_manifest
from pool5.extract.extract_layers import extract_model
from pool5.models.preprocessing import settled
from pool5.models.weights import start_network, store_start
from pool5.params import load_params
from pool5.project import Project
from pool5.stages import derive
from tests.cli.small_project import CLASSES, images
from tests.models.small_clip import SIGLIP, put_config

PARAMS = """
dataset: {name: toy, kind: folder, root: data/raw/toy, train: train, test: test}
models:
  clip:
    architecture: open_clip/small.json
    weights: random
    layers: {image: image, block: visual.ln_post}
    preprocess: {resize: 32, crop: 32}
    train: null
  net:
    architecture: mobilenet_v3_small
    weights: random
    layers: {pooled: flatten}
    preprocess: {resize: 36, crop: 32}
extract: {device: cpu, batch_size: 16, workers: 0}
derive:
  unit: {of: clip/image, steps: [l2]}
  moved: {of: unit/image, steps: [center]}
"""
RECIPES = Path(__file__).parents[2] / "recipes.yaml"


def make_words_project(folder: Path) -> Project:
    """Every stage up to the derived layers, in a folder."""
    project = Project(folder)
    put_config(folder, SIGLIP)
    project.params.write_text(PARAMS)
    params = load_params(project.params)
    for split, prefix, count, seed in (("test", "0", 110, 0), ("train", "9", 105, 1)):
        write_manifest(images(folder, split, prefix, count, seed), project.manifest(split))
    for name in params.models:
        spec = settled(name, params.models, folder)
        start = start_network(name, spec, CLASSES, project.models, folder)
        store_start(name, start, project.model(name))
        extract_model(name, params, project)
    shutil.copy(RECIPES, project.recipes)
    before = Path.cwd()
    os.chdir(folder)
    try:
        derive.main()
    finally:
        os.chdir(before)
    return project
