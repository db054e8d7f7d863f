"""A derived layer's files: what stands in them, and what decides their bytes."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from pool5.analysis import derived_layer
from pool5.analysis.derived_layer import FIT, decides_layer, derive_layer, fit_steps, read_fit
from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey
from pool5.store.verify import verify_feature_file, verify_fit

STEPS = ("l2", {"pca": 6}, "whiten")
KEY = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1, pool="mean")


def put(folder: Path, split: str, rows: np.ndarray, dtype: str = "float32") -> FeatureFile:
    rng = np.random.default_rng(len(rows))
    write_feature_file(
        folder / f"{split}.h5", dataset="toy", split=split, model="net", classes=("cat", "dog"),
        ids=np.array([f"{split}{number:03d}" for number in range(len(rows))]),
        digests=rng.integers(0, 256, (len(rows), 16), dtype=np.uint8),
        labels=rng.integers(-1, 2, (len(rows), 2), dtype=np.int8),
        layers={"fc": rows.astype(dtype)}, keys={"fc": dataclasses.replace(KEY, dtype=dtype)},
    )  # fmt: skip
    return FeatureFile.open(folder / f"{split}.h5")


def drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 12)) * np.arange(1, 13) + 1


@pytest.fixture
def files(tmp_path: Path) -> list[FeatureFile]:
    return [put(tmp_path / "net", "train", drawn(70, 0)), put(tmp_path / "net", "test", drawn(30, 1))]


def derived(files: list[FeatureFile], folder: Path, steps=STEPS) -> list[FeatureFile]:
    derive_layer("small", files, "fc", steps, folder)
    return [FeatureFile.open(folder / f"{file.split}.h5") for file in files]


def test_the_files_have_the_images_of_the_source_and_the_steps_values(files, tmp_path):
    fit = fit_steps(files[0].layer("fc"), STEPS)
    for source, file in zip(files, derived(files, tmp_path / "small"), strict=True):
        assert (file.model, file.split, file.classes) == ("small", source.split, source.classes)
        assert (file.ids_digest, file.labels_digest) == (source.ids_digest, source.labels_digest)
        np.testing.assert_array_equal(file.digests, source.digests)
        assert file.layer("fc").dtype == np.float32
        np.testing.assert_allclose(file.layer("fc"), fit.apply(source.layer("fc")), atol=1e-6)
        assert verify_feature_file(file.path) == []


def test_the_key_names_the_sources_key_the_steps_and_the_fit(files, tmp_path):
    train, test = derived(files, tmp_path / "small")
    (derivation,) = train.feature_key("fc").derived
    assert derivation.of == files[0].key_digest("fc")
    assert derivation.steps == STEPS
    assert train.key_digest("fc") == test.key_digest("fc") != files[0].key_digest("fc")
    assert train.feature_key("fc").source == files[0].feature_key("fc")
    assert train.key("fc")["derived"][0]["steps"] == ["l2", {"pca": 6}, "whiten"]
    assert str(derivation) == train.feature_key("fc").steps == "l2, pca 6, whiten"
    with safe_open(tmp_path / "small" / FIT, "numpy") as tensors:
        assert set(tensors.keys()) == {"1.components", "1.mean", "2.scale"}
    assert read_fit(tmp_path / "small" / FIT, derivation).steps == STEPS


def test_the_example_of_the_specification_gives_the_rows_with_plain_readers(tmp_path, monkeypatch):
    files = [put(tmp_path / "data/features/net", split, drawn(80, 0)) for split in ("train", "test")]
    derive_layer("small", files, "fc", ("l2", {"pca": 4}, "whiten"), tmp_path / "data/derived/small")
    page = (Path(__file__).parents[2] / "docs/file-format.md").read_text()
    (example,) = (
        text
        for text in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        if "fit[" in text
    )
    monkeypatch.chdir(tmp_path)
    exec(example.replace("layers/fc7", "layers/fc"), names := {})
    stored = FeatureFile.open(tmp_path / "data/derived/small/test.h5").layer("fc")
    np.testing.assert_allclose(names["rows"], stored, atol=1e-5)


def test_the_same_bytes_come_again(files, tmp_path):
    for again in "ab":
        derived(files, tmp_path / again)
    for name in ("train.h5", "test.h5", FIT):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_other_test_images_change_no_fit_and_other_training_images_do(files, tmp_path):
    (before, _), other_test = derived(files, tmp_path / "a"), put(tmp_path / "x", "test", drawn(9, 5))
    other_train = put(tmp_path / "x", "train", drawn(70, 7))
    same, _ = derived([files[0], other_test], tmp_path / "b")
    changed, _ = derived([other_train, files[1]], tmp_path / "c")
    assert same.key_digest("fc") == before.key_digest("fc") != changed.key_digest("fc")


def test_a_layer_may_be_derived_from_a_derived_one(files, tmp_path):
    once = derived(files, tmp_path / "small")
    derive_layer("unit", once, "fc", ("l2",), tmp_path / "unit")
    twice = FeatureFile.open(tmp_path / "unit/test.h5")
    assert twice.feature_key("fc").steps == "l2, pca 6, whiten, l2"
    assert twice.feature_key("fc").derived[1].of == once[0].key_digest("fc")
    np.testing.assert_allclose(np.linalg.norm(twice.layer("fc"), axis=1), 1, rtol=1e-6)


def test_half_precision_stays_and_what_it_cannot_hold_is_told(tmp_path):
    files = [put(tmp_path / "net", "train", drawn(70, 0), "float16")]
    (file,) = derived(files, tmp_path / "small")
    assert file.layer("fc").dtype == np.float16
    large = [put(tmp_path / "large", "train", np.full((4, 12), 60_000), "float16")]
    rising = [put(tmp_path / "large", "train", np.arange(48.0).reshape(4, 12) * 1300, "float16")]
    assert derived(large, tmp_path / "flat", ({"pca": 1},))
    with pytest.raises(UserError, match=r"too large for float16; put l2 first, or set extract.dtype"):
        derived(rising, tmp_path / "steep", ({"pca": 1},))


def test_no_more_than_some_rows_are_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(derived_layer, "_BLOCK_VALUES", 1 << 14)
    rows = np.random.default_rng(0).standard_normal((20_000, 128)).astype(np.float32)
    files = [put(tmp_path / "net", "train", rows)]
    files[0].ids, files[0].labels, files[0].digests  # they are held
    tracemalloc.start()
    derived(files, tmp_path / "small", ("l2", {"pca": 2}, "whiten"))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < rows.nbytes // 2


def test_a_layer_without_an_image_of_one_split_is_written(files, tmp_path):
    nobody = put(tmp_path / "none", "test", drawn(0, 1))
    assert len(derived([files[0], nobody], tmp_path / "small")[1]) == 0


def test_values_that_are_not_finite_and_too_many_components_are_told_in_a_line(files, tmp_path):
    broken = drawn(70, 0)
    broken[3, 4] = np.nan
    with pytest.raises(UserError, match=r"net/fc on train: 1 of 70 images .* not finite, first train003"):
        derived([put(tmp_path / "bad", "train", broken)], tmp_path / "small")
    with pytest.raises(UserError, match=r"derive.small.steps: pca: 13 components of rows of 12 values"):
        derived(files, tmp_path / "small", ({"pca": 13},))


def test_a_damaged_fit_is_found(files, tmp_path):
    _, file = derived(files, tmp_path / "small")
    path, (derivation,) = tmp_path / "small" / FIT, file.feature_key("fc").derived
    assert verify_fit(path) == []
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    (told,) = verify_fit(path)
    assert told.endswith("damaged, or not that of the files beside it")
    with pytest.raises(UserError, match="damaged, or not that of the feature files beside it"):
        read_fit(path, derivation)
    file.path.write_bytes(b"")
    assert "nothing to check it by" in verify_fit(path)[0]
    path.unlink()
    with pytest.raises(UserError, match=r"fit.safetensors: no such file"):
        read_fit(path, derivation)


@pytest.mark.parametrize("change", ["name", "steps", "digests", "labels"])
def test_all_that_decides_the_files_is_in_the_units_key(files, tmp_path, change):
    before = decides_layer("small", files, "fc", STEPS)
    if change == "name":
        after = decides_layer("other", files, "fc", STEPS)
    elif change == "steps":
        after = decides_layer("small", files, "fc", STEPS[:2])
    else:
        file = files[1]
        same = {"dataset": "toy", "split": "test", "model": "net", "classes": file.classes, "ids": file.ids}
        changed = {"digests": np.array(file.digests), "labels": np.array(file.labels)}
        changed[change][0] ^= 1 if change == "digests" else 0
        changed[change][0, 0] = 0 if changed[change][0, 0] else 1
        write_feature_file(
            tmp_path / "x.h5", **same, **changed, layers={"fc": file.layer("fc")}, keys={"fc": KEY}
        )
        after = decides_layer("small", [files[0], FeatureFile.open(tmp_path / "x.h5")], "fc", STEPS)
    assert before != after
