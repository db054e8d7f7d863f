"""The page shows the labels in doubt, what is expected of the lists, and what it cannot say."""

from __future__ import annotations

import dataclasses
import re
import shutil

import msgspec
import pytest

from pool5.figures.label_issues import draw_conflicts, draw_issues, draw_reliability
from pool5.images.address import Address
from pool5.params import LabelIssues
from pool5.report.page import write_report
from pool5.results.label_issues import (
    Agreeing,
    Calibration,
    ClassNoise,
    LabelConflict,
    LabelIssue,
    LabelIssuesResult,
    ListedCount,
    ProbeIssues,
    ReliabilityBin,
)
from pool5.results.record import save_record


def issue(number: int, kind: str, instead: str | None = None) -> LabelIssue:
    return LabelIssue(
        split="test", id=f"{number:06}", class_name="cat", kind=kind, probability=0.871, shown=0.9,
        instead=instead, near=10, agreeing=8, nearest=(Agreeing(id="000003", distance=0.04),),
    )  # fmt: skip


def record(one_label: bool = False) -> LabelIssuesResult:
    count = ListedCount(
        split="test", kind="missing", labels=300, estimated=4.0, doubted=12, listed=1, expected=0.871,
        by_chance=0.013,
    )  # fmt: skip
    bins = (ReliabilityBin(lo=0.8, hi=0.9, labels=30, told=0.85, found=0.8),)
    probe = ProbeIssues(
        probe="probe", of="resnet18/fc7", kind="linear", counts=(count,),
        rates={"test": {"missing": 0.031, "wrong": 0.002}},
        calibration=(
            Calibration(split="test", error=0.017, log_loss=0.2, log_loss_of_shares=0.4, bins=bins),
        ),
        classes=(ClassNoise(split="test", class_name="cat", positives=9, negatives=51, missing_at_most=0.2,
                            wrong_at_most=None),),
        issues=(issue(1, "missing"), issue(2, "wrong", "dog" if one_label else None)),
    )  # fmt: skip
    pair = LabelConflict(
        split_a="trainval", id_a="000004", split_b="test", id_b="000005", similarity=1.0,
        identical_bytes=True,
        only_a=("cat",), only_b=(),
    )  # fmt: skip
    return LabelIssuesResult(
        threshold=0.95, least=0.2, one_label=one_label, all_conflicts=1, conflicts=(pair,), probes=(probe,),
        gaps=("probe probe: car: fewer than 5 images",),
    )  # fmt: skip


@pytest.fixture
def section(run, tmp_path):
    """The section for a record, or for none."""
    shutil.copytree(run.folder, tmp_path, dirs_exist_ok=True)
    project = dataclasses.replace(run, folder=tmp_path).project
    params = msgspec.structs.replace(run.params, label_issues=LabelIssues(of=("probe",)))

    def written(found: LabelIssuesResult | None) -> str:
        if found:
            save_record(found, project.result("label_issues"))
            paths = {i: Address.parse(f"images/{i}.jpg", str(tmp_path / "photos")) for i in run.ids}
            images, folder = {"trainval": paths, "test": paths}, project.report("label_issues")
            draw_conflicts(found, images, folder / "conflicts")
            draw_reliability(found.probes[0], folder / "probe/reliability")
            for kind in ("missing", "wrong"):
                draw_issues(found.probes[0], kind, images, "trainval", folder / "probe" / kind)
        write_report(params, project)
        return re.search(
            r'<section id="labels".*?</section>', (project.report("index.html")).read_text(), re.S
        )[0]

    return written


def test_the_lists_stand_there_with_their_pictures_and_what_is_expected_of_them(section):
    page = section(record())
    words = re.sub(r"<[^>]+>|\s+", " ", page)
    assert page.count("<img ") == 4
    assert page.index("Like images") < page.index("Likely missing") < page.index("Likely wrong")
    assert re.search(r"likely missing +test +300 +12 +1 +0\.9 +0\.0", words)
    assert "87 %" in page
    assert "8 of 10" in page
    assert re.search(r"test +0\.017 +0\.200 +0\.400 +3\.1 % +0\.2 %", words)
    assert "fewer than 5 images" in page
    assert ">rather<" not in page


def test_where_an_image_has_one_label_the_other_class_is_named(section):
    page = section(record(one_label=True))
    assert ">rather<" in page
    assert "<td>dog</td>" in page


def test_without_a_result_the_section_says_so(section):
    assert "The stage label_issues has left no result." in section(None)
