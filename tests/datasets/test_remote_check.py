"""Images of a bucket and of a web server, looked at before anything is computed from them."""

from __future__ import annotations

import pytest
from devkit import write_image

from pool5.datasets import image_check
from pool5.datasets.image_check import BadImage, ImageFact, check_images
from pool5.files.remote_errors import Unreachable


@pytest.fixture
def files(tmp_path):
    for number in range(20):
        write_image(tmp_path / "images" / f"{number}.jpg", number)
    return {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}


def test_what_is_found_is_what_is_found_in_the_folder(files, tmp_path, web):
    web.files |= files
    names = sorted(files)
    assert list(check_images(str(web), names).values()) == list(
        check_images(tmp_path / "images", names).values()
    )
    assert web.most > 1


def test_processes_read_ahead_too(files, web, monkeypatch):
    monkeypatch.setattr(image_check, "_WORTH_A_POOL", 2)
    monkeypatch.setattr(image_check, "cores", lambda: 2)
    web.files |= files
    del web.files["7.jpg"]
    facts = check_images(str(web), sorted(files))
    assert [path for path, fact in facts.items() if isinstance(fact, BadImage)] == ["7.jpg"]
    assert facts["7.jpg"].reason == "cannot be read (no such file)"
    assert sum(isinstance(fact, ImageFact) for fact in facts.values()) == 19


def test_a_place_that_is_out_of_reach_stops_it_and_the_next_one_is_not_disturbed(files, web):
    web.files |= files
    web.busy["3.jpg"] = 99
    with pytest.raises(Unreachable, match=r"/3.jpg: the server answers 503"):
        check_images(str(web), sorted(files))
    web.busy["3.jpg"] = 0
    assert len(check_images(str(web), sorted(files))) == 20
