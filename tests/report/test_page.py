"""The page as a file: whole in itself, the same bytes again, and made of what is there."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil

import msgspec
import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.params import Ap, Duplicates, Index, Neighbors, Probe, Tsne
from pool5.report.environment import minus
from pool5.report.page import write_report
from pool5.results.ap import ApResult
from pool5.results.few_shot import FewShotResult, FewShotRow
from pool5.results.probe import ProbedClass, ProbeResult, TrainedProbe
from pool5.results.record import load_record, save_record
from pool5.results.tsne_map import TsneResult

from .conftest import CLASSES, cosine_distances, draw_labels, small_params, write_picture, write_store


def digests(run) -> list[str]:
    files = [run.page, run.project.report("map.parquet")]
    return [hashlib.md5(path.read_bytes()).hexdigest() for path in files]


@pytest.fixture(scope="module")
def html(run) -> str:
    write_report(run.params, run.project)
    return run.page.read_text()


@pytest.fixture
def copy(run, tmp_path):
    """The run in a folder of its own, free to be changed."""
    shutil.copytree(run.folder, tmp_path / "run", dirs_exist_ok=True)
    return dataclasses.replace(run, folder=tmp_path / "run")


def data_of(html: str) -> dict:
    return json.loads(html.partition('id="map-data">')[2].partition("</script>")[0])


def anchors(html: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', html)


def section(html: str, anchor: str) -> str:
    return html.partition(f'<section id="{anchor}"')[2].partition("</section>")[0]


def test_no_address_on_it_leads_out(html):
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    for address in re.findall(r"""(?:src|href|srcset|data|action|poster)\s*=\s*["']([^"']*)""", html):
        assert address.startswith(("#", "data:"))


def test_the_same_files_give_the_same_bytes(run, html):
    before = digests(run)
    write_report(run.params, run.project)
    assert digests(run) == before


def test_where_the_run_lies_is_not_on_it(run, html, copy):
    before = digests(run)
    write_report(run.params, copy.project)
    assert digests(copy) == before
    assert str(run.folder) not in html


def test_the_neighbors_are_the_nearest_of_the_whole_split(run, html):
    data = data_of(html)
    assert data["searched"] == len(run.ids)
    for near in data["neighborhoods"]:
        distances = cosine_distances(run.features[near["name"]])
        rows = [run.ids.index(image) for image in data["images"]["ids"]]
        for number, row in enumerate(rows):
            expected = np.sort(distances[row])[:6]
            np.testing.assert_allclose(near["distances"][number], expected, rtol=1e-3)
            assert near["images"][number] != number


def test_every_thumbnail_is_cut_from_its_place(run, html):
    data = data_of(html)
    sprites = data["sprites"]
    sheets = [
        Image.open(io.BytesIO(base64.b64decode(sheet)))
        for sheet in re.findall(r'id="sprite-\d+">([^<]*)<', html)
    ]
    for number, image in enumerate(data["images"]["ids"]):
        photo = Image.open(run.folder / f"photos/images/{image}.jpg")
        width, height = sprites["sizes"][number]
        assert width / height == pytest.approx(photo.width / photo.height, rel=0.05)
        within = number % sprites["perSheet"]
        top, left = (place * sprites["cell"] for place in divmod(within, sprites["perRow"]))
        drawn = sheets[number // sprites["perSheet"]].crop((left, top, left + width, top + height))
        difference = np.abs(np.asarray(photo.resize(drawn.size), float) - np.asarray(drawn, float)).mean()
        assert difference < 25


def test_what_a_name_holds_cannot_become_markup(copy):
    card = copy.project.model("caffenet") / "model.json"
    card.write_text(card.read_text().replace("random weights", "<script>alert(1)</script></script>"))
    write_report(copy.params, copy.project)
    html = copy.page.read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "&lt;probe&gt;" in html


def test_a_class_without_positives_has_no_precision(html):
    table = html.partition('id="precision-0"')[2]
    row = table.partition('<th scope="row">aeroplane</th>')[2].partition("</tr>")[0]
    assert row.count("no AP") == 2


def test_a_run_of_which_only_the_store_is_there_says_what_is_missing(bare_run):
    write_report(bare_run.params, bare_run.project)
    html = bare_run.page.read_text()
    assert "map-data" not in html
    stages = {"precision": "ap", "hard": "hard", "neighbors": "retrieval", "duplicates": "duplicates"}
    for anchor, stage in stages.items():
        assert f"The stage {stage} has left no result." in section(html, anchor)
    assert "The stage probe has left no result." in section(html, "precision")
    assert "caffenet/pool5: the stage tsne has left no result." in section(html, "map")
    assert "caffenet/pool5: the stage index has left no result." in section(html, "search")
    assert "caffenet: the stage model has left no result." in section(html, "training")
    assert "No two models have" in section(html, "differences")


def test_what_params_does_not_ask_for_is_not_on_the_page(bare_run):
    nothing = msgspec.structs.replace(
        bare_run.params, models={"resnet18": bare_run.params.models["resnet18"]},
        ap=Ap(), tsne=Tsne(), index=Index(), neighbors=Neighbors(), duplicates=Duplicates(), probe={},
    )  # fmt: skip
    write_report(nothing, bare_run.project)
    html = bare_run.page.read_text()
    assert anchors(html) == ["run"]
    assert "6 classes, 1 model." in html


def test_every_section_says_what_its_record_lacks(html):
    assert "aeroplane: no positives, so no AP" in section(html, "precision")
    assert "caffenet/pool5: no recall@100: the split has 60 images" in section(html, "search")
    assert 'class="gaps"' not in section(html, "neighbors")


def test_images_without_labels_have_a_map_without_classes(unlabelled_run):
    write_report(unlabelled_run.params, unlabelled_run.project)
    html = unlabelled_run.page.read_text()
    assert "no labels, 2 models." in html
    assert "The images have no labels" in section(html, "run")
    assert "colour of its class" not in html
    data = data_of(html)
    assert data["classes"] == []
    assert len(data["neighborhoods"][0]["images"][0]) == 6


def test_one_image_is_enough_for_a_page(tmp_path):
    params = small_params(tmp_path)
    rng = np.random.default_rng(3)
    run = write_store(tmp_path, params, draw_labels(1, rng), rng)
    write_report(params, run.project)
    assert "1 image in trainval and 1 image in test" in run.page.read_text()


def test_rows_that_are_objects_are_counted_as_such(copy):
    asked = msgspec.structs.replace(copy.params.dataset, kind="voc", objects=True)
    write_report(msgspec.structs.replace(copy.params, dataset=asked), copy.project)
    html = copy.page.read_text()
    assert re.search(r"\d+ objects in trainval and 60 objects in test", html)
    assert "Average precision on the 60 objects of split test" in section(html, "precision")
    assert "Objects by class and split" in section(html, "run")


@pytest.mark.parametrize(
    ("missing", "anchor"),
    [
        ("tsne", "map"),
        ("ap.json", "precision"),
        ("ap.json", "differences"),
        ("ap.json", "cost"),
        ("hard.json", "hard"),
        ("duplicates.json", "duplicates"),
        ("training", "training"),
        ("index", "search"),
        ("retrieval.json", "neighbors"),
    ],
)
def test_a_record_that_is_not_there_is_a_gap(copy, missing, anchor):
    path = copy.folder / "data/results" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_report(copy.params, copy.project)
    html = copy.page.read_text()
    assert len(anchors(html)) == 10
    assert 'class="gaps"' in section(html, anchor)


def test_negative_numbers_have_a_minus_sign_and_names_their_hyphens(html):
    text = re.sub(r"<(script|style|pre).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)
    assert "rank correlation with the score −0.10" in text
    assert not re.search(r"(?<![\w-])-\d", text)
    assert minus("resnet18-finetuned: -0.1 of 1e-05") == "resnet18-finetuned: −0.1 of 1e−05"


def test_a_map_of_other_images_is_one_clear_error(copy):
    path = copy.project.result("tsne/caffenet/pool5")
    record = load_record(TsneResult, path)
    save_record(msgspec.structs.replace(record, ids=("999999", *record.ids[1:])), path)
    with pytest.raises(UserError, match=r"caffenet/pool5: image 999999 is not in the split test") as error:
        write_report(copy.params, copy.project)
    assert error.value.rerun == "tsne"


def test_a_damaged_record_is_one_clear_error(copy):
    path = copy.project.result("ap")
    path.write_text(path.read_text().replace("1000", "2000"))
    with pytest.raises(UserError, match=r"ap\.json: not a result, or damaged"):
        write_report(copy.params, copy.project)


def test_features_that_are_not_there_are_one_clear_error(copy):
    copy.project.features("caffenet", "test").unlink()
    with pytest.raises(UserError, match=r"caffenet/test\.h5: no such feature file"):
        write_report(copy.params, copy.project)


def test_a_graph_that_is_not_there_is_a_gap_of_the_map(copy):
    copy.project.neighbors("caffenet/pool5").unlink()
    write_report(copy.params, copy.project)
    html = copy.page.read_text()
    assert "caffenet/pool5: its neighbors are not stored" in section(html, "map")
    assert [near["name"] for near in data_of(html)["neighborhoods"]] == ["resnet18/fc7"]


def test_the_report_opens_no_table_that_was_written_for_people(run, html):
    for path in run.project.reports.rglob("*"):
        assert path.suffix != ".csv"


def test_nothing_runs_on_the_page_but_what_its_policy_names(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    for directive, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        # and, of scripts, what this one adds to the page: the costs that were measured beside it
        more = " 'strict-dynamic'" if directive == "script-src" else ""
        assert f"{directive} 'sha256-{digest}'{more};" in policy
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_a_class_called_map_has_a_row_beside_the_mean(copy):
    path = copy.project.result("ap")
    ap = load_record(ApResult, path)
    rows = [msgspec.structs.replace(r, class_name="mAP") if r.class_name == "cat" else r for r in ap.rows]
    classes = tuple("mAP" if name == "cat" else name for name in ap.classes)
    save_record(msgspec.structs.replace(ap, classes=classes, rows=tuple(rows)), path)
    write_report(copy.params, copy.project)
    precision = section(copy.page.read_text(), "precision")
    for name in ("mAP", "mAP (mean)"):
        assert precision.count(f'<th scope="row">{name}</th>') == len(ap.measures)


def test_an_order_of_outputs_that_is_assumed_is_said_beside_the_precision(copy):
    path = copy.project.result("ap")
    note = "caffenet: its weights name no classes"
    save_record(msgspec.structs.replace(load_record(ApResult, path), notes=(note,)), path)
    write_report(copy.params, copy.project)
    assert note in section(copy.page.read_text(), "precision")


def test_a_name_of_300_letters_is_shortened_and_a_long_table_scrolls_in_itself(copy):
    path = copy.project.result("ap")
    ap = load_record(ApResult, path)
    longer = {name: f"{name} {'n' * 300}" for name in ap.classes}
    rows = tuple(msgspec.structs.replace(r, class_name=longer.get(r.class_name)) for r in ap.rows)
    save_record(msgspec.structs.replace(ap, classes=tuple(longer.values()), rows=rows), path)
    write_report(copy.params, copy.project)
    precision = section(copy.page.read_text(), "precision")
    assert re.search(r'<th scope="row" class="long" title="cat n{300}">cat n{36}…n{39}</th>', precision)


def few_shot(probe: str, kind: str, lead: float, gaps: tuple[str, ...] = ()) -> FewShotResult:
    """AP of 1 and 2 images a class and of the whole split; the first class has no AP."""
    rows = []
    for measure in ("AP(voc2007)", "AP(area)"):
        for name in (*CLASSES, None):
            for n, ap in ((1, 0.25), (2, 0.35), (None, 0.5)):
                ap = None if name == CLASSES[0] else ap + lead
                lo, hi = (None, None) if n is None or ap is None else (ap - 0.03, ap + 0.03)
                row = FewShotRow(
                    probe=probe, class_name=name, measure=measure, shots=n, ap=ap, lo=lo, hi=hi, positives=2.0
                )  # fmt: skip
                rows.append(row)
    return FewShotResult(
        probe=probe, of="resnet18/fc7", kind=kind, C=10.0 if kind == "linear" else None, split="trainval",
        shots=(1, 2), repeats=5, seed=0, images={"1": 6.0, "2": 11.4, "all": 60.0},
        rows=tuple(rows), gaps=gaps,
    )  # fmt: skip


@pytest.fixture
def with_shots(copy):
    """The run with two probes that were measured on few examples."""
    probes = {name: Probe(of="resnet18/fc7", kind=name, shots=(1, 2)) for name in ("linear", "knn")}
    copy = dataclasses.replace(copy, params=msgspec.structs.replace(copy.params, probe=probes, ap=Ap()))
    gaps = ("few examples: fewer cats than asked for",)
    made = [
        TrainedProbe(name="linear", of="resnet18/fc7", classes=(), shared_C=10.0),
        TrainedProbe(name="knn", of="resnet18/fc7", classes=(), kind="knn", k=20, temperature=0.07),
        TrainedProbe(
            name="zs", of="resnet18/fc7", kind="zeroshot",
            classes=(ProbedClass(class_name="cat", texts=("a cat", "one cat")),),
        ),
    ]  # fmt: skip
    few = (few_shot("linear", "linear", 0.1, gaps), few_shot("knn", "knn", 0.0, gaps))
    save_record(ProbeResult(probes=tuple(made), few_shot=few, gaps=gaps), copy.project.result("probe"))
    write_picture(copy.project.report("probe/few_shot.png"))
    return copy


def test_few_examples_have_a_section_with_a_figure_and_tables(with_shots):
    write_report(with_shots.params, with_shots.project)
    html = with_shots.page.read_text()
    shots = section(html, "shots")
    text = " ".join(re.sub(r"<[^>]*>", " ", shots).split())
    assert "Few examples a class" in text
    assert "over 5 draws" in text
    assert "linear probes take C 10 for every class" in text
    assert "Mean average precision against the number of images" in shots
    assert 'id="shots-1"' in shots  # a table a measure
    first = shots.partition('id="shots-0"')[2].partition("</table>")[0]
    values = re.findall(r'data-value="([^"]*)"', first)
    assert [float(value) for value in values] == pytest.approx([0.35, 0.45, 0.6, 0.25, 0.35, 0.5])
    assert first.count("<b>") == 3
    assert "of 11 images" in shots
    assert shots.count('<td class="n none">–</td>') == 2 * 2 * 3  # of the class that has no AP


def test_what_few_examples_lack_is_told_once_and_under_them(with_shots):
    params = msgspec.structs.replace(with_shots.params, ap=Ap(of=("linear", "knn")))
    write_report(params, with_shots.project)
    html = with_shots.page.read_text()
    assert section(html, "shots").count("fewer cats than asked for") == 1
    assert "fewer cats" not in section(html, "precision")


def test_probes_say_what_kind_they_are(with_shots):
    write_report(with_shots.params, with_shots.project)
    text = " ".join(re.sub(r"<[^>]*>", " ", section(with_shots.page.read_text(), "run")).split())
    assert "linear resnet18/fc7 linear C 10 for most classes" in text
    assert "knn resnet18/fc7 knn 20 neighbors, temperature 0.07" in text
    assert "zs resnet18/fc7 zeroshot 2 texts a class" in text


def test_few_examples_that_were_asked_for_and_are_not_there_are_a_gap(with_shots):
    with_shots.project.result("probe").unlink()
    write_report(with_shots.params, with_shots.project)
    assert "The stage probe has left no result." in section(with_shots.page.read_text(), "shots")


def test_probes_of_other_numbers_of_examples_stand_under_their_own(with_shots):
    path = with_shots.project.result("probe")
    record = load_record(ProbeResult, path)
    linear, knn = record.few_shot
    rows = [msgspec.structs.replace(row, shots=row.shots and 4 * row.shots) for row in knn.rows]
    other = msgspec.structs.replace(
        knn, shots=(4, 8), rows=tuple(rows), images={"4": 1.0, "8": 1.0, "all": 1.0}
    )
    save_record(msgspec.structs.replace(record, few_shot=(linear, other)), path)
    write_report(with_shots.params, with_shots.project)
    shots = section(with_shots.page.read_text(), "shots")
    first = shots.partition('id="shots-0"')[2].partition("</table>")[0]
    headings = re.findall(r'class="sort">([^<]*)<small>', first)
    assert headings == ["probe", "1", "2", "4", "8", "all"]
    cells = [re.findall(r">(0\.\d+|–)<", row) for row in first.split("<tbody>")[1].split("</tr>")[:2]]
    assert [[cell == "–" for cell in row] for row in cells] == [
        [False, False, True, True, False],
        [True, True, False, False, False],
    ]
