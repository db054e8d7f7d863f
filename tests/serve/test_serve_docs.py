"""What the service takes and answers is on its page of the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: there is no service")
PAGE = (Path(__file__).parents[2] / "docs/serve.md").read_text()


def test_every_route_and_status_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, told in methods.items():
            assert f"{method.upper()} {path}`" in PAGE
            assert [status for status in told["responses"] if status not in PAGE] == []


def test_every_parameter_of_a_question_is_documented(client):
    asked = client.get("/openapi.json").json()["paths"]["/api/neighbors"]["get"]["parameters"]
    section = re.search(r"### Neighbors\n(.*?)\n###", PAGE, re.DOTALL)[1]
    assert [each["name"] for each in asked if f"`{each['name']}`" not in section] == []


def test_every_option_is_documented():
    from pool5.cli.serve import serve

    options = [name for option in serve.params for name in option.opts]
    assert [name for name in options if f"`{name}" not in PAGE] == []


def test_the_limits_are_those_that_are_told(client):
    limits = client.get("/api/store").json()["limits"]
    assert limits == {"k": 5000, "body_bytes": 20_000_000, "pixels": 100_000_000, "ids": 1000}
    assert "5000 neighbors, 1000 terms, bodies of 20 MB" in PAGE
