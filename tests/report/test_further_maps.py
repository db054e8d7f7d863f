"""Maps by several methods and clusters on the page, and what a reader can do with them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from pool5.analysis.maps.trust import measure_trust
from pool5.params import Maps
from pool5.report.page import write_report
from pool5.report.tables import map_by_lot
from pool5.results.clusters import ClassInCluster, Cluster, ClustersResult
from pool5.results.layer_map import MapResult
from pool5.results.record import save_record

from .test_page_in_browser import Reader

LAYER, OTHER = "caffenet/pool5", "resnet18/fc7"
MEASURES = {"neighbors": 10, "trustworthiness": 0.9, "knn_preservation": 0.3}


def put_map(run, layer: str, method: str, title: str, images: list[str], **more) -> None:
    places = np.random.default_rng(len(method)).normal(size=(len(images), 2)).round(3)
    record = MapResult(
        layer=layer, split="test", method=method, title=title, images=len(images), ids=tuple(images),
        points=tuple(map(tuple, places.tolist())), **(MEASURES | more),
    )  # fmt: skip
    save_record(record, run.project.result(f"maps/{layer}/{method}"))


@pytest.fixture(scope="module")
def mapped(run, tmp_path_factory):
    """The run with further maps: two methods and one's own points of the first layer, one of the second."""
    folder = tmp_path_factory.mktemp("mapped")
    shutil.copytree(run.folder, folder, dirs_exist_ok=True)
    maps = Maps(of=(LAYER, OTHER), methods=("pca", "umap"), points={"mine": "mine.csv"})
    params = msgspec.structs.replace(run.params, maps=maps)
    found = dataclasses.replace(run, folder=folder, params=params)
    put_map(found, LAYER, "pca", "PCA", run.on_map, told={"variance": 0.312}, stability=1.0)
    put_map(found, LAYER, "umap", "UMAP", run.on_map, trustworthiness=0.99, stability=0.5)
    put_map(found, LAYER, "mine", "mine", run.on_map[:20])
    put_map(found, OTHER, "pca", "PCA", run.on_map, stability=1.0)
    gap = MapResult(
        layer=OTHER,
        split="test",
        method="umap",
        title="UMAP",
        images=48,
        gaps=("no map by UMAP: it is not there",),
    )
    save_record(gap, found.project.result(f"maps/{OTHER}/umap"))
    cat = ClassInCluster(
        class_name="cat", images=9, share=0.75, chance=0.125, p_value=1e-6, beyond_chance=True
    )
    dog = ClassInCluster(class_name="dog", images=2, share=0.2, chance=0.15, p_value=0.4, beyond_chance=False)
    ids = tuple(run.on_map)
    clusters = ClustersResult(
        layer=LAYER, split="test", method="hdbscan", images=48, dimensions=16, variance=1.0, ids=ids,
        cluster=tuple([1] * 20 + [2] * 12 + [0] * 16), noise=16, sharing=0.5, sharing_by_chance=0.25,
        clusters=(
            Cluster(number=1, images=20, silhouette=0.4, typical=ids[:6], classes=(cat, dog)),
            Cluster(number=2, images=12, silhouette=None, typical=ids[20:26], classes=(dog,)),
        ),
    )  # fmt: skip
    save_record(clusters, found.project.result(f"maps/{LAYER}/clusters"))
    write_report(params, found.project)
    return found


@pytest.fixture(scope="module")
def html(mapped) -> str:
    return mapped.page.read_text()


def data_of(html: str) -> dict:
    return json.loads(html.partition('id="map-data">')[2].partition("</script>")[0])


def test_the_chooser_has_all_maps_of_a_layer_that_of_tsne_first(html):
    maps = [(each["layer"], each["title"]) for each in data_of(html)["maps"]]
    assert maps == [
        (LAYER, "t-SNE"), (LAYER, "PCA"), (LAYER, "UMAP"), (LAYER, "mine"), (OTHER, "t-SNE"), (OTHER, "PCA"),
    ]  # fmt: skip


def test_the_trust_of_all_maps_of_a_layer_stands_in_one_table_beside_chance(html):
    table = html.partition('id="trust-0"')[2].partition("</table>")[0]
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
    ]
    rows = {row[0]: row[1:] for row in cells[1:]}
    assert list(rows) == ["t-SNE", "PCA", "UMAP", "mine", "placed by lot"]
    assert rows["UMAP"][:4] == ["<b>0.990</b>", "0.300", "0.500", "48"]
    assert rows["mine"] == ["0.900", "0.300", "–", "20"]
    assert float(rows["placed by lot"][0]) == pytest.approx(0.5, abs=0.05)


