from __future__ import annotations

import pytest

from pool5.datasets.manifest import write_manifest
from pool5.errors import NotThere
from pool5.questions.open_store import OpenStore
from pool5.serve.images import StoredImages, find_image


def test_thumbnails_are_made_once_and_the_oldest_make_room(page_store, monkeypatch):
    made = []
    from pool5.serve import images

    shrink = images._shrunk
    monkeypatch.setattr(images, "_shrunk", lambda image, side: made.append(image.id) or shrink(image, side))
    found = [find_image(page_store, f"00001{n}", None) for n in range(3)]
    size = max(len(shrink(image, 64)) for image in found)
    kept = StoredImages(kept_bytes=2 * size)
    for image in (found[0], found[1], found[0], found[2], found[0], found[1]):
        kept.thumbnail(image, 64)
    assert made == ["000010", "000011", "000012", "000011"]
    assert sum(map(len, kept._kept.values())) + kept._room == 2 * size


def test_copies_of_an_image_share_their_thumbnail(page_store):
    kept = StoredImages()
    first, copy = (find_image(page_store, name, None) for name in ("000003", "000007"))
    assert kept.thumbnail(first, 64) is kept.thumbnail(copy, 64)


def test_an_image_is_found_where_the_manifest_has_others_before_it(page_store, page_folder, tmp_path):
    import shutil

    shutil.copytree(page_folder, tmp_path / "project")
    store = OpenStore.open(tmp_path / "project")
    manifest = store.manifests["test"]
    order = list(range(len(manifest)))
    write_manifest(manifest.take([*order[50:], *order[:40]]), store.project.manifest("test"))
    later = OpenStore.open(tmp_path / "project")
    assert find_image(later, "000005", None).read() == find_image(store, "000005", None).read()
    with pytest.raises(NotThere, match="no image 000045"):
        find_image(later, "000045", None)
