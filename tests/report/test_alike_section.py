"""The page says how alike layers are, and what it cannot say."""

from __future__ import annotations

import dataclasses
import re
import shutil

import msgspec
import pytest

from pool5.figures.comparison import draw_comparison
from pool5.images.address import Address
from pool5.params import Compare
from pool5.report.page import write_report
from pool5.results.comparison import Closest, ComparedPair, CompareResult, DifferingImage, DifferingPair
from pool5.results.record import save_record
from pool5.results.retrieval import Near

A, B = "caffenet/pool5", "resnet18/fc7"


def pair(second: str, measure: str, value: float, chance: float = 0.0) -> ComparedPair:
    return ComparedPair(
        first=A, second=second, measure=measure, value=value, lo=value - 0.1, hi=value + 0.1,
        chance=chance, chance_sd=0.0123, images=60,
    )  # fmt: skip


def record() -> CompareResult:
    near = tuple(Near(rank=rank, id=f"{rank:06}", distance=0.1, labels=("cat",)) for rank in (1, 2))
    image = DifferingImage(id="000007", labels=("cat",), shared=0, neighbors={A: near, B: near[::-1]})
    lead = Closest(layer=A, measure="CKA", closest=B, next="x/y", ahead=0.25, lo=0.15, hi=0.35)
    return CompareResult(
        split="test", images=60, metric="cosine", layers=(A, B), measures=("CKA", "RSA", "Procrustes"),
        resamples=1000, k=10, closest=(lead,),
        pairs=(pair(B, "CKA", 0.62), pair(B, "RSA", 0.41), pair("labels", "RSA", 0.52),
               pair(B, "Procrustes", 0.8, chance=1.7)),
        differing=(DifferingPair(first=A, second=B, sheet="differing-1", images=(image,)),),
        gaps=("RSA: 5000 of the 60 images were drawn",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alike")
    shutil.copytree(run.folder, folder, dirs_exist_ok=True)
    return folder


def written(run, folder, found: CompareResult | None) -> str:
    copied = dataclasses.replace(run, folder=folder)
    params = msgspec.structs.replace(run.params, compare=Compare(of=(A, B)))
    if found:
        save_record(found, copied.project.result("compare"))
        paths = [Address.parse(f"images/{i:06}.jpg", str(folder / "photos")) for i in range(60)]
        images = {f"{number:06}": path for number, path in enumerate(paths)}
        draw_comparison(found, images, copied.project.report("compare"))
    write_report(params, copied.project)
    return re.search(r'<section id="alike".*?</section>', copied.page.read_text(), re.DOTALL)[0]


def test_without_a_record_it_says_so(run, folder):
    assert "The stage compare has left no result." in written(run, folder, None)


def test_it_shows_every_pair_with_interval_and_chance_and_the_images_that_differ(run, folder):
    section = written(run, folder, record())
    for text in ("0.620", "0.520 to 0.720", "± 0.0123", "labels", "+0.250", "5000 of the 60 images"):
        assert text in section
    assert section.count("<img") == 2  # the heat maps, and the sheet of images
    assert "How alike layers are" in section


def test_the_most_alike_comes_first_also_by_a_distance():
    found = record()
    assert [p.value for p in found.by_measure["RSA"]] == [0.52, 0.41]
    further = msgspec.structs.replace(found, pairs=(*found.pairs, pair("x/y", "Procrustes", 0.1)))
    assert [p.value for p in further.by_measure["Procrustes"]] == [0.1, 0.8]
