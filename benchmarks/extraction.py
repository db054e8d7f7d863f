"""From JPEG files to features on disk: beside the bare forward pass, decoding alone, and other extractors."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import logging
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from benchmarks.host_memory import reuse_freed_memory
from benchmarks.peer_environment import PeerProcess
from pool5.datasets.inventory import take_inventory
from pool5.datasets.manifest import read_manifest
from pool5.extract.decoding import ImageTask
from pool5.extract.extract_layers import extract_model
from pool5.extract.reader import available_workers, read_batches
from pool5.models.network import build_network, head_names
from pool5.models.weights import start_network, store_start
from pool5.params import Layer, Params, load_params
from pool5.project import Project as Paths
from pool5.store.feature_file import FeatureFile

_PHOTOGRAPHS = Path("../shared/data/voc2012-animals")
_BATCH = 32
# where the features of an architecture come from, by the names of its modules; elsewhere node flatten
_NODES = {
    "timm/vit_small_patch16_224": Layer(node="norm", pool="cls"),
    "timm/convnext_tiny": Layer(node="head.flatten"),
}


class Project:
    """A folder with a data set, a network of random weights, and params that name both."""

    def __init__(
        self,
        folder: Path,
        images: int,
        architecture: str = "resnet18",
        *,
        precision: str = "fp32",
        device: str = "cpu",
    ) -> None:
        self.folder, self.architecture = folder, architecture
        self.layer = _NODES.get(architecture, Layer(node="flatten"))
        self.model = architecture.rpartition("/")[2]
        raw, self.kind = _dataset(folder, images)
        document = msgspec.to_builtins(load_params())
        spec = {
            "architecture": architecture,
            "weights": "random",
            "layers": {"fc7": msgspec.to_builtins(self.layer)},
            "preprocess": {"resize": 256, "crop": 224},
            "train": None,
        }
        document["dataset"] |= {
            "root": str(raw),
            "train": "bench",
            "val": None,
            "test": "bench",
            "sample": None,
        }
        document["models"] = {self.model: spec}
        document["extract"] |= {
            "precision": precision,
            "device": device,
            "batch_size": _BATCH,
            "cache": str(folder / "cache"),
        }
        self.params = msgspec.convert(document, Params)
        with contextlib.redirect_stderr(io.StringIO()):
            take_inventory(Paths(folder), self.params.dataset)
            self.manifest = read_manifest(Paths(folder).manifest("bench"))
            model = self.params.models[self.model]
            start = start_network(self.model, model, self.manifest.classes, Paths(folder).models)
            store_start(self.model, start, Paths(folder).model(self.model))
        self.network = start.network.eval()
        self.computed = 0  # rows of the last extraction
        self.paths = [str(raw / path) for path in self.manifest.paths]

    def forget(self) -> None:
        """Empty the row cache."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def extract(self) -> np.ndarray:
        """Extract into the feature file and give the layer."""
        told = io.StringIO()
        log, handler = logging.getLogger("pool5.extract"), logging.StreamHandler(told)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            extract_model(self.model, self.params, Paths(self.folder))
        finally:
            log.removeHandler(handler)
        computed = re.search(r"(\d+) computed", told.getvalue())
        self.computed = int(computed[1]) if computed else -1
        return FeatureFile.open(Paths(self.folder).features(self.model, "bench")).layer("fc7")

    def extract_afresh(self) -> tuple[float, np.ndarray]:
        self.forget()
        return timed(self.extract)()


def _dataset(folder: Path, images: int) -> tuple[Path, str]:
    """A VOC devkit with a split `bench` of so many images: real photographs where they are at hand."""
    source, split, kind = _PHOTOGRAPHS / "VOCdevkit" / "VOC2012", "test", "real photographs"
    if not source.is_dir():
        from pool5.datasets.images import provide_images

        document = msgspec.to_builtins(load_params("presets/sample.yaml"))["dataset"]
        document["sample"] |= {"train": 8, "val": 4, "test": images, "source": 8}
        project = Paths(folder / "drawn")
        document["root"] = str(project.raw(document["name"]).relative_to(project.root))
        dataset = msgspec.convert(document, type(load_params().dataset))
        provide_images(project, dataset)
        source = next((folder / "drawn").rglob("JPEGImages")).parent
        kind = "drawn images"
    devkit = folder / "raw" / "VOCdevkit" / source.name
    lists = devkit / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    names = (source / "ImageSets" / "Main" / f"{split}.txt").read_text().split()[:images]
    for part in ("JPEGImages", "Annotations"):
        (devkit / part).mkdir()
        for name in names:
            suffix = ".jpg" if part == "JPEGImages" else ".xml"
            if (source / part / f"{name}{suffix}").exists():
                shutil.copy(source / part / f"{name}{suffix}", devkit / part)
    wanted = set(names)
    for file in (source / "ImageSets" / "Main").glob(f"*_{split}.txt"):
        lines = [line for line in file.read_text().split("\n") if line and line.split()[0] in wanted]
        (lists / file.name.replace(f"_{split}", "_bench")).write_text("\n".join(lines) + "\n")
    (lists / "bench.txt").write_text("\n".join(names) + "\n")
    return folder / "raw", kind


