"""`pool5 check` says before the first stage what would stop a run, all at once, and what it will lack."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from pool5.cli.check import check

NET = {
    "architecture": "resnet18",
    "weights": "random",
    "layers": {"fc7": "flatten"},
    "preprocess": {"resize": 40, "crop": 32},
}


@pytest.fixture
def project(tmp_path):
    return Checked(tmp_path)


class Checked:
    """A project of a few images, and what `check` says of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.params = {
            "dataset": {"name": "own", "kind": "folder", "root": "images", "train": "train", "test": "test"},
            "models": {"net": dict(NET)},
        }

    def draw(self, classes=("cat", "cow", "dog"), test=4, same=False) -> None:
        for split, count in (("train", 4), ("test", test)):
            for number, name in enumerate(classes):
                folder = self.root / "images" / split / name
                folder.mkdir(parents=True)
                for i in range(count):
                    color = (0, 0, 0) if same else (number, i, len(split))
                    Image.new("RGB", (8, 8), color).save(folder / f"{split}{i}.png")

    def told(self, capsys) -> tuple[int, list[str]]:
        path = self.root / "params.yaml"
        path.write_text(json.dumps(self.params))  # JSON is YAML without aliases
        code = 0
        try:
            check.callback(path)
        except SystemExit as stop:
            code = stop.code
        return code, [line.replace(str(self.root), "") for line in capsys.readouterr().err.splitlines()]


def test_what_is_sound_and_lacks_nothing_is_one_line(project, capsys):
    project.draw()
    assert project.told(capsys) == (0, ["/params.yaml: sound; own, 1 model, 1 layer"])


@pytest.mark.parametrize("name", ["dvc.lock", ".dvc/tmp/rwlock"])
def test_a_file_that_dvc_was_stopped_at_is_told(project, capsys, name):
    project.draw()
    (project.root / name).parent.mkdir(parents=True, exist_ok=True)
    (project.root / name).touch()
    line = f"pool5: /{name}: empty, as DVC was stopped while it wrote it; remove it: what is computed is kept"
    assert project.told(capsys) == (2, [line])
    (project.root / name).write_text("{}")
    assert project.told(capsys)[0] == 0


def test_all_that_would_stop_a_run_is_told_at_once(project, capsys):
    project.draw()
    project.params["models"] |= {
        "typo": NET | {"architecture": "resnet81"},
        "node": NET | {"layers": {"fc7": "layer9"}},
        "crop": NET | {"architecture": "alexnet"},
        "file": NET | {"weights": "own.pth", "sha256": "0" * 64},
    }
    project.params["index"] = {"of": ["net/fc7"], "factory": "IVF"}
    project.params["extract"] = {"cache": "/"}
    code, lines = project.told(capsys)
    assert code == 2
    assert [line.partition("params.yaml: ")[2].partition(":")[0] for line in lines] == [
        "extract.cache",
        "models.file.weights",
        "models.typo",
        "models.node",
        "models.crop",
        "index.factory",
    ]
    assert "did you mean resnet18" in lines[2]


def test_several_references_that_lead_nowhere_are_told_at_once(project, capsys):
    project.draw()
    project.params |= {"tsne": {"of": ["net/fc8"]}, "ap": {"of": ["probe"]}, "neighbors": {"k": 200}}
    code, lines = project.told(capsys)
    assert code == 2
    assert [line.split(": ")[2] for line in lines] == ["tsne.of", "neighbors.k", "ap.of"]


def test_what_a_small_test_split_will_lack_is_told_and_stops_nothing(project, capsys):
    project.draw(classes=("cat", "dog"), test=1)
    project.params |= {"neighbors": {"of": ["net/fc7"]}, "tsne": {"of": ["net/fc7"]}}
    code, lines = project.told(capsys)
    assert code == 0
    assert lines[:3] == [
        "to come: neighbors.queries: 3 of different classes, but test shows 2 classes",
        "to come: neighbors.k: 4, but test has 2 images, of which one is the query",
        "to come: tsne.perplexity: 30 needs 91 images, but test has 2 images",
    ]


