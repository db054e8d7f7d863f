"""`show`, `verify` and `export` on a real feature file, through the real command line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from pool5.models.card import ModelCard, write_card
from pool5.store.export import export_npy, export_parquet, export_tensorboard
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.layer_shape import LayerShape
from tests.store.small_file import VERSION_1, content, seal, write_small

LABELS = np.array([[1, -1], [0, 1], [1, 1]], np.int8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_small(tmp_path / "data/features/m/test.h5", 3, labels=LABELS)


def pool5(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pool5", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"},
    )


def test_show_says_what_a_file_holds(tmp_path: Path, file: Path) -> None:
    told = pool5(tmp_path, "show", file)
    assert told.returncode == 0
    assert "m on d test: 3 images" in told.stdout
    assert "fc: 3 x 5 float32, 60 B\n  shape: 5\n" in told.stdout
    assert "cat: 2 (1)" in told.stdout
    about = json.loads(pool5(tmp_path, "show", file, "--json").stdout)
    assert about["layers"]["fc"]["key"]["node"] == "fc"
    assert about["layers"]["fc"]["layer_digest"] == FeatureFile.open(file).layer_digest("fc")


def test_show_says_what_the_axes_are_what_was_pooled_and_every_field_of_the_key(tmp_path: Path) -> None:
    tokens = LayerShape((261, 5), "tokens,C", 5)
    pixels = {"crop": 224, "mean": [0.5, 0.5, 0.5], "odd": "\x1b[2J"}
    key = FeatureKey("vit", "0" * 64, "fc", pixels, "fp32", "float32", 1, pool="mean")
    shapes = {"fc": LayerShape((5,), "C", pooled_from=tokens), "pool": LayerShape((3, 1, 1), "C,H,W")}
    file = write_small(tmp_path / "test.h5", keys=content()["keys"] | {"fc": key}, shapes=shapes)
    told = pool5(tmp_path, "show", file).stdout
    assert "shape: 5 (C), mean of 261 x 5 (tokens, C; 5 of them prefix tokens)" in told
    assert "shape: 3 x 1 x 1 (C, H, W)" in told
    lines = [line.strip() for line in told.splitlines()]
    for field in ("architecture: vit", "node: fc", "precision: fp32", "pool: mean", "pool: flatten"):
        assert field in lines
    assert {"preprocessing:", "crop: 224", "mean: [0.5, 0.5, 0.5]", 'odd: "\\u001b[2J"'} <= set(lines)
    layers = json.loads(pool5(tmp_path, "show", file, "--json").stdout)["layers"]
    assert layers["fc"]["shape"]["pooled_from"] == json.loads(tokens.json())
    assert layers["fc"]["key"]["pool"] == "mean"
    assert "pool" not in layers["pool"]["key"]


def test_a_file_of_version_1_is_shown_verified_and_exported(tmp_path: Path) -> None:
    assert "shape: not told by a file of format version 1" in pool5(tmp_path, "show", VERSION_1).stdout
    assert json.loads(pool5(tmp_path, "show", VERSION_1, "--json").stdout)["layers"]["fc"]["shape"] is None
    assert pool5(tmp_path, "verify", VERSION_1).returncode == 0
    assert pool5(tmp_path, "export", VERSION_1, "--to", "npy", "--out", "out").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out/fc.npy"), content(60)["layers"]["fc"])


def test_only_a_file_of_the_project_has_a_stage_that_writes_it_again(tmp_path: Path, file: Path) -> None:
    (tmp_path / "README.md").write_text("# no feature file")
    for command in (("show",), ("export", "--to", "npy")):
        told = pool5(tmp_path, *command, "README.md")
        assert (told.returncode, told.stderr) == (
            2,
            "pool5: README.md: not a feature file, or its first bytes are damaged\n",
        )
    told = pool5(tmp_path, "verify", "README.md")
    assert (told.returncode, told.stdout) == (
        1,
        "README.md: not a feature file, or its first bytes are damaged\n",
    )
    file.write_bytes(b"damaged")
    assert "run `dvc repro -sf extract`" in pool5(tmp_path, "verify", file).stdout
    assert "run `dvc repro -sf extract`" in pool5(tmp_path, "show", "data/features/m/test.h5").stderr


def test_verify_exits_with_0_when_sound_and_with_1_and_the_place_when_damaged(
    tmp_path: Path, file: Path
) -> None:
    assert pool5(tmp_path, "verify").returncode == 0
    offset = FeatureFile.open(file).layer("fc").offset
    with file.open("r+b") as damaged:
        damaged.seek(offset)
        damaged.write(b"\x7f")
    told = pool5(tmp_path, "verify")
    assert told.returncode == 1
    assert "data/features/m/test.h5: layers/fc, rows 0 to 2: damaged" in told.stdout


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for command in ("show", "verify"):
        told = pool5(tmp_path, command, "nothing.h5")
        assert told.returncode == 2
        assert len(told.stderr.splitlines()) == 1


def test_verify_does_not_call_sound_what_it_has_not_seen(tmp_path: Path) -> None:
    told = pool5(tmp_path, "verify")
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
    assert "no feature files here" in told.stderr


def test_a_layer_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path, file: Path) -> None:
    wrong = ("--layer", "fc", "--layer", "fc9", "--out", "out")
    assert pool5(tmp_path, "export", file, "--to", "npy", *wrong).returncode == 2
    assert not (tmp_path / "out").exists()
    twice = ("--layer", "fc", "--layer", "fc", "--out", "out")
    assert pool5(tmp_path, "export", file, "--to", "parquet", *twice).returncode == 0
    assert pq.read_table(tmp_path / "out/test.parquet").column_names.count("fc") == 1


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path, file: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "pool5", "show", str(file)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", ["npy", "parquet", "tensorboard"])
def test_export_gives_the_same_values_in_another_form(tmp_path: Path, file: Path, kind: str) -> None:
    told = pool5(tmp_path, "export", file, "--to", kind, "--out", "out")
    assert told.returncode == 0, told.stderr
    features, out = FeatureFile.open(file), tmp_path / "out"
    if kind == "npy":
        np.testing.assert_array_equal(np.load(out / "fc.npy"), features.layer("fc"))
        np.testing.assert_array_equal(np.load(out / "labels.npy"), features.labels)
        assert (out / "ids.txt").read_text().split() == features.ids.tolist()
    elif kind == "parquet":
        table = pq.read_table(out / "test.parquet")
        assert table["id"].to_pylist() == features.ids.tolist()
        assert table["label.dog"].to_pylist() == [-1, 1, 1]
        np.testing.assert_array_equal(np.array(table["fc"].to_pylist(), "f4"), features.layer("fc"))
        assert json.loads(table.schema.metadata[b"feature_key.fc"])["node"] == "fc"
        assert json.loads(table.schema.metadata[b"shape.fc"])["shape"] == [5]
    else:
        found = np.fromfile(out / "fc.bytes", "<f4").reshape(3, 5)
        np.testing.assert_array_equal(found, features.layer("fc"))
        assert (out / "metadata.tsv").read_text() == "id\tlabels\n000000\tcat\n000001\tdog\n000002\tcat|dog\n"
        assert 'tensor_path: "fc.bytes"' in (out / "projector_config.pbtxt").read_text()


def test_export_to_lance_takes_every_split_and_adds_layers_to_what_is_there(
    tmp_path: Path, file: Path
) -> None:
    lance = pytest.importorskip("lance", reason="pylance is not installed: there are no Lance tables")
    train = write_small(tmp_path / "data/features/m/train.h5", 4, split="train")
    first = pool5(tmp_path, "export", train, file, "--to", "lance", "--layer", "fc")
    uri = Path("exports/d.lance")
    assert (first.returncode, first.stdout) == (0, f"{uri}: m/fc\n")
    told = pool5(tmp_path, "export", train, file, "--to", "lance", "--output", uri)
    assert told.stdout == f"{uri}: m/pool\n"
    assert told.stderr == f"{uri}: 1 layer there already, as now\n"
    assert lance.dataset(tmp_path / uri).to_table()["split"].to_pylist() == ["train"] * 4 + ["test"] * 3
    told = pool5(tmp_path, "export", file, "--to", "lance")
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
    assert "has the images of train, test of d, not test of d" in told.stderr
    told = pool5(tmp_path, "export", train, file, "--to", "npy")
    assert (told.returncode, told.stderr) == (
        2,
        "pool5: --to npy takes one feature file, not 2; --to lance takes several\n",
    )


def test_no_name_of_a_layer_or_a_class_takes_the_place_of_another(tmp_path: Path) -> None:
    layers = ("labels", "id", "layer.id", "label.cat", "fc7")
    key = FeatureKey("net", "0" * 64, "fc", {}, "fp32", "float32", 1)
    write_small(
        tmp_path / "test.h5",
        2,
        classes=("light", "traffic light", "cat", "a|b", '"q"'),
        ids=np.array(['000001"', "000002"]),
        labels=np.array([[1, 1, -1, -1, -1], [-1, -1, 1, 1, 1]], np.int8),
        layers={name: np.full((2, 3), at, "f4") for at, name in enumerate(layers)},
        keys=dict.fromkeys(layers, key),
    )
    file = FeatureFile.open(tmp_path / "test.h5")
    written = export_npy(file, layers, tmp_path)
    assert len({*written}) == len(written) == 7
    assert np.load(tmp_path / "labels.npy").tolist() == file.labels.tolist()
    assert np.load(tmp_path / "layer.labels.npy").tolist() == [[0] * 3] * 2
    (path,) = export_parquet(file, layers, tmp_path)
    table = pq.read_table(path)
    assert len(set(table.column_names)) == len(table.column_names) == 11
    for at, name in enumerate(("labels", "layer.id", "layer.layer.id", "layer.label.cat", "fc7")):
        assert table[name].to_pylist() == [[at] * 3] * 2
    assert table["label.cat"].to_pylist() == [-1, 1]
    export_tensorboard(file, ["fc7"], tmp_path)
    assert (tmp_path / "metadata.tsv").read_text().splitlines()[1:] == [
        '000001"\tlight|traffic light', '000002\tcat|a\\|b|"q"'
    ]  # fmt: skip


def test_export_writes_where_it_is_told_whatever_the_file_says(tmp_path: Path, file: Path) -> None:
    with h5py.File(file, "r+") as hostile:
        hostile.attrs["model"] = str(tmp_path / "escaped/x")
    seal(file)
    told = pool5(tmp_path, "export", file, "--to", "npy")
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
    assert "is no name of a model" in told.stderr
    assert not (tmp_path / "escaped").exists()


def locked(folder: Path, stage: str, path: str) -> Path:
    """Note an output as DVC does, and link it to the cache; gives the cached copy."""
    md5 = hashlib.md5((folder / path).read_bytes()).hexdigest()
    kept = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.hardlink_to(folder / path)
    lock = folder / "dvc.lock"
    stages = json.loads(lock.read_text())["stages"] if lock.exists() else {}
    stages[stage] = {"outs": [{"path": path, "md5": md5}]}
    lock.write_text(json.dumps({"stages": stages}))
    return kept


def test_verify_tells_what_was_edited_in_place_and_what_mends_it(tmp_path: Path, file: Path) -> None:
    (tmp_path / "data/linked.csv").write_text("a,b\n")
    kept = locked(tmp_path, "dataset", "data/linked.csv")
    assert pool5(tmp_path, "verify").returncode == 0
    with (tmp_path / "data/linked.csv").open("a") as edited:
        edited.write("junk\n")
    told = pool5(tmp_path, "verify")
    assert told.returncode == 1
    assert f"data/linked.csv: not as dataset wrote it; DVC's copy is changed too: remove {kept}" in (
        told.stdout.replace("remove .dvc", f"remove {tmp_path}/.dvc")
    )
    assert "then run `dvc repro -sf dataset`" in told.stdout
    kept.unlink()
    kept.write_text("a,b\n")
    assert "run `dvc checkout --force data/linked.csv`" in pool5(tmp_path, "verify").stdout


def test_verify_leaves_out_what_is_noted_of_stages_that_are_no_more(tmp_path: Path, file: Path) -> None:
    for stage, name in (("index@net/fc", "old"), ("index", "new"), ("gone", "gone"), ("model@net", "net")):
        (tmp_path / f"data/{name}").write_text(name)
        locked(tmp_path, stage, f"data/{name}")
        with (tmp_path / f"data/{name}").open("a") as changed:
            changed.write("2")
    graph = {"index": {"cmd": "true"}, "model": {"foreach": ["net"], "do": {"cmd": "true"}}}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": graph}))
    told = pool5(tmp_path, "verify").stdout
    assert sorted(line.split(":")[0] for line in told.splitlines()) == ["data/net", "data/new"]


def test_verify_compares_a_folder_file_by_file(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "data/manifest"
    folder.mkdir()
    for name in ("train.csv", "été.csv"):
        (folder / name).write_text(name)
    repository = {"PATH": os.environ["PATH"], "DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path)}
    dvc = [sys.executable, "-m", "dvc"]
    stage = {"stages": {"dataset": {"cmd": "true", "outs": [{"data/manifest": {"persist": True}}]}}}
    (tmp_path / "dvc.yaml").write_text(json.dumps(stage))
    for command in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        subprocess.run([*dvc, *command], cwd=tmp_path, check=True, env=repository)
    sound = pool5(tmp_path, "verify")
    assert (sound.returncode, sound.stdout) == (0, "")
    assert "1 file that no stage wrote, not checked: data/features/m/test.h5" in sound.stderr
    (folder / "train.csv").unlink()
    (folder / "train.csv").write_text("edited")
    (folder / "more.csv").write_text("more")
    told = pool5(tmp_path, "verify").stdout.splitlines()
    assert [line.split(":")[0] for line in told] == ["data/manifest/more.csv", "data/manifest/train.csv"]


def test_verify_knows_weights_that_are_not_those_of_their_card(tmp_path: Path, file: Path) -> None:
    model = tmp_path / "data/models/net"
    write_card(model, ModelCard("resnet18", 1, 32, (), hashlib.sha256(b"weights").hexdigest(), "drawn"))
    (model / "weights.safetensors").write_bytes(b"weights")
    assert pool5(tmp_path, "verify").returncode == 0
    (model / "weights.safetensors").write_bytes(b"Weights")
    told = pool5(tmp_path, "verify")
    assert "data/models/net/weights.safetensors: damaged" in told.stdout
