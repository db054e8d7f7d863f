from __future__ import annotations

import io
import json

import numpy as np
import pytest

from pool5.results.record import load_record
from pool5.results.tsne_map import TsneResult

pytest.importorskip("starlette", reason="starlette is not installed: there is no service")
JSON = {"Accept": "application/json"}


def test_the_store_tells_what_there_is_to_ask(client, page_store):
    told = client.get("/api/store").json()
    assert (told["name"], told["state"], told["split"]) == ("toy", page_store.state, "test")
    assert told["splits"] == [{"name": "test", "images": 110}, {"name": "train", "images": 105}]
    assert told["classes"] == ["cat", "dog", "person"]
    assert [layer["layer"] for layer in told["layers"]] == list(page_store.layers)
    by_name = {layer["layer"]: layer for layer in told["layers"]}
    assert [name for name, layer in by_name.items() if layer["words"]] == ["clip/image", "unit/image"]
    assert by_name["moved/image"]["derived_of"] == "clip/image"
    file, own = page_store.file("net/pooled")
    net = by_name["net/pooled"]
    assert (net["width"], net["dtype"], net["digest"]) == (576, "float32", file.layer_digest(own))
    assert net["key"] == file.key(own)
    assert net["maps"] == [
        {"method": "tsne", "title": "t-SNE", "images": 100},
        {"method": "pca", "title": "PCA", "images": 100},
    ]
    assert told["results"] == ["maps/net/pooled/pca", "tsne/net/pooled"]


def test_a_map_in_arrow_has_the_points_and_labels_of_the_store(client, page_folder, page_store):
    import pyarrow as pa

    answer = client.get("/api/map/net/pooled")
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()
    record = load_record(TsneResult, page_folder / "data/results/tsne/net/pooled.json")
    assert tuple(table["id"].to_pylist()) == record.ids
    assert list(zip(table["x"].to_pylist(), table["y"].to_pylist(), strict=True)) == list(record.points)
    file, _ = page_store.file("net/pooled")
    rows = file.rows(record.ids)
    assert table["labels"].to_pylist() == [list(file.labels_of(int(row))) for row in rows]
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert about == {"state": page_store.state, "split": "test", "method": "tsne", "title": "t-SNE"}


def test_a_map_in_json_lies_in_a_square_of_side_one(client, page_folder):
    answer = client.get("/api/map/net/pooled", params={"method": "pca"}, headers=JSON).json()
    places = np.array([answer["x"], answer["y"]])
    assert np.ptp(places, axis=1).max() == pytest.approx(1, abs=1e-3)
    assert places.min() >= 0
    assert places.max() <= 1
    points = np.array(
        json.loads((page_folder / "data/results/maps/net/pooled/pca.json").read_text())["record"]["points"]
    )
    assert np.corrcoef(points[:, 0], answer["x"])[0, 1] == pytest.approx(1)
    assert np.corrcoef(points[:, 1], answer["y"])[0, 1] == pytest.approx(-1)  # downward


def test_the_two_forms_of_a_map_are_kept_apart(client):
    arrow, plain = (client.get("/api/map/net/pooled", headers=head) for head in ({}, JSON))
    assert arrow.headers["vary"] == "Accept"
    assert arrow.headers["etag"] != plain.headers["etag"]
    again = client.get("/api/map/net/pooled", headers=JSON | {"If-None-Match": plain.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/api/map/net/pooled?method=umap", "no map by umap; there are tsne, pca"),
        ("/api/map/clip/block", "there are none"),
        ("/api/map/nett/pooled", "did you mean net/pooled?"),
        ("/api/results/ap", "no result ap"),
        ("/api/results/..%2f..%2fparams", "no result ../../params"),
        ("/api/else", "nothing is at this address; /openapi.json names"),
    ],
)
def test_what_is_not_there_is_a_problem(client, path, why):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert why in answer.json()["detail"]


def test_a_result_is_given_as_it_stands(client, page_folder):
    assert client.get("/api/results").json() == ["maps/net/pooled/pca", "tsne/net/pooled"]
    answer = client.get("/api/results/tsne/net/pooled")
    assert answer.content == (page_folder / "data/results/tsne/net/pooled.json").read_bytes()


def test_another_method_is_a_problem_too(client):
    answer = client.delete("/api/store")
    assert (answer.status_code, answer.json()["title"]) == (405, "Method Not Allowed")


def test_what_is_counted_goes_by_routes(client):
    client.get("/api/images/000001")
    client.get("/api/images/000002")
    client.get("/made/up")
    told = client.get("/metrics").text
    count = 'pool5_requests_total{method="GET",route="/api/images/{id:path}",status="200"}'
    assert float(told.partition(count)[2].split()[0]) >= 2
    assert "/made/up" not in told
    assert "pool5_images 215.0" in told


def test_the_page_answers_the_same_link(client):
    answer = client.get("/", params={"id": "000005", "of": "net/pooled"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "000005" in answer.text


def test_openapi_names_every_route(client):
    told = client.get("/openapi.json").json()
    routes = {route.path.replace(":path", "") for route in client.app.routes}
    assert set(told["paths"]) == routes - {"/", "/openapi.json"}
    by_name = {each["name"]: each for each in told["paths"]["/api/neighbors"]["get"]["parameters"]}
    assert by_name["class"]["schema"]["type"] == "array"
    path = told["paths"]["/api/images/{id}/thumb"]["get"]["parameters"]
    assert next((each["name"], each["in"], each["required"]) for each in path) == ("id", "path", True)
