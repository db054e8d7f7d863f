"""What is kept is only ever a saving: whole, or as if it was not there."""

from __future__ import annotations

import logging

from pool5.files.kept import is_settled, keep, read_kept

SECOND = 10**9


def test_what_was_kept_is_read_and_nothing_of_a_damaged_or_missing_file(tmp_path):
    file = tmp_path / "cache/what.known"
    assert read_kept(file) is None
    keep(file, b"found", "the images are")
    assert read_kept(file) == b"found"
    for damaged in (b"", file.read_bytes()[:-1], file.read_bytes() + b"?", bytes(40)):
        file.write_bytes(damaged)
        assert read_kept(file) is None


def test_what_cannot_be_kept_is_told_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        keep(tmp_path / "cache/what.known", b"found", "the images are")
    assert "the images are read again next time" in caplog.text


def test_a_young_stamp_is_not_trusted_and_an_etag_is():
    now = 100 * SECOND
    assert is_settled((7, now - 3 * SECOND, now - 3 * SECOND, 1), now)
    assert not is_settled((7, now - 3 * SECOND, now - 1 * SECOND, 1), now)
    assert is_settled((7, "etag"), now)
    assert not is_settled(None, now)
