from __future__ import annotations

from pool5.params import Dataset, Model, Outliers, Params, Preprocess
from pool5.report.records import Records
from pool5.report.sections import Section, page_sections
from pool5.results.dataset import DatasetResult
from pool5.results.outliers import Compared, OddLooks, OutliersResult


def small_params(**sections: object) -> Params:
    return Params(
        dataset=Dataset(name="pets", kind="folder", root="pets", train="train", test="test"),
        models={
            "net": Model(
                architecture="resnet18",
                weights="random",
                layers={"fc7": "flatten"},
                preprocess=Preprocess(resize=40, crop=32),
            )
        },
        **sections,
    )


def test_what_was_odd_about_the_data_set_stands_under_what_was_run():
    params = small_params()
    found = DatasetResult(dataset="pets", classes=(), splits={}, gaps=("3 .heic are passed over",))
    *_, run = page_sections(params, Records(dataset=found))
    assert (run.anchor, run.shows, run.gaps) == ("run", True, found.gaps)
    assert page_sections(params, Records())[-1].gaps == ()


def look(beyond: int) -> OddLooks:
    among = Compared(images=99, median=0.9, spread=0.1, logarithmic=False, edges=(0.1, 1), counts=(99,))
    return OddLooks(
        kind="dark", measure="level", above=False, bound=0.3, cut=3.5, compared=among, beyond=beyond, odd=()
    )


def odd_section(of: tuple[str, ...], record: OutliersResult | None) -> Section | None:
    params = small_params(outliers=Outliers(of=of))
    sections = page_sections(params, Records(outliers=record))
    return next((section for section in sections if section.anchor == "outliers"), None)


def test_odd_pictures_are_shown_also_where_no_layer_was_asked_and_only_if_there_are_some():
    for beyond, shown in ((2, True), (0, False)):
        record = OutliersResult(metric="cosine", cut=3.5, pictures=99, looks=(look(beyond),), gaps=("none",))
        assert bool(odd_section((), record)) is shown
    assert odd_section((), None) is None


def test_a_layer_that_was_asked_and_of_which_there_is_nothing_is_a_gap():
    missing = odd_section(("net/fc7",), None)
    assert (missing.shows, missing.gaps) == (False, ("The stage outliers has left no result.",))
    bare = odd_section(("net/fc7",), OutliersResult(metric="cosine", cut=3.5, gaps=("net/fc7: none",)))
    assert (bare.shows, bare.gaps) == (False, ("net/fc7: none",))
