"""Files of the ground floor: one way to write each content, whole or not at all."""

from __future__ import annotations

import csv
import io

import pytest

from pool5.files.atomic import whole_folder
from pool5.files.csv_file import csv_text, decimals, joined, write_csv
from pool5.files.digests import digest_of, sha256_of_file
from pool5.files.hints import did_you_mean, some_of
from pool5.files.json_file import json_text, write_json


def test_json_does_not_depend_on_the_order_of_keys():
    assert json_text({"b": 1, "a": "é"}) == json_text({"a": "é", "b": 1}) == '{\n  "a": "é",\n  "b": 1\n}\n'


def test_json_has_no_word_for_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_csv_quotes_what_needs_it_and_leaves_a_missing_number_empty(tmp_path):
    rows = [["a,b", decimals(1 / 3)], ['"', decimals(None)]]
    assert csv_text(["class", "ap"], rows) == 'class,ap\n"a,b",0.333333\n"""",\n'
    write_csv(tmp_path / "t.csv", ["class", "ap"], rows)
    assert (tmp_path / "t.csv").read_bytes() == csv_text(["class", "ap"], rows).encode()


def test_names_joined_in_a_cell_can_be_told_apart_whatever_they_hold():
    assert joined(["dining table", "cat"]) == "dining table|cat"
    assert joined(["a|b", "c"]) == r"a\|b|c"
    assert joined(["a\\", "b"]) == r"a\\|b" != joined(["a|b"])
    assert joined([]) == ""


def test_digests_are_those_of_the_bytes_and_of_the_content(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of_file(tmp_path / "empty").startswith("e3b0c44298fc1c14")
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1}) != digest_of({"a": 1, "b": [3]})
    with pytest.raises(ValueError, match="JSON"):
        digest_of(float("inf"))


def test_a_hint_names_what_is_near_or_nothing():
    assert did_you_mean("poool5", ["pool5", "fc7"]) == " (did you mean pool5?)"
    assert did_you_mean("dgo", ["cow", "dog"]) == " (did you mean dog?)"
    assert did_you_mean("boat", ["bottle", "bicycle"]) == ""
    assert did_you_mean("zebra", ["pool5", "fc7"]) == ""


def test_a_folder_takes_the_place_of_the_old_one_only_when_it_is_whole(tmp_path):
    target = tmp_path / "manifest"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), whole_folder(target) as folder:  # noqa: PT012
        (folder / "b").write_text("2")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["manifest"]
    with whole_folder(target) as folder:
        (folder / "c").write_text("3")
    assert [path.name for path in target.iterdir()] == ["c"]


@pytest.mark.parametrize("name", ["=1+1", "+x", "-2*3", "@cat", "\tx", "'=1"])
def test_a_name_in_a_csv_is_no_formula_and_a_number_stays_one(name):
    rows = list(csv.reader(io.StringIO(csv_text(["class", "x"], [[name, "-0.5"], [decimals(-1e-7), -3]]))))
    assert rows[1:] == [[f"'{name}", "-0.5"], ["-0.000000", "-3"]]
    assert next(csv.reader(io.StringIO(csv_text([name], [], exact=True)))) == [name]


def test_of_many_names_some_are_told():
    assert some_of(["a", "b"]) == "a, b"
    assert some_of([str(n) for n in range(1000)], 3) == "0, 1, 2 and 997 more"