def test_points_placed_by_lot_have_the_trust_that_the_table_expects():
    random = np.random.default_rng(0)
    rows, nothing = random.normal(size=(60, 8)).astype(np.float32), np.empty((60, 0), np.int8)
    found = [measure_trust(rows, nothing, [], random.normal(size=(60, 2))) for _ in range(200)]
    expected = map_by_lot(60, found[0].neighbors)
    assert np.mean([each.trustworthiness for each in found]) == pytest.approx(expected[0], abs=0.005)
    assert np.mean([each.knn_preservation for each in found]) == pytest.approx(expected[1], abs=0.005)


def test_a_cluster_names_the_classes_beyond_chance_with_both_shares(html):
    table = html.partition('id="clusters-0"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)
    assert re.search(r"cat 75 %.*\(12 %\)", rows[1], re.S)
    assert "dog" not in rows[1]
    assert ">none<" in rows[2]
    assert "16 images (33 %) are in none" in html


def test_a_map_that_could_not_be_made_is_told_once_and_a_missing_record_too(html):
    told = html.partition('<section id="map"')[2].partition("</section>")[0]
    assert told.count(f"{OTHER}: no map by UMAP: it is not there") == 1


def test_the_parquet_file_has_the_places_on_every_map_and_the_cluster(mapped, html):
    table = pq.read_table(mapped.project.report("map.parquet"))
    names = [f"{axis} {LAYER}{more}" for more in ("", " pca", " umap", " mine") for axis in "xy"]
    assert set(names) | {f"cluster {LAYER}", f"neighbors {LAYER}"} <= set(table.column_names)
    assert table[f"x {LAYER} mine"].null_count == 28
    assert table[f"cluster {LAYER}"].to_pylist() == [1] * 20 + [2] * 12 + [0] * 16
    assert f'--x "x {LAYER}" --y "y {LAYER}"' in html.replace("&#34;", '"')


def test_clusters_without_any_map_are_a_table(mapped, tmp_path):
    shutil.copytree(mapped.folder, tmp_path / "run")
    settings = Maps(of=(LAYER,), methods=())
    params = msgspec.structs.replace(
        mapped.params, maps=settings, tsne=msgspec.structs.replace(mapped.params.tsne, of=())
    )
    bare = dataclasses.replace(mapped, folder=tmp_path / "run", params=params)
    write_report(params, bare.project)
    text = bare.page.read_text()
    assert "map-data" not in text
    assert 'id="clusters-0"' in text
    assert mapped.on_map[0] in text.partition('id="clusters-0"')[2]


@pytest.fixture
def reader(browser, mapped):
    reader = Reader(browser, mapped, viewport={"width": 1280, "height": 900})
    yield reader
    assert reader.complaints == []
    reader.context.close()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_another_method_moves_the_points_and_shows_its_own_trust(reader):
    methods = reader.page.locator("#map-methods button")
    assert methods.all_inner_texts() == ["t-SNE", "PCA", "UMAP", "mine"]
    assert "KL divergence" in reader.page.locator("#map-trust").inner_text()
    methods.nth(1).click()
    reader.settle()
    assert "variance" in reader.page.locator("#map-trust").inner_text()
    assert (
        reader.page.locator("#map-stage").get_attribute("aria-label") == f"PCA map of 48 test images, {LAYER}"
    )
    reader.page.locator("#map-layers button").nth(1).click()
    reader.settle()
    assert (
        reader.page.locator("#map-stage").get_attribute("aria-label") == f"PCA map of 48 test images, {OTHER}"
    )
    assert methods.all_inner_texts() == ["t-SNE", "PCA"]
    methods.nth(1).press("ArrowRight")
    assert methods.nth(0).get_attribute("aria-checked") == "true"


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_click_on_a_cluster_selects_its_images_on_the_map_of_its_layer(reader, mapped):
    reader.page.locator("#map-layers button").nth(1).click()
    assert not reader.page.locator("#map-colours").is_visible()
    reader.page.locator('button.cluster[data-cluster="2"]').click()
    reader.settle()
    chosen = reader.plot("[...plot.marks.selected]")
    assert sorted(chosen) == sorted(reader.number(image) for image in mapped.on_map[20:32])
    assert LAYER in reader.page.locator("#map-stage").get_attribute("aria-label")
    assert reader.page.locator("#map-by-cluster").get_attribute("aria-pressed") == "true"
    assert reader.spoken == "12 images selected"
    colours = [reader.plot("plot.looks(a)", reader.number(mapped.on_map[n]))[0] for n in (0, 20, 40)]
    assert len(set(colours)) == 3
    reader.page.locator("#map-by-class").click()
    assert reader.plot("plot.looks(a)", reader.number(mapped.on_map[0]))[0] != colours[0]


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_typical_images_become_pictures_that_lead_to_their_neighbors(reader, mapped):
    cell = reader.page.locator('.typical[data-cluster="1"]')
    cell.scroll_into_view_if_needed()
    cell.locator("button").first.wait_for()
    assert cell.locator("canvas").count() == 6
    cell.locator("button").first.click()
    assert mapped.on_map[0] in reader.page.locator("#map-neighbors h3").inner_text()
