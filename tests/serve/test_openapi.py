"""What /openapi.json says is so: two thousand questions that are drawn from it, sound and unsound ones."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.serve.hostile import picture
from tests.serve.running import Service, running

pytest.importorskip("uvicorn", reason="uvicorn is not installed: there is no service")
schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: nothing draws questions"
)
pytestmark = pytest.mark.slow

_CASES = 2000
_PATIENCE = 120  # seconds; the first image waits for PyTorch
# what the project has, so that questions get further than to what is not there
_SOUND: dict[str, list[Any]] = {
    "model": ["net"],
    "layer": ["pooled"],
    "id": [["000003"], ["000003", "000009"], ["900001"]],
    "minus": [["000004"], ["a word"], []],
    "text": [[]],
    "class": [["cat"], ["cat", "dog"], []],
    "split": ["test", "train"],
    "metric": ["cosine", "l2", "ip"],
    "k": [1, 5, 100],
    "prefix": ["0000", "9"],
    "method": ["tsne"],
    "name": ["dataset", "training/net"],
    "size": [64, 1024],
    "limit": [1, 1000],
    "offset": [0, 229],
}


@pytest.fixture(scope="module")
def service(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(project, tmp_path_factory.mktemp("openapi") / "log", "--rate", "0") as service:
        yield service


@st.composite
def sound_parts(draw: st.DrawFn) -> dict[str, Any]:
    """Some parameters, with values that the project has."""
    names = draw(st.lists(st.sampled_from(sorted(_SOUND)), unique=True))
    return {name: draw(st.sampled_from(_SOUND[name])) for name in names}


def put_in(case: Any, parts: dict[str, Any]) -> None:
    """Values of parameters that the case has anyway; the model and layer go together."""
    for place in (case.query, case.path_parameters):
        if isinstance(place, dict):
            one = {
                name: value for name, value in parts.items() if name in place or name in ("model", "layer")
            }
            if place is case.path_parameters:
                one = {
                    name: value[0] if isinstance(value, list) else value
                    for name, value in one.items()
                    if name in place and value != []
                }
            place.update(one)
    if isinstance(case.body, dict):
        case.body.update({name: value for name, value in parts.items() if name in case.body})


def put_all(
    operation: Any, mode: Any, most: int, checks: list[Any], statuses: collections.Counter[Any]
) -> None:
    """Put questions to one route, and hold the answers against the page."""

    @seed(most)
    @settings(
        max_examples=most,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), parts=sound_parts())
    def put(case: Any, parts: dict[str, Any]) -> None:
        put_in(case, parts)
        reply = case.call(timeout=_PATIENCE)
        statuses[operation.label, reply.status_code] += 1
        case.validate_response(reply, checks=checks)

    with contextlib.suppress(Unsatisfiable):  # a route without parameters takes nothing wrong
        put()


@pytest.mark.long
def test_no_question_that_is_drawn_from_the_page_fails_the_service(service: Service) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    for kind in ("image/*", "image/png", "application/octet-stream"):
        schemathesis.openapi.media_type(
            kind, st.sampled_from([picture("PNG", (9, 9)), picture("JPEG"), b"", b"\x89PNG"])
        )
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 9
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    statuses: collections.Counter[tuple[str, int]] = collections.Counter()
    each = -(-_CASES // len(operations) // 2)
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            put_all(operation, mode, each, checks, statuses)
    # routes that take nothing are soon through with
    rest = [found for found in operations if found.path == "/api/neighbors"]
    for operation in rest:
        left = _CASES - sum(statuses.values())
        put_all(operation, GenerationMode.POSITIVE, max(left, 1), checks, statuses)
    print(dict(sorted(statuses.items())))
    assert sum(statuses.values()) >= _CASES
    assert service.lives
    assert "Traceback" not in service.log
    answered = {label for (label, status), _ in statuses.items() if status == 200}
    assert {"GET /api/neighbors", "POST /api/neighbors", "GET /api/images/{id}"} <= answered


def test_every_route_and_every_problem_is_on_the_page(service: Service) -> None:
    page = service.get("/openapi.json").json()
    assert set(page["paths"]) == {
        "/api/store", "/api/neighbors", "/api/images", "/api/images/{id}", "/api/images/{id}/thumb",
        "/api/map/{model}/{layer}", "/api/results", "/api/results/{name}", "/healthz", "/metrics",
    }  # fmt: skip
    for path, methods in page["paths"].items():
        for method, told in methods.items():
            assert told["summary"], (method, path)
            for status, answer in told["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
