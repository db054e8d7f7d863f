"""Cost beside accuracy: what stands on the page, and what only beside it."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from pool5.datasets.manifest import read_manifest
from pool5.params import Derived, Probe
from pool5.report.cost import cost_script, costs_of
from pool5.report.page import write_report
from pool5.report.provenance import read_provenance
from pool5.results.ap import ApResult
from pool5.results.extraction_cost import ExtractionCost
from pool5.results.record import load_record
from pool5.store.extraction_cost import keep_cost
from pool5.store.feature_file import FeatureFile

from .test_page import copy, section  # noqa: F401

COST = ExtractionCost(
    device="<a GPU>", precision="fp32", batch_size=32, workers=2, machines=1, images=5000, seconds=10.0,
    read=1.0, infer=8.0, write=0.5, bottleneck="infer", network_rate=600.0,
)  # fmt: skip


def measure(run, model: str, **changes) -> None:
    file = FeatureFile.open(run.project.features(model, "test"))
    cost = msgspec.structs.replace(COST, **changes)
    assert keep_cost(cost, map(file.feature_key, file.layers), run.project)


def beside(run) -> dict:
    text = run.project.report("cost.js").read_text()
    return json.loads(re.fullmatch(r"globalThis\.pool5Costs = (.*);\n", text, re.DOTALL)[1])


def costs(run, params=None):
    ap = load_record(ApResult, run.project.result("ap"))
    return {cost.name: cost for cost in costs_of(ap, params or run.params, run.project)}


def test_the_page_is_the_same_whatever_was_measured(copy):  # noqa: F811
    write_report(copy.params, copy.project)
    before, nothing = copy.page.read_bytes(), beside(copy)
    measure(copy, "resnet18")
    write_report(copy.params, copy.project)
    assert copy.page.read_bytes() == before
    assert nothing == {}
    assert beside(copy)["resnet18"]["network_rate"] == 600
    assert beside(copy)["resnet18"]["rate"] == 500


def test_a_model_and_a_probe_cost_what_their_layer_takes(copy):  # noqa: F811
    found = costs(copy)
    # a probe on 16 float32, a model's 6 logits
    assert (found["probe"].layer, found["probe"].model) == ("resnet18/fc7", "resnet18")
    assert found["probe"].gigabytes == pytest.approx(0.064)
    assert (found["caffenet"].layer, found["caffenet"].gigabytes) == ("caffenet/logits", pytest.approx(0.024))
    assert found["caffenet"].parameters is None  # there is no weights file in this run


def test_a_probe_on_a_derived_layer_costs_the_extraction_that_it_comes_from(copy):  # noqa: F811
    derive = {
        "small": Derived(of="resnet18/fc7", steps=("l2",)),
        "less": Derived(of="small/fc7", steps=("l2",)),
    }
    probe = {"probe": Probe(of="less/fc7")}
    params = msgspec.structs.replace(copy.params, derive=derive, probe=probe)
    cost = costs(copy, params)["probe"]
    assert (cost.layer, cost.model, cost.gigabytes) == ("less/fc7", "resnet18", None)
    source = copy.project.features("resnet18", "test")
    derived = copy.project.derived("less", "test")
    derived.parent.mkdir(parents=True)
    derived.write_bytes(source.read_bytes())
    assert costs(copy, params)["probe"].gigabytes == pytest.approx(0.064)


def test_the_section_has_a_table_without_scripts_and_says_where_the_speeds_are(copy):  # noqa: F811
    write_report(copy.params, copy.project)
    cost = section(copy.page.read_text(), "cost")
    assert re.findall(r'data-model="(\w+)" data-cost="rate"', cost) == ["caffenet", "resnet18"]
    assert "0.064" in cost
    assert re.search(r'<p class="note" id="cost-missing">[^.]*cost\.js[^.]*', cost)
    data = json.loads(re.search(r'id="cost-data">(.*?)</script>', cost)[1])
    assert [row["name"] for row in data["rows"]] == ["caffenet", "probe"]
    assert data["rows"][0]["ap"].keys() == {"AP(voc2007)", "AP(area)"}


def test_without_an_average_precision_there_is_a_gap_and_no_other_script(bare_run):
    write_report(bare_run.params, bare_run.project)
    html = bare_run.page.read_text()
    assert "No model has an average precision" in section(html, "cost")
    assert "strict-dynamic" not in html
    assert beside(bare_run) == {}


def test_a_model_that_was_extracted_with_other_settings_has_no_speed(copy):  # noqa: F811
    file = FeatureFile.open(copy.project.features("resnet18", "test"))
    keep_cost(COST, [file.feature_key("fc7")], copy.project)
    provenance = read_provenance(copy.params, read_manifest(copy.project.manifest("test")), copy.project)
    assert "{}" in cost_script(costs(copy).values(), provenance.features, copy.project)
