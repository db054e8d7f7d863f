"""Part d: from JPEG files to a published feature file, beside its two limits.

The limits are the bare forward pass on pixels that are on the device already, and decoding alone. A stage is
measured with some images and with several times as many: what it takes to begin, some seconds, is told apart
from the rate at which it then goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import numpy as np
import torch
from torchvision.models.feature_extraction import create_feature_extractor

from benchmarks.card_trace import busy_share
from benchmarks.gpu_check import vit_s_16
from benchmarks.gpu_check.check import Check
from benchmarks.gpu_check.photographs import SIDE, write_photographs
from benchmarks.host_memory import reuse_freed_memory
from pool5.datasets.manifest import Manifest, write_manifest
from pool5.errors import UserError
from pool5.extract.card_decoder import decode_on
from pool5.extract.cuda_arithmetic import repeatable
from pool5.extract.decoding import ImageTask
from pool5.extract.extract_layers import extract_layers
from pool5.extract.job import job_of
from pool5.extract.reader import available_workers, read_batches
from pool5.extract.work import Outcome
from pool5.images.decoders import decoder_of
from pool5.models.weights import start_network, store_start
from pool5.params import Extract, Params, Preprocess
from pool5.project import Project

_WANTED = 0.9  # of the smaller limit
_NETWORKS = {
    "resnet18": ("resnet18", "flatten"),
    "vit-s-16": ("vit_s_16.py:vit_s_16", "getitem_5"),
    "resnet50": ("resnet50", "flatten"),
    "mobilenet_v2": ("mobilenet_v2", "flatten"),
}
_SECONDS = 2.5  # that the longer run of a stage is to take
_LEAST_LEFT = 12.0  # seconds, to begin another network
_CLASSES = ("any",)
_PROCESSES = (1, 2, 4, 8, 16)
_DECODE_BATCH = 16  # small: a process is at a batch of its own, and they come in bursts


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured."""

    pictures: int
    copies: int
    batch: int
    crop: int
    bare_seconds: float
    decode_seconds: float


_CARD = Size(pictures=2400, copies=10, batch=256, crop=224, bare_seconds=0.6, decode_seconds=1.0)
_CPU = Size(pictures=600, copies=1, batch=32, crop=224, bare_seconds=3.0, decode_seconds=2.0)
_QUICK = Size(pictures=96, copies=1, batch=16, crop=64, bare_seconds=0.2, decode_seconds=0.1)


def run(check: Check) -> None:
    """Decoding alone, then the networks in order of worth, each beside its limits."""
    reuse_freed_memory()  # as dvc.yaml has the stages do
    size = _QUICK if check.quick else _CARD if check.on_card else _CPU
    began = time.monotonic()
    files = write_photographs(check.scratch / "images", size.pictures, size.copies)
    manifest = _manifest(files)
    megabytes = sum(path.stat().st_size for path in files[: size.pictures]) / size.pictures / 1e6
    about = {"count": len(files), "px": SIDE, "mb_each": megabytes, "seconds": time.monotonic() - began}
    check.tell("photographs", **about)
    limits = {name: _decode_rates(check, manifest, size, name) for name in _decoders(check)}
    fastest = max(limits, key=limits.__getitem__)
    runs = [
        (name, precision, decoder, check.device)
        for precision in ("bf16", "fp32")
        for name in (["resnet18"] if check.quick else _NETWORKS)
        # what slower decoders cost is seen with one network
        for decoder in (limits if name == "resnet18" else [fastest])
    ]
    runs.insert(len(limits), ("resnet18", "bf16", fastest, [check.device, check.device]))
    for name, precision, decoder, device in runs:
        what = f"{name}, {precision}, {decoder}" + ", in two processes" * isinstance(device, list)
        if check.left() < _LEAST_LEFT:
            check.tell(what, why="no time was left for it")
            continue
        extract = {"precision": precision, "decoder": decoder, "device": device}
        _measure(check, what, Bench(check, manifest, size, name, **extract), size, limits[decoder])


def _decoders(check: Check) -> Iterator[str]:
    """Those of `extract.decoder` that can be had here."""
    for name in get_args(get_type_hints(Extract)["decoder"]):
        try:
            decoder_of(name)
        except UserError as error:
            check.tell(f"decoder {name}", why=str(error))
            continue
        if name == "nvjpeg" and not check.on_card:
            check.tell(f"decoder {name}", why="it needs a card")
        else:
            yield name


def _decode_rates(check: Check, manifest: Manifest, size: Size, decoder: str) -> float:
    """Tell the images a second that so many processes decode; gives those of as many as there are cores."""
    most = available_workers()
    rates = {}
    for workers in sorted({*(n for n in _PROCESSES if n < most), most}):
        rates[workers] = _decode_rate(check, manifest, size, decoder, workers)
    check.tell(f"decode alone, {decoder}", images_a_second=rates)
    return rates[most]


