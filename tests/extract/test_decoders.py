"""Extraction through each decoder: its own key, its own rows, and the same bits for a lone image."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.errors import UserError
from pool5.extract import card_decoder
from pool5.extract.embed import embed_images
from pool5.extract.extract_layers import extract_model
from pool5.extract.forward import Forward
from pool5.extract.keys import feature_keys
from pool5.models.weights import start_network, store_start
from pool5.params import Params, load_params
from pool5.project import Project
from pool5.store.feature_file import FeatureFile
from tests.images.jpegs import encoded, of_every_kind, picture

PARAMS = """
dataset: {name: toy, kind: folder, root: raw, train: train, test: test}
models:
  net:
    architecture: mobilenet_v3_small
    weights: random
    layers: {pooled: flatten}
    preprocess: {resize: 72, crop: 64}
    train: null
extract: {device: cpu, batch_size: 16, workers: 0}
"""
SMALL_SLOT = 64 * 64 * 3  # bytes of an image's pixels, which hold a small file


def params_with(project: Project, **extract: object) -> Params:
    params = load_params(project.params)
    return msgspec.structs.replace(params, extract=msgspec.structs.replace(params.extract, **extract))


def manifest(folder: Path, split: str) -> Manifest:
    paths = sorted(path.name for path in folder.iterdir())
    digests = [hashlib.blake2b((folder / path).read_bytes(), digest_size=16).digest() for path in paths]
    return Manifest(
        split=split,
        classes=("cat",),
        ids=np.array(paths),
        paths=np.array(paths),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16),
        sizes=np.tile(np.array([200, 150], np.int32), (len(paths), 1)),
        labels=np.ones((len(paths), 1), np.int8),
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Images of every kind, and JPEGs that are larger than what their pixels take."""
    monkeypatch.chdir(tmp_path)
    found = Project(tmp_path)
    found.params.write_text(PARAMS)
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, data in enumerate(of_every_kind(picture(200, 150)).values()):
        (raw / f"{number:02d}").write_bytes(data)
    for seed in range(20, 40):
        (raw / f"{seed}.jpg").write_bytes(encoded(picture(90 + seed * 10, 80 + seed * 5, seed), quality=97))
    assert max(path.stat().st_size for path in raw.iterdir()) > SMALL_SLOT
    for split in ("train", "test"):
        write_manifest(manifest(raw, split), found.manifest(split))
    params = load_params(found.params)
    start = start_network("net", params.models["net"], ("cat",), found.models, tmp_path)
    store_start("net", start, found.model("net"))
    return found


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_decoder, "CPU_STANDS_IN", True)


def features(project: Project) -> np.ndarray:
    return np.array(FeatureFile.open(project.features("net", "test")).layer("pooled"))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_each_decoder_has_a_key_of_its_own_and_pillows_is_as_ever(project: Project) -> None:
    keys = [
        feature_keys(params_with(project, decoder=name), "net", project.models)["pooled"]
        for name in ("pillow", "turbojpeg", "nvjpeg")
    ]
    assert [key.preprocessing.get("decoder") for key in keys] == [None, "turbojpeg", "nvjpeg"]
    assert len({key.digest for key in keys}) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_of_several_decoders_never_mix(project: Project, stand_in: None, workers: int) -> None:
    images = len(list((project.root / "raw").iterdir()))
    found = {}
    for name in ("pillow", "turbojpeg", "nvjpeg"):
        result = extract_model("net", params_with(project, decoder=name, workers=workers), project)
        assert result.splits["test"].rows == images
        found[name] = features(project)
        assert cosines(found[name], found["pillow"]).min() > 0.98
    assert not np.array_equal(found["turbojpeg"], found["pillow"])
    assert not np.array_equal(found["nvjpeg"], found["pillow"])
    extract_model("net", params_with(project, decoder="pillow", workers=workers), project)
    np.testing.assert_array_equal(features(project), found["pillow"])


@pytest.mark.parametrize("name", ["turbojpeg", "nvjpeg"])
def test_a_lone_image_gets_the_bits_that_are_stored(project: Project, stand_in: None, name: str) -> None:
    params = params_with(project, decoder=name, workers=2)
    extract_model("net", params, project)
    paths = sorted((project.root / "raw").iterdir())
    lone = embed_images(paths, "net", params, project=project)["pooled"]
    np.testing.assert_array_equal(lone, features(project))
    for path, row in zip(paths[::9], features(project)[::9], strict=True):
        np.testing.assert_array_equal(embed_images([path], "net", params, project=project)["pooled"][0], row)


def test_the_service_answers_an_image_with_the_stored_bits(project: Project) -> None:
    from pool5.questions.vector_process import VectorProcess

    project.params.write_text(PARAMS.replace("workers: 0", "workers: 0, decoder: turbojpeg"))
    params = load_params(project.params)
    extract_model("net", params, project)
    file = FeatureFile.open(project.features("net", "test"))
    process = VectorProcess(project)
    try:
        images = [project.root / "raw" / name for name in file.ids.tolist()[-3:]]
        vectors = process.embedder(params).images(images, file, "pooled")
    finally:
        process.stop()
    np.testing.assert_array_equal(vectors, file.layer("pooled")[-3:])