def same_features(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Whether two extractions saw the same images in the same way: other resizing moves features a little."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        return f"{DIFFERENT}shapes {ours.shape} and {theirs.shape}"
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    far = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    word = "" if cosine.min() > 0.995 else DIFFERENT
    return f"{word}features equal within {far:.1e} of the largest, cosine at least {cosine.min():.5f}"


def _autocast(precision: str, device: str) -> contextlib.AbstractContextManager:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16)


def _bare(trunk: nn.Module, batches: list[torch.Tensor], precision: str, device: str) -> None:
    with torch.inference_mode(), _autocast(precision, device):
        for batch in batches:
            trunk(batch)
    if device == "cuda":
        torch.cuda.synchronize()


def _decode(project: Project) -> None:
    tasks = [
        ImageTask(i, path, digest.tobytes())
        for i, (path, digest) in enumerate(zip(project.paths, project.manifest.digests, strict=True))
    ]
    preprocess = project.params.models[project.model].transform
    for _ in read_batches(
        tasks, batch_size=_BATCH, preprocess=preprocess, workers=max(available_workers(), 1)
    ):
        pass


def bf16_is_native() -> bool:
    """Whether the CPU has bf16 instructions; elsewhere torch emulates them, many times slower than fp32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def extraction_rows(scratch: Path, images: int, runs: int = 3, device: str = "cpu") -> list[Row]:
    """Two networks in fp32 and bf16, beside the limits and the loop that people write.

    The bare forward pass runs in this process, so with the memory that Pool5's stages keep; the loop has a
    process of its own.
    """
    reuse_freed_memory()  # as every stage does
    rows: list[Row] = []
    for precision in ("fp32", "bf16"):
        for architecture in ("resnet18", "mobilenet_v2"):
            name = f"extraction, {architecture}, {precision}, {device}"
            if precision == "bf16" and device == "cpu" and not bf16_is_native():
                why = "this CPU has no bf16 instructions"
                rows.append(_not_run(name, "Pool5", "plain DataLoader loop", why))
                continue
            folder = scratch / f"{architecture}-{precision}"
            project = Project(folder, images, architecture, precision=precision, device=device)
            with contextlib.ExitStack() as processes:
                loop = _other("plain DataLoader loop", "plain_loop", project, processes)
                peers = [*_limits(project, precision, device), loop]
                rows += contest(name, _describe(project), "Pool5", project.extract_afresh, peers, runs)
    return rows


def extractor_rows(scratch: Path, images: int, runs: int) -> list[Row]:
    """ResNet-18 in fp32 on the CPU, beside the extractors that can run it."""
    reuse_freed_memory()
    project = Project(scratch / "extractors", images)
    with contextlib.ExitStack() as processes:
        peers = [
            _other("img2vec-pytorch", "img2vec", project, processes),
            _other("thingsvision", "thingsvision_extractor", project, processes),
            Peer(
                "clip-retrieval inference",
                "2.45.0",
                None,
                missing="runs CLIP networks only: it cannot do this work",
            ),
        ]
        name = "extraction beside extractors"
        return contest(name, _describe(project), "Pool5", project.extract_afresh, peers, runs)


def timm_rows(scratch: Path, images: int, runs: int) -> list[Row]:
    """A ViT and a ConvNeXt of timm in fp32 on the CPU, beside the limits and the extractors."""
    reuse_freed_memory()
    rows: list[Row] = []
    for architecture in _NODES:
        project = Project(scratch / architecture, images, architecture)
        with contextlib.ExitStack() as processes:
            peers = [
                *_limits(project, "fp32", "cpu"),
                _other("thingsvision", "thingsvision_extractor", project, processes),
                Peer(
                    "dinotool",
                    "0.4.0",
                    None,
                    missing="runs networks of its own list with their weights from the hub",
                ),
            ]
            name = f"extraction, {architecture}, fp32, cpu"
            rows += contest(name, _describe(project), "Pool5", project.extract_afresh, peers, runs)
    return rows


def _describe(project: Project) -> str:
    given = f"{len(project.paths)} {project.kind}, {project.architecture} at 224 px, batches of {_BATCH}"
    return given if project.layer.node == "flatten" else f"{given}; layer {project.layer}"


def _limits(project: Project, precision: str, device: str) -> list[Peer]:
    # the layout that is the faster one: timm's ViT and ConvNeXt order their channels themselves
    own = project.architecture.startswith("timm/")
    layout = torch.contiguous_format if own else torch.channels_last
    trunk = _trunk(project).eval().to(device).to(memory_format=layout)
    pixels = torch.randn(_BATCH, 3, 224, 224, device=device).to(memory_format=layout)
    whole, rest = divmod(len(project.paths), _BATCH)
    batches = [pixels] * whole + [pixels[:rest]] * (rest > 0)
    return [
        Peer(
            "bare forward pass (limit)",
            f"torch {torch.__version__}",
            timed(functools.partial(_bare, trunk, batches, precision, device)),
            lambda ours, theirs: "as many images through the network; nothing is read or kept",
            note="on a CPU, decoding takes its share of the cores that the pass has alone"
            if device == "cpu"
            else "",
        ),
        Peer(
            "decoding alone (limit)",
            "",
            timed(functools.partial(_decode, project)),
            lambda ours, theirs: "the same files to the same pixels; no network",
        ),
    ]


def _trunk(project: Project) -> nn.Module:
    """The network without its classifier, as its library gives it."""
    if project.architecture.startswith("timm/"):
        trunk = copy.deepcopy(project.network)
        trunk.reset_classifier(0)
        return trunk
    return create_feature_extractor(project.network, {"flatten": "flatten"})


def _other(name: str, program: str, project: Project, processes: contextlib.ExitStack) -> Peer:
    """Another extractor, in a process of its own, with the project's weights."""
    weights, out = project.folder / "weights.pth", project.folder / f"{program}.npy"
    # a head of 1000 classes, as the extractors build it; what is before it is compared
    whole = build_network(project.architecture, 1000)
    heads = tuple(f"{head}." for head in head_names(whole))
    trunk = {k: v for k, v in project.network.state_dict().items() if not k.startswith(heads)}
    torch.save(whole.state_dict() | trunk, weights)
    process = PeerProcess(
        program,
        architecture=project.architecture,
        node=project.layer.node,
        pool=project.layer.pool,
        weights=str(weights),
        paths=project.paths,
        folder=str(Path(project.paths[0]).parent),
        scratch=str(project.folder),
        batch=_BATCH,
        precision=project.params.extract.precision,
        device=project.params.extract.device,
        out=str(out),
    )
    processes.callback(process.stop)
    check = functools.partial(_same_saved, project, out)
    return Peer(name, process.version, None if process.missing else process.run, check, process.missing)