def _decode_rate(check: Check, manifest: Manifest, size: Size, decoder: str, workers: int) -> float:
    root = check.scratch / "images"
    rows = zip(manifest.paths.tolist(), manifest.digests, strict=True)
    tasks = [ImageTask(n, str(root / path), digest.tobytes()) for n, (path, digest) in enumerate(rows)]
    preprocess = _preprocess(size)
    batches = read_batches(
        tasks, batch_size=_DECODE_BATCH, preprocess=preprocess, workers=workers, decoder=decoder
    )
    began, images, seconds = 0.0, 0, 0.0
    with contextlib.closing(batches):
        for batch in batches:
            if batch.encoded:
                decode_on(torch.device(check.device), batch.images, batch.encoded, preprocess)
            # counted from the end of the first batch: the processes have started by then
            if began:
                images, seconds = images + len(batch.numbers), time.monotonic() - began
            elif len(batch.numbers):
                began = time.monotonic()
            if seconds > size.decode_seconds:
                break
    return images / seconds


def _preprocess(size: Size) -> Preprocess:
    return Preprocess(resize=size.crop * 8 // 7, crop=size.crop)


def _manifest(files: list[Path]) -> Manifest:
    digests = [hashlib.blake2b(path.read_bytes(), digest_size=16).digest() for path in files]
    return Manifest(
        split="bench",
        classes=_CLASSES,
        ids=[path.stem for path in files],
        paths=[path.name for path in files],
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16),
        sizes=np.tile(np.array([SIDE, SIDE * 3 // 4], np.int32), (len(files), 1)),
        labels=np.full((len(files), 1), -1, np.int8),
    )


class Bench:
    """A project with the photographs, one network and one way to extract."""

    def __init__(self, check: Check, manifest: Manifest, size: Size, name: str, **extract: Any) -> None:
        self.manifest, self.name = manifest, name
        self.folder = check.scratch / name
        self.folder.mkdir(exist_ok=True)
        shutil.copy(vit_s_16.__file__, self.folder)
        architecture, node = _NETWORKS[name]
        dataset = {"name": "photographs", "kind": "images", "root": str(check.scratch / "images")}
        model = {
            "architecture": architecture,
            "weights": "random",
            "layers": {"features": node},
            "preprocess": {"resize": _preprocess(size).resize, "crop": size.crop},
        }
        document = {
            "dataset": dataset | {"train": "bench", "test": "bench"},
            "models": {name: model},
            "extract": {"batch_size": size.batch, "cache": "cache"} | extract,
        }
        self.params = msgspec.convert(document, Params)
        self.project = Project(self.folder)
        asked = self.params.models[name]
        start = start_network(name, asked, _CLASSES, self.project.models, self.folder)
        self.network = start.network.eval()
        store_start(name, start, self.project.model(name))

    def extract(self, images: int) -> tuple[float, Outcome]:
        """Extract so many of the photographs from nothing: seconds, and what they were spent on."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        write_manifest(self.manifest.take(np.arange(images)), self.project.manifest("bench"))
        began = time.monotonic()
        job, preprocess, network = job_of(self.name, self.params, self.project)
        _, outcome = extract_layers(job, self.params.extract, preprocess, network, self.project)
        return time.monotonic() - began, outcome


def _measure(check: Check, what: str, bench: Bench, size: Size, decoded: float) -> None:
    several = not isinstance(bench.params.extract.device, str)
    bare = _bare_rate(bench, size, check.device)
    limit = min(bare, decoded)
    most = len(bench.manifest) // size.batch
    batches = int(np.clip(_SECONDS * limit / size.batch, min(8, most), most))
    some, many = max(batches // 4, 1) * size.batch, batches * size.batch
    short, _ = bench.extract(some)
    long, outcome = bench.extract(many)
    steady = (many - some) / (long - short) if many > some and long > short else None
    check.tell(
        what,
        images=many,
        bare=bare,
        decode=decoded,
        stage=many / long,
        steady=steady,
        ratio=many / long / limit,
        steady_ratio=steady / limit if steady else None,
        wanted=_WANTED,
        bottleneck=outcome.bottleneck,
        read_s=outcome.read,
        infer_s=outcome.infer,
        write_s=outcome.write,
        # of this process: where others compute, nothing of them is seen here
        busy=busy_share(lambda: bench.extract(some)) if check.on_card and not several else None,
    )


def _bare_rate(bench: Bench, size: Size, device: str) -> float:
    """Images a second of the network alone, as PyTorch runs it: channels last, pixels on the device."""
    node, precision = _NETWORKS[bench.name][1], bench.params.extract.precision
    trunk = create_feature_extractor(bench.network, {node: node}).eval()
    trunk = trunk.to(device, memory_format=torch.channels_last)
    pixels = torch.randn(size.batch, 3, size.crop, size.crop, device=device)
    pixels = pixels.to(memory_format=torch.channels_last)
    # in the arithmetic of extraction: without TF32
    kind = torch.device(device).type
    cast = torch.autocast(kind, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

    def passes(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            trunk(pixels)
        if kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    with torch.inference_mode(), repeatable(), cast:
        passes(3)
        count = max(int(size.bare_seconds / (passes(2) / 2)), 2)
        return count * size.batch / passes(count)
