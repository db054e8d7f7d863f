"""A network of a file of one's own: what it is told, and what each mistake in the file is told as."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
from source_tests import SourceTests

from pool5.errors import UserError
from pool5.models.network import (
    build_network,
    check_buildable,
    head_names,
    load_network,
    num_outputs,
    options_of,
)
from pool5.models.sources import source_of
from pool5.models.sources.own import OwnSource
from pool5.models.weights import start_network, store_start
from pool5.params import Model, Preprocess, Train

NETWORK = """
from torch import nn

def build(num_outputs, crop, width=8):
    assert crop < 100, "small images"
    trunk = nn.Sequential(nn.Conv2d(3, width, 2, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(trunk, nn.Linear(width, num_outputs))
"""
HEADLESS = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(2))
"""


class TestOwn(SourceTests):
    kind = OwnSource
    small = ("my_models.py:build", 32)
    mistyped = ("my_models.py:biuld", r"my_models.py has no function biuld \(did you mean build\?\)")
    without_weights = "my_models.py:build"

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return written(tmp_path)


def written(root: Path, text: str = NETWORK, name: str = "my_models.py") -> Path:
    (root / name).write_text(text)
    return root


def model(architecture: str = "my_models.py:build", **fields: object) -> Model:
    fields = {"weights": "random", "preprocess": Preprocess(resize=32, crop=32)} | fields
    return Model(architecture=architecture, layers={"map": "0"}, **fields)


def refused(root: Path, text: str | None = None, architecture: str = "my_models.py:build", **fields) -> str:
    """The line that a model of a file with this text is refused with."""
    if text is not None:
        written(root, text)
    lines = []
    for _ in range(2):  # the second time too
        with pytest.raises(UserError) as refusal:
            start_network("m", model(architecture, **fields), ("cat",), root, root)
        lines.append(str(refusal.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    return lines[0]


def test_arguments_are_given_by_name_beside_the_outputs_and_the_crop(tmp_path):
    written(tmp_path)
    start = start_network("m", model(arguments={"width": 5}), ("cat", "dog"), tmp_path, tmp_path)
    assert start.network[0][0].weight.shape == (5, 3, 2, 2)
    assert start.network[1].weight.shape == (2, 5)
    sha256 = hashlib.sha256(NETWORK.encode()).hexdigest()
    assert start.card.options == {"file_sha256": sha256, "arguments": {"width": 5}}


def test_a_function_takes_what_it_has_parameters_for(tmp_path):
    text = "from torch import nn\ndef build(crop=3, *, of=1):\n    return nn.Conv2d(3, crop, of)\n"
    network = build_network("my_models.py:build", 7, 32, root=written(tmp_path, text))
    assert network.weight.shape == (32, 3, 1, 1)
    assert (head_names(network), num_outputs(network)) == ((), 0)


def test_a_class_is_a_function_too(tmp_path):
    text = (
        "import dataclasses\nfrom torch import nn\n"
        "@dataclasses.dataclass\nclass Sizes:\n    width: int = 3\n\n"
        "class Net(nn.Module):\n    def __init__(self, num_outputs, sizes=Sizes()):\n"
        "        super().__init__()\n        self.fc = nn.Linear(sizes.width, num_outputs)\n"
        "    def forward(self, x):\n        return self.fc(x.mean((2, 3)))\n"
    )
    network = build_network("my_models.py:Net", 2, 8, root=written(tmp_path, text))
    assert head_names(network) == ("fc",)
    assert network.eval()(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


def test_a_model_of_a_file_that_has_changed_is_refused(tmp_path):
    start = start_network("m", model(), ("cat",), tmp_path, written(tmp_path))
    store_start("m", start, tmp_path / "m")
    images = torch.randn(2, 3, 32, 32)
    logits = load_network(tmp_path / "m", tmp_path)(images)
    assert torch.equal(logits, start.network.eval()(images))
    written(tmp_path, NETWORK.replace("nn.ReLU()", "nn.Tanh()"))
    with pytest.raises(
        UserError, match=r"^my_models.py has changed since the model was made from it$"
    ) as told:
        load_network(tmp_path / "m", tmp_path)
    assert told.value.rerun == "model"
    written(tmp_path)
    assert torch.equal(load_network(tmp_path / "m", tmp_path)(images), logits)


def test_two_texts_of_one_file_and_two_files_do_not_mix(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    networks, digests = [], []
    for root, width in ((tmp_path, 4), (other, 5), (tmp_path, 6), (tmp_path, 4)):
        written(root, NETWORK.replace("width=8", f"width={width}"))
        networks.append(build_network("my_models.py:build", 1, 32, root=root))
        digests.append(options_of("my_models.py:build", {}, root)["file_sha256"])
    assert [len(network[0][0].weight) for network in networks] == [4, 5, 6, 4]
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3


def test_what_a_file_computes_when_it_is_read_has_values_and_is_the_same_each_time(tmp_path):
    text = (
        "import torch\nfrom torch import nn\nMEAN = torch.randn(4)\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.register_buffer('mean', MEAN)\n    def forward(self, x):\n        return x\n"
    )
    means = []
    for seed, root in enumerate((tmp_path / "a", tmp_path / "b")):
        root.mkdir()
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.device("meta"):
            source_of("my_models.py:Net", written(root, text + f"# {seed}\n"))
        assert torch.equal(torch.get_rng_state(), before)
        means.append(build_network("my_models.py:Net", 1, 8, root=root).mean)
    assert means[0].device.type == "cpu"
    assert torch.equal(*means)


def test_a_network_that_loads_its_own_weights_keeps_them(tmp_path):
    """Their values are in the model's folder; that the file is read, nobody but its author knows."""
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "mine.pt")
    text = (
        "import torch\nfrom pathlib import Path\nfrom torch import nn\n"
        "def build():\n    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))\n"
        "    state = torch.load(Path(__file__).with_name('mine.pt'))\n"
        "    network[2].load_state_dict(state)\n    return network\n"
    )
    start = start_network("m", model(), ("cat",), tmp_path, written(tmp_path, text))
    store_start("m", start, tmp_path / "m")
    (tmp_path / "mine.pt").rename(tmp_path / "gone.pt")
    told = refused(tmp_path)
    assert "mine.pt" in told
    assert told.endswith("(line 6)")
    (tmp_path / "gone.pt").rename(tmp_path / "mine.pt")
    loaded = load_network(tmp_path / "m", tmp_path).state_dict()
    saved = torch.load(tmp_path / "mine.pt")
    assert all(torch.equal(loaded[f"2.{name}"], value) for name, value in saved.items())


def test_num_outputs_of_a_network_without_weights_are_none(tmp_path):
    text = "from torch import nn\ndef build(num_outputs):\n    return nn.ReLU()\n"
    assert num_outputs(build_network("my_models.py:build", 3, 8, root=written(tmp_path, text))) == 0


def test_without_num_outputs_there_is_no_head_and_nothing_to_train(tmp_path):
    start = start_network("m", model(), ("cat",), tmp_path, written(tmp_path, HEADLESS))
    assert (start.card.outputs, start.card.classes) == (0, ())
    told = refused(tmp_path, train=Train(epochs=1, batch_size=2, optimizer="sgd", lr=0.1))
    assert told.startswith("models.m.train: my_models.py:build has no classifier to train; write train: null")


def test_a_file_that_is_imported_from_the_project_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, "WIDTH = 3\n", "pool5_test_blocks.py")
    for text in (f"import pool5_test_blocks\n{NETWORK}", NETWORK.replace(
        "    assert", "    import pool5_test_blocks\n    assert")):  # fmt: skip
        told = refused(tmp_path, text)
        assert told == (
            f"model m: my_models.py imports {tmp_path}/pool5_test_blocks.py, whose changes would not be "
            "noticed; write it in my_models.py"
        )
    build_network("my_models.py:build", 1, 32, root=written(tmp_path, f"import this\n{NETWORK}"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NETWORK.replace("    trunk", "    1 / 0\n    trunk"), r"ZeroDivisionError: division .* \(line 6\)"),
        (f"1 / 0\n{NETWORK}", r"ZeroDivisionError: division by zero \(line 1\)"),
        (NETWORK.replace("nn.ReLU()", "nn.ReLUU()"), r"AttributeError: .*ReLUU.* \(line 6\)"),
        ("def build():\n    raise ValueError('two\\nlines')\n", r"ValueError: two lines \(line 2\)"),
        ("def build(:\n    pass\n", r"SyntaxError: invalid syntax \(my_models.py, line 1\)"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(line 2\)"),
        ("def build():\n    raise SystemExit\n", r"SystemExit.* \(line 2\)"),
        ("import no_such_package\n", r"ModuleNotFoundError: No module named 'no_such_package' \(line 1\)"),
        ("def build():\n    pass\n", "gave a NoneType, not an nn.Module"),
        ("def biuld():\n    pass\n", r"has no function build \(did you mean biuld\?\)"),
        ("build = 3\n", "has no function build"),
        ("", "has no function build"),
        ("\0", "(SyntaxError|ValueError)"),
        (NETWORK.replace("num_outputs)", "5)"), "its last linear .* gives 5 values, not num_outputs = "),
        (NETWORK.replace("(width, num", "(width + 1, num"), "cannot take images of 32 px.*RuntimeError"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line(tmp_path, text, told):
    line = refused(tmp_path, text)
    assert re.search(f"^model m: architecture my_models.py:build: .*{told}", line)


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("/etc/my_models.py:build", "give the file from the project's folder"),
        ("../my_models.py:build", "give the file from the project's folder"),
        ("nets/my_models.py:build", r"nets/my_models.py cannot be read \(No such file"),
    ],
)
def test_a_file_that_is_not_in_the_project_is_refused(tmp_path, architecture, told):
    assert re.search(f"architecture {architecture}: .*{told}", refused(tmp_path, architecture=architecture))


def test_arguments_that_it_does_not_take_and_a_crop_that_it_cannot_take_are_refused(tmp_path):
    told = refused(tmp_path, NETWORK, arguments={"widht": 3})
    assert "unexpected keyword argument 'widht'" in told
    with pytest.raises(UserError, match=r"my_models.py:build: AssertionError: small images \(line 5\)$"):
        check_buildable("my_models.py:build", 100, root=tmp_path)