def test_copies_of_one_image_are_told(project, capsys):
    project.draw(same=True)
    assert "to come: test: all 12 images have the same bytes" in project.told(capsys)[1][0]


def test_a_codebook_larger_than_the_split_is_told(project, capsys):
    project.draw()
    project.params["index"] = {"of": ["net/fc7"], "factory": "IVF64,Flat"}
    code, lines = project.told(capsys)
    assert code == 2
    assert "IVF64,Flat has 64 centroids to place, but there are only 12 rows" in lines[0]


@pytest.mark.parametrize("weights", ["imagenet", "pretrained"])
def test_a_preprocessing_that_is_not_the_weights_own_is_told(project, capsys, caplog, weights):
    project.draw()
    project.params["models"]["net"]["weights"] = weights
    assert project.told(capsys)[0] == 0
    assert "were trained with resize 256, crop 224" in caplog.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x08\x08\x12\x07pytorch", "an ONNX file, not a state dict; save torch.save(model.state_dict(), "),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes, not a state dict; save torch.save("),
        (b"no weights at all", "not a torch checkpoint; fetch or save it again"),
    ],
)
def test_a_checkpoint_that_is_none_is_told_before_any_training(project, capsys, content, told):
    project.draw()
    path = project.root / "data/models/net.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    project.params["models"]["net"] |= {"weights": "net.pth", "sha256": sha256}
    code, (line,) = project.told(capsys)
    assert (code, line.split(told)[0]) == (2, "pool5: /params.yaml: model net: /data/models/net.pth: ")
    project.params["models"]["net"]["sha256"] = "0" * 64
    code, (line,) = project.told(capsys)
    assert (code, f"net.pth has {sha256}, not 0000" in line) == (2, True)


def test_a_list_of_several_kinds_of_device_is_told(project, capsys):
    project.draw()
    project.params["extract"] = {"device": ["cpu", "cuda:0"]}
    code, [told] = project.told(capsys)
    assert code == 2
    assert told.startswith("pool5: /params.yaml: extract.device: [cpu, cuda:0]: CPUs and GPUs may differ")
    project.params["extract"]["mixed"] = True
    assert project.told(capsys)[0] == 0


def test_a_decoder_of_cards_on_a_cpu_is_told(project, capsys):
    project.draw()
    project.params["extract"] = {"device": "cpu", "decoder": "nvjpeg"}
    code, [told] = project.told(capsys)
    assert (code, "extract.decoder: nvjpeg decodes on a CUDA device" in told) == (2, True)


@pytest.mark.parametrize("root", [".", "data", "data/models", "reports"])
def test_a_root_that_the_project_writes_into_is_refused(project, capsys, root):
    project.draw()
    project.params["dataset"]["root"] = root
    code, lines = project.told(capsys)
    assert code == 2
    assert f"dataset.root: {root}: the project keeps what it makes in there" in lines[0]


def test_a_root_that_is_not_there_is_told(project, capsys):
    code, lines = project.told(capsys)
    assert (code, len(lines)) == (2, 1)
    assert "dataset.root: images: no such folder" in lines[0]


@pytest.mark.parametrize("cache", ["/", ".", "..", "data/features", "params.yaml"])
def test_a_cache_in_a_folder_that_holds_other_things_is_refused(project, capsys, cache):
    project.draw()
    project.params["extract"] = {"cache": cache}
    code, lines = project.told(capsys)
    assert code == 2
    assert f"extract.cache: {cache}: " in lines[0]


def test_a_link_that_leads_nowhere_is_told_for_it_would_stop_a_run_without_a_listing(project, capsys):
    project.draw()
    (project.root / "images/test/cat/gone.jpg").symlink_to(project.root / "nowhere.jpg")
    code, (line,) = project.told(capsys)
    assert code == 2
    assert "dataset.root: 1 link that leads nowhere (test/cat/gone.jpg): remove it, or set" in line
    project.params["dataset"]["listing"] = True
    assert "nowhere" not in str(project.told(capsys))
