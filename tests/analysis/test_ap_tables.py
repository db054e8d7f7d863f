import csv
import io
import re

import msgspec
import numpy as np
import pytest

from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.ap_tables import (
    ap_csv,
    ap_latex,
    ap_markdown,
    ap_metrics,
    curves_csv,
    differences_csv,
    gains,
)
from pool5.measures import AP
from pool5.measures.average_precision import average_precision

CLASSES = ("cat", "dining_table & co", "emu")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((300, 3)) < (0.3, 0.1, 0), 1, -1)
    noise = rng.normal(size=(300, 3))
    return {"scratch": noise, "fine_tuned": noise + 3 * (labels == 1)}, labels


@pytest.fixture(scope="module")
def comparison(data):
    measures = [AP("voc2007"), AP("area")]
    return compare_models(*data, CLASSES, split="test", measures=measures, resamples=100, seed=0)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_holds_every_class_model_and_protocol_and_the_mean(comparison, data):
    rows = rows_of(ap_csv(comparison))
    assert len(rows) == 2 * 2 * 4
    keys = ["class", "model", "protocol", "ap", "lo", "hi", "positives", "chance"]
    assert list(rows[0])[:8] == keys
    assert {row["is_mean"] for row in rows if row["class"] == "mAP"} == {"1"}
    assert {row["is_mean"] for row in rows if row["class"] != "mAP"} == {"0"}
    expected = average_precision(data[0]["scratch"], data[1], "area")
    for row in rows:
        if row["class"] == "emu":
            assert (row["ap"], row["lo"], row["hi"], row["positives"]) == ("", "", "", "0")
        elif (row["model"], row["protocol"]) == ("scratch", "area") and row["class"] != "mAP":
            assert float(row["ap"]) == pytest.approx(expected[CLASSES.index(row["class"])], abs=1e-6)
    assert sum(row["class"] == "mAP" for row in rows) == 4


def test_the_differences_name_model_and_baseline(comparison):
    rows = rows_of(differences_csv(comparison))
    assert {(row["model"], row["baseline"]) for row in rows} == {("fine_tuned", "scratch")}
    assert all(float(row["difference"]) > 0 for row in rows if row["class"] != "emu")
    assert gains(row for row in comparison.differences if row.measure == "AP(area)") == [
        row.class_name
        for row in sorted(comparison.differences, key=lambda row: -(row.difference or 0))
        if row.measure == "AP(area)" and row.class_name in CLASSES[:2]
    ]


def test_markdown_marks_the_best_and_says_what_is_beyond_noise(comparison):
    text = ap_markdown(comparison)
    assert "## Protocol `voc2007`" in text
    assert "## Protocol `area`" in text
    cat = next(line for line in text.splitlines() if line.startswith("| cat |"))
    assert cat.count("**") == 2
    assert cat.rindex("**") > cat.index("[")  # the second model's, not the first's
    assert "| emu | 0 | 0.000 | – | – |" in text
    assert "loss beyond noise: none" in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {6}


def test_latex_escapes_names_and_balances_its_environments(comparison):
    text = ap_latex(comparison)
    assert r"dining\_table \& co" in text
    assert r"fine\_tuned" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert text.count("{") == text.count("}")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {4}


def test_what_the_numbers_take_for_granted_stands_under_each_table(comparison):
    note = "fine_tuned: the order of its outputs is assumed"
    noted = msgspec.structs.replace(comparison, notes=(note,))
    assert note not in ap_markdown(comparison) + ap_latex(comparison)
    assert ap_markdown(noted).rstrip().endswith(r"fine\_tuned: the order of its outputs is assumed")
    under = (
        r"\end{tabular}"
        + "\n"
        + r"  \par\smallskip {\footnotesize fine\_tuned: the order of its outputs is assumed"
    )
    assert ap_latex(noted).count(under) == len(comparison.measures)
    assert ap_csv(noted) == ap_csv(comparison)


def test_curves_reach_full_recall_and_enclose_the_area(data):
    scores, labels = data
    rows = rows_of(curves_csv(scores["fine_tuned"], labels, CLASSES))
    cat = [row for row in rows if row["class"] == "cat"]
    recall, precision = np.array([[float(row["recall"]), float(row["precision"])] for row in cat]).T
    assert recall[-1] == 1
    area = np.sum(np.diff(recall, prepend=0) * precision)
    assert area == pytest.approx(average_precision(scores["fine_tuned"], labels, "sklearn")[0], abs=1e-4)
    assert not [row for row in rows if row["class"] == "emu"]


def test_the_metrics_are_plain_numbers(comparison):
    metrics = ap_metrics(comparison)["area"]
    assert metrics["models"]["scratch"]["classes"]["emu"] is None
    assert metrics["models"]["fine_tuned"]["lo"] < metrics["models"]["fine_tuned"]["mAP"]
    assert metrics["differences"]["fine_tuned - scratch"]["gains"] == 2


ODD = ("all", "mAP", "[x]", "*y*", "a|b", "<b>c</b>", "two\nlines", "=1+1", "light", "traffic light")


@pytest.fixture(scope="module")
def odd():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((200, len(ODD))) < 0.3, 1, -1)
    scores = {name: rng.normal(size=labels.shape) for name in ("mAP", "all")}
    return compare_models(scores, labels, ODD, split="test", measures=[AP("area")], resamples=20, seed=0)


def test_a_class_called_map_is_not_the_mean(odd):
    rows = rows_of(ap_csv(odd))
    called = [(row["model"], row["is_mean"]) for row in rows if row["class"] == "mAP"]
    assert called == [("mAP", "0"), ("all", "0"), ("mAP", "1"), ("all", "1")]
    model = ap_metrics(odd)["area"]["models"]["mAP"]
    assert model["classes"]["mAP"] == pytest.approx(odd.row("mAP", "mAP", "AP(area)").ap, abs=1e-6)
    assert model["mAP"] == pytest.approx(odd.row(None, "mAP", "AP(area)").ap, abs=1e-6)
    assert list(model["classes"]) == list(ODD)
    assert "| mAP (mean) |" in ap_markdown(odd)


def test_a_name_cannot_leave_its_cell(odd):
    lines = [line for line in ap_markdown(odd).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(ODD) + 1
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert "<b>" not in re.sub(r"\\<", "", "\n".join(lines))
    rows = [line.strip() for line in ap_latex(odd).splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(ODD) + 1
    assert not any(row.startswith(("[", "*")) for row in rows)
