"""Records: what is saved is what is loaded, and what was tampered with is not believed."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from pool5.errors import UserError
from pool5.results.record import Part, Record, load_if_there, load_record, save_record, tell_gaps


class Row(Part):
    name: str
    value: float | None


class Table(Record):
    stage: ClassVar[str] = "ap"

    rows: tuple[Row, ...]
    gaps: tuple[str, ...] = ()


class Other(Record):
    stage: ClassVar[str] = "tsne"

    rows: tuple[Row, ...]


RECORD = Table(
    rows=(Row(name="ä \u202f | mAP", value=0.1 + 0.2), Row(name="", value=None)), gaps=("no labels",)
)


def test_what_was_saved_is_loaded_to_the_last_bit(tmp_path):
    save_record(RECORD, tmp_path / "deep/ap.json")
    assert load_record(Table, tmp_path / "deep/ap.json") == RECORD


def test_the_same_record_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_record(RECORD, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_number_that_is_none_is_refused_when_it_is_saved(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_record(Table(rows=(Row(name="cat", value=float("nan")),)), tmp_path / "ap.json")
    assert not list(tmp_path.iterdir())


def test_a_missing_record_names_the_stage_that_writes_it(tmp_path):
    with pytest.raises(UserError) as error:
        load_record(Table, tmp_path / "ap.json")
    assert error.value.rerun == "ap"
    assert load_if_there(Table, tmp_path / "ap.json") is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"kind": "Table"}', '{"kind": 1, "version": 2}', "\x00"]
)
def test_what_is_no_record_is_told_in_a_line(tmp_path, content):
    (tmp_path / "ap.json").write_text(content)
    with pytest.raises(UserError) as error:
        load_record(Table, tmp_path / "ap.json")
    assert error.value.rerun == "ap"
    assert "\n" not in str(error.value)


def test_an_edited_value_is_noticed(tmp_path):
    save_record(RECORD, tmp_path / "ap.json")
    envelope = json.loads((tmp_path / "ap.json").read_text())
    envelope["record"]["rows"][0]["value"] = 0.9
    (tmp_path / "ap.json").write_text(json.dumps(envelope))
    with pytest.raises(UserError, match="damaged"):
        load_record(Table, tmp_path / "ap.json")


def test_a_record_of_another_kind_or_version_is_refused(tmp_path):
    save_record(RECORD, tmp_path / "ap.json")
    with pytest.raises(UserError, match="not Other"):
        load_record(Other, tmp_path / "ap.json")
    text = (tmp_path / "ap.json").read_text().replace('"version": 1', '"version": 2')
    (tmp_path / "ap.json").write_text(text)
    with pytest.raises(UserError, match="version 2"):
        load_record(Table, tmp_path / "ap.json")


def test_what_a_record_lacks_is_told_once_where_it_was_asked_for(caplog):
    tell_gaps(RECORD, [])
    assert not caplog.messages
    tell_gaps(RECORD, ["net"])
    assert caplog.messages == ["ap: no labels"]