def test_nvjpeg_on_a_cpu_is_refused_in_one_line(project: Project) -> None:
    told = (
        r"^extract\.decoder: nvjpeg decodes on a CUDA device, and the network is on the CPU; take turbojpeg$"
    )
    with pytest.raises(UserError, match=told):
        extract_model("net", params_with(project, decoder="nvjpeg"), project)


def refuse(bad: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decode_jpeg = card_decoder.decode_jpeg

    def picky(data: list, *rest: object) -> list:
        if any(file.numpy().tobytes() == bad for file in data):
            raise RuntimeError("Failed to get image info: 4")
        return decode_jpeg(data, *rest)

    monkeypatch.setattr(card_decoder, "decode_jpeg", picky)


def test_an_image_that_the_device_refuses_fails_or_is_skipped_alone(
    project: Project, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_model("net", params_with(project, decoder="nvjpeg"), project)
    whole = features(project)
    refuse((project.root / "raw/25.jpg").read_bytes(), monkeypatch)
    params = params_with(project, decoder="nvjpeg", cache="other")
    with pytest.raises(UserError, match=r"25\.jpg: the device's decoder refuses it \(Failed .*on_bad_image"):
        extract_model("net", params, project)
    skipping = params_with(project, decoder="nvjpeg", cache="other", on_bad_image="skip")
    result = extract_model("net", skipping, project)
    assert [image.id for image in result.splits["test"].skipped] == ["25.jpg"]
    left = [name != "25.jpg" for name in sorted(path.name for path in (project.root / "raw").iterdir())]
    np.testing.assert_array_equal(features(project), whole[left])
    with pytest.raises(UserError, match=r"25\.jpg: the device's decoder refuses it"):
        embed_images([project.root / "raw/25.jpg"], "net", params, project=project)


@pytest.mark.parametrize("decoder", ["turbojpeg", "nvjpeg"])
def test_damage_is_told_as_ever(project: Project, stand_in: None, decoder: str) -> None:
    whole = (project.root / "raw/22.jpg").read_bytes()
    (project.root / "raw/22.jpg").write_bytes(whole[: len(whole) // 2])
    for split in ("train", "test"):
        write_manifest(manifest(project.root / "raw", split), project.manifest(split))
    with pytest.raises(UserError, match=r"22\.jpg: damaged \(.*truncated"):
        extract_model("net", params_with(project, decoder=decoder), project)
    params = params_with(project, decoder=decoder)
    with pytest.raises(UserError, match=r"22\.jpg: damaged \("):
        embed_images([project.root / "raw/22.jpg"], "net", params, project=project)
    lost = project.root / "lost.jpg"  # whose end is there: of a manifest's images that is known before
    lost.write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    if decoder == "nvjpeg":
        with pytest.raises(UserError, match=r"lost\.jpg: damaged \("):
            embed_images([lost], "net", params, project=project)


def test_a_missing_package_is_one_line_before_anything_is_started(project: Project) -> None:
    program = (
        "import json, sys; sys.modules['simplejpeg'] = None\n"
        "from pathlib import Path\n"
        "from pool5.extract.extract_layers import extract_model\n"
        "from pool5.params import load_params; from pool5.project import Project\n"
        "from pool5.errors import UserError\n"
        "project = Project(Path(sys.argv[1]))\n"
        "try: extract_model('net', load_params(project.params), project)\n"
        "except UserError as error: print(json.dumps(str(error)))"
    )
    project.params.write_text(PARAMS.replace("workers: 0", "workers: 2, decoder: turbojpeg"))
    done = subprocess.run(
        [sys.executable, "-c", program, str(project.root)], capture_output=True, text=True, env=os.environ
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.startswith(
        "extract.decoder: turbojpeg: simplejpeg is not installed; run pip install 'pool5[p"
    )


def test_a_forward_pass_takes_what_its_device_has_decoded(project: Project, stand_in: None) -> None:
    """The tensor that `decode` gives, and its pixels as an array, make the same bits."""
    from pool5.extract.stored_network import StoredNetwork
    from pool5.models.card import read_card, settled_by

    params = params_with(project)
    spec = settled_by(read_card(project.model("net")), params.model("net"))
    network = StoredNetwork(project.model("net"), spec, params.extract, project.root)()
    assert isinstance(network, Forward)
    images = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    file = np.frombuffer((project.root / "raw/20.jpg").read_bytes(), np.uint8)
    there, _ = network.decode(images, {3: file})
    (one,), (other,) = (
        network.start(given)().values() for given in (there, np.ascontiguousarray(there.numpy()))
    )
    np.testing.assert_array_equal(one, other)