def _not_run(row: str, ours: str, peer: str, why: str) -> Row:
    return Row(row, "", ours, peer, "", None, None, None, 0, f"not run: {why}")


def _same_saved(project: Project, out: Path, ours: np.ndarray, answer: dict) -> str:
    theirs = np.load(out)
    if "names" in answer:
        order = {name: row for row, name in enumerate(answer["names"])}
        theirs = theirs[[order[name] for name in project.manifest.ids.tolist()]]
    return same_features(ours, theirs)


def again_rows(scratch: Path, images: int = 192, runs: int = 3) -> list[Row]:
    """Extraction with nothing new, with one new image, and after a kill at half, beside all over again."""
    project = Project(scratch / "again", images)
    whole = np.array(project.extract())
    left = []

    def check(ours: np.ndarray, theirs: np.ndarray) -> str:
        word = "features equal to the bit" if ours.tobytes() == theirs.tobytes() else f"{DIFFERENT}features"
        return f"{word}; {left[-1]} of {len(whole)} rows were left to compute"

    def again() -> tuple[float, np.ndarray]:
        seconds, features = timed(project.extract)()
        left.append(project.computed)
        return seconds, np.array(features)

    afresh = Peer("the same, computed afresh", "Pool5", project.extract_afresh, check)
    given = _describe(project)

    def one_new() -> tuple[float, np.ndarray]:
        project.forget()
        manifest = project.manifest
        _extract_some(project, manifest, len(manifest) - 1)
        return again()

    def after_a_kill() -> tuple[float, np.ndarray]:
        project.forget()
        _kill_at_half(project, len(whole))
        return again()

    return [
        *contest("extraction, nothing new", given, "Pool5", again, [afresh], runs),
        *contest("extraction, one new image", given, "Pool5", one_new, [afresh], runs),
        *contest("extraction, after a kill at half", given, "Pool5", after_a_kill, [afresh], runs),
    ]


def _extract_some(project: Project, manifest, count: int) -> None:
    from pool5.datasets.manifest import write_manifest

    path = Paths(project.folder).manifest("bench")
    write_manifest(manifest.take(np.arange(count)), path)
    project.extract()
    write_manifest(manifest, path)


def _kill_at_half(project: Project, count: int) -> None:
    """Start an extraction in another process and kill it (SIGKILL) when about half of the time has passed."""
    code = (
        "import sys, msgspec; from pathlib import Path\n"
        "import pool5.extract.extractor as extractor\n"
        "extractor.FLUSH_SECONDS = 0.5\n"  # as half a minute is to a run of hours
        "from pool5.params import Params; from pool5.extract.extract_layers import extract_model\n"
        "folder = Path(sys.argv[1])\n"
        "params = msgspec.json.decode((folder / 'params.json').read_bytes(), type=Params)\n"
        "from pool5.project import Project\n"
        "extract_model(sys.argv[2], params, Project(folder))"
    )
    (project.folder / "params.json").write_bytes(msgspec.json.encode(project.params))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(project.folder), project.model],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    # half of the rows, by what the cache holds: a shard is the most that the kill then costs
    half = count * 512 * 4 // 2
    cache = project.folder / "cache"
    while process.poll() is None:
        there = sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()) if cache.exists() else 0
        if there >= half:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait()
