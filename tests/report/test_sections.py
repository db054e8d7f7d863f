from __future__ import annotations

from pool5.params import Dataset, Model, Params, Preprocess
from pool5.report.records import Records
from pool5.report.sections import page_sections
from pool5.results.dataset import DatasetResult


def test_what_was_odd_about_the_data_set_stands_under_what_was_run():
    params = Params(
        dataset=Dataset(name="pets", kind="folder", root="pets", train="train", test="test"),
        models={
            "net": Model(
                architecture="resnet18",
                weights="random",
                layers={"fc7": "flatten"},
                preprocess=Preprocess(resize=40, crop=32),
            )
        },
    )
    found = DatasetResult(dataset="pets", classes=(), splits={}, gaps=("3 .heic are passed over",))
    *_, run = page_sections(params, Records(dataset=found))
    assert (run.anchor, run.shows, run.gaps) == ("run", True, found.gaps)
    assert page_sections(params, Records())[-1].gaps == ()
