"""`pool5 forget`: which images are meant, what is removed, what is told, and what is refused in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pool5.cli import pool5
from pool5.datasets.manifest import Manifest, write_manifest
from pool5.errors import UserError
from pool5.labels import Labels
from pool5.project import Project
from pool5.store.feature_key import FeatureKey
from pool5.store.row_cache import RowCache
from tests.store.filled_cache import digests_in

PARAMS = """
dataset: {name: toy, kind: images, root: photos, train: train, test: test}
models:
  net: {architecture: resnet18, weights: random, layers: {fc7: flatten}, preprocess: {resize: 36, crop: 32}}
"""
KEYS = [FeatureKey("net", "0" * 64, node, {}, "fp32", "float32", 1) for node in ("fc", "pool")]
# id and bytes of the images of each split
SPLITS = {
    "train": {"one": b"first", "two": b"second", "both": b"in train"},
    "test": {
        "copy": b"second",
        "both": b"in test",
        "street#1": b"box 1",
        "street#2": b"box 2",
        "street 2": b"x",
        "copy#1": b"no object",
    },
}


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    project = Project()
    project.params.write_text(PARAMS)
    (tmp_path / "photos").mkdir()
    for split, images in SPLITS.items():
        digests = np.array([np.frombuffer(digest(data), np.uint8) for data in images.values()])
        ids = np.array(list(images))
        paths = np.array([f"{name}.png{'#xywh=0,0,1,1' * name.startswith('street#')}" for name in images])
        sizes = np.ones((len(ids), 2), np.int32)
        write_manifest(
            Manifest(split, (), ids, paths, digests, sizes, Labels.none(len(ids))), project.manifest(split)
        )
        for path, data in zip(paths, images.values(), strict=True):
            (tmp_path / "photos" / path).write_bytes(data)
    project.objects.write_text("id\n")
    with RowCache(project.row_cache(".cache/features")).writer() as writer:
        for key in KEYS:
            everything = sorted({digest(data) for images in SPLITS.values() for data in images.values()})
            digests = np.frombuffer(b"".join(everything), np.uint8).reshape(-1, 16)
            writer.add(key, digests, np.ones((len(digests), 4), "f4"))
    return project


def there(project: Project) -> set[bytes]:
    """The bytes of the images that have a row of both keys."""
    cache = RowCache(project.row_cache(".cache/features"))
    data = {content for images in SPLITS.values() for content in images.values()}
    known = [
        {row.tobytes() for shard in cache.rows(key).shards for row in digests_in(Path(shard.where))}
        for key in KEYS
    ]
    assert known[0] == known[1]
    return {content for content in data if digest(content) in known[0]}


def run(*arguments: str) -> str:
    done = CliRunner().invoke(pool5, ["forget", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as told:
        run(*arguments)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_an_image_is_forgotten_by_its_id_for_every_layer(project):
    everything = there(project)
    assert "removed 2 rows of 2 layers, 32 bytes" in run("one")
    assert there(project) == everything - {b"first"}


def test_by_its_file_or_its_digest_too(project):
    everything = there(project)
    run("--image", "photos/one.png", "--digest", digest(b"x").hex())
    assert there(project) == everything - {b"first", b"x"}


def test_an_id_of_two_splits_means_both_images_unless_one_is_named(project):
    everything = there(project)
    run("both", "--split", "test")
    assert there(project) == everything - {b"in test"}
    run("both")
    assert there(project) == everything - {b"in test", b"in train"}


def test_objects_belong_to_their_image(project):
    everything = there(project)
    run("street")
    assert there(project) == everything - {b"box 1", b"box 2"}


def test_bytes_that_have_another_id_are_refused_unless_all_are_meant(project):
    everything = there(project)
    assert "two: the same bytes are copy (test)" in refused("two")
    assert there(project) == everything
    run("two", "copy")
    run("two", "--all-ids")
    assert there(project) == everything - {b"second"}


def test_what_else_is_kept_between_runs_goes_and_what_is_of_others_stays(project):
    unit = project.unit_cache / "tsne/1/map.npy"
    state = project.checkpoints / "net.pt"
    gone = project.set_aside(project.features("old", "test"))
    kept = project.set_aside(project.features("old", "train"))
    for path, data in ((unit, b""), (state, b""), (gone, b".." + digest(b"first")), (kept, b"...")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    told = run("one", "--dry-run")
    for line in (
        "would remove 2 rows",
        "would remove 1 unit",
        "would remove the states",
        "would remove 1 file",
    ):
        assert line in told
    assert all(path.exists() for path in (unit, state, gone, kept))
    assert there(project) >= {b"first"}
    told = run("one")
    assert "removed 1 unit" in told
    assert [path.exists() for path in (unit, state, gone, kept)] == [False, False, False, True]


def test_it_says_what_is_left_to_do(project):
    told = run("one")
    assert (
        "still in the data set, so `dvc repro` computes it again; remove photos/one.png, and the line of a"
        in told
    )
    assert "run `dvc repro`" in told
    assert "dvc gc --workspace" in told
    Path("photos/two.png").unlink()
    assert "still in the data set" not in run("two", "--all-ids")


def test_what_is_no_image_is_refused(project):
    assert "onne: no image of that id in test, train (did you mean one?)" in refused("onne")
    assert "no image of that id in any manifest" in refused("one", "--split", "val")
    assert "--digest: abc is none" in refused("--digest", "abc")
    assert CliRunner().invoke(pool5, ["forget"]).exit_code == 2


def test_nothing_is_forgotten_while_an_extraction_is_at_work(project):
    with RowCache(project.row_cache(".cache/features")).writer():
        assert "1 extraction at work" in refused("one")
    assert b"first" in there(project)
