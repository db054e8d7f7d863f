from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="starlette is not installed: there is no service")


def test_an_image_is_its_file(client, page_folder):
    answer = client.get("/api/images/000005")
    assert answer.content == (page_folder / "data/raw/toy/000005.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_an_id_is_looked_for_in_all_splits_or_in_one(client):
    assert client.get("/api/images/900003").status_code == 200
    assert client.get("/api/images/900003?split=train").status_code == 200
    assert client.get("/api/images/900003?split=test").status_code == 404
    assert "no split val" in client.get("/api/images/900003?split=val").json()["detail"]


@pytest.mark.parametrize("name", ["../../params.yaml", "..%2f..%2fparams.yaml", "/etc/passwd", "%00", "a\\b"])
def test_a_path_is_no_id(client, name):
    assert client.get(f"/api/images/{name}").status_code == 404


@pytest.mark.parametrize(("asked", "side"), [(1, 64), (64, 64), (65, 80), (1024, 80)])
def test_a_thumbnail_is_no_smaller_than_asked_and_no_larger_than_the_image(client, asked, side):
    answer = client.get(f"/api/images/000005/thumb?size={asked}")
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, max(picture.size)) == ("WEBP", side)


def test_a_thumbnail_looks_like_its_image(client, page_folder):
    answer = client.get("/api/images/000005/thumb?size=512")
    small = np.asarray(Image.open(io.BytesIO(answer.content)), float)
    whole = np.asarray(Image.open(page_folder / "data/raw/toy/000005.png").convert("RGB"), float)
    assert np.abs(small - whole).mean() < 8


def test_what_the_client_has_is_not_sent_again_and_with_the_state_not_asked_again(client, page_store):
    for path in ("/api/images/000005", "/api/images/000005/thumb"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        kept = client.get(path, params={"state": page_store.state})
        assert "immutable" in kept.headers["cache-control"]
        assert client.get(path, params={"state": "old"}).headers["cache-control"] == "no-cache"


def test_images_are_listed_by_class_and_by_the_beginning_of_their_ids(client, page_store):
    file, _ = page_store.file("net/pooled")
    of_class = [name for row, name in enumerate(file.ids) if "cat" in file.labels_of(row)]
    told = client.get("/api/images", params={"class": "cat", "limit": 5, "offset": 2}).json()
    assert told["total"] == len(of_class)
    assert [each["id"] for each in told["images"]] == of_class[2:7]
    assert all("cat" in each["labels"] for each in told["images"])
    told = client.get("/api/images", params={"prefix": "90000", "split": "train"}).json()
    assert [each["id"] for each in told["images"]] == [f"90000{n}" for n in range(10)]


def test_a_picture_that_was_changed_is_not_shown_as_the_old_one(page_folder, tmp_path, client_of):
    folder = tmp_path / "project"
    shutil.copytree(page_folder, folder)
    client = client_of(folder)
    shutil.copy(folder / "data/raw/toy/000006.png", folder / "data/raw/toy/000005.png")
    (folder / "data/raw/toy/000007.png").unlink()
    for name, why in (("000005", "another one"), ("000007", "cannot be read")):
        for path in (f"/api/images/{name}", f"/api/images/{name}/thumb"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert why in answer.json()["detail"]
            assert str(folder) not in answer.text
