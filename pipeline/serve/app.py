"""The application: the routes over one project's store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import UserError
from ..project import Project
from ..questions.open_store import OpenStore
from ..questions.vector_process import VectorProcess
from . import image_routes, neighbor_routes, store_routes
from .batching import Batches
from .bodies import Bodies
from .guard import Guard
from .hosts import Hosts
from .images import StoredImages
from .limits import Limits
from .listing import file_of
from .live_store import LiveStore, warm
from .maps import Maps
from .metrics import Metrics
from .problems import Problem, problem_of
from .rate import Rate
from .service import Service
from .token import Token
from .typed_routes import Endpoint

_log = logging.getLogger(__name__)
_LOOK = 1.0  # seconds between looks at whether the project has changed


def make_app(
    project: Project | Path | str = Project(),  # noqa: B008 - immutable
    *,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    hosts: Hosts = Hosts(),  # noqa: B008 - immutable
    token: str | None = None,
    vectors: VectorProcess | None = None,
) -> Starlette:
    """The service over a project's store; it only reads.

    Parameters
    ----------
    project : Project, or the path of its folder
    limits : Limits
    hosts : Hosts
        The names that it answers under.
    token : str, optional
        That every request must show.
    vectors : VectorProcess, optional
        What makes vectors of images and words; by default one that starts with the first of them. It is
        ended with the service.

    Raises
    ------
    UserError
        If nothing is stored, or not soundly.
    """
    if not isinstance(project, Project):
        project = Project(Path(project))
    vectors = vectors or VectorProcess(project, pixels=limits.pixels)
    live, metrics = LiveStore(project, vectors.embedder), Metrics()
    endpoints = [*store_routes.ENDPOINTS, *neighbor_routes.ENDPOINTS, *image_routes.ENDPOINTS]
    app = Starlette(
        routes=[each.route() for each in (store_routes.PAGE, *endpoints)],
        middleware=[
            Middleware(metrics.measured),
            Middleware(Guard, hosts, Token(token) if token else None, Rate(limits.rate, limits.burst)),
        ],
        exception_handlers=dict.fromkeys([Problem, UserError, HTTPException, Exception], _teller(project)),
        lifespan=lambda _: _at_work(live, vectors),
    )
    app.router.routes.append(_documented(endpoints))
    app.state.service = Service(
        live, limits, Batches(), StoredImages(), Maps(project), Bodies(limits), metrics
    )
    gauges: dict[str, tuple[str, Callable[[], float]]] = {
        "images": ("Images that are stored.", lambda: _images(live.store())),
        "behind": ("1 while the project has changed to what is no state of it.", lambda: live.trouble != ""),
        "vector_process_starts": ("Starts of the process with PyTorch.", lambda: vectors.starts),
    }
    for name, (about, value) in gauges.items():
        metrics.gauge(name, about).set_function(value)
    return app


@contextlib.asynccontextmanager
async def _at_work(live: LiveStore, vectors: VectorProcess) -> AsyncIterator[None]:
    """While the service runs: read ahead what the first questions need, then look for a new state."""
    looking = asyncio.create_task(_keep_looking(live))
    try:
        yield
    finally:
        looking.cancel()
        vectors.stop()


async def _keep_looking(live: LiveStore) -> None:
    with contextlib.suppress(UserError):  # a damaged layer; whoever asks it is told
        await anyio.to_thread.run_sync(warm, live.store())
    while True:
        await asyncio.sleep(_LOOK)
        try:
            await anyio.to_thread.run_sync(live.look)
        except Exception:  # of whatever went wrong once, the service does not stop to look
            _log.exception("the project could not be looked at")


def _images(store: OpenStore) -> int:
    return sum(len(file_of(store, split)) for split in store.splits)


def _documented(endpoints: Sequence[Endpoint]) -> Route:
    """The page of OpenAPI."""

    @functools.cache
    def made() -> bytes:
        from .openapi import openapi

        return msgspec.json.encode(openapi(endpoints))

    def told(_: Request) -> Response:
        return Response(made(), media_type="application/json")

    return Route("/openapi.json", told)


def _teller(project: Project) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Makes every error a problem of RFC 9457."""

    async def told(_: Request, error: Exception) -> Response:
        if isinstance(error, UserError):
            error = problem_of(error, project.root)
        elif isinstance(error, HTTPException):
            told = {404: "nothing is at this address", 405: "not by this method"}
            detail = told.get(error.status_code, error.detail)
            error = Problem(error.status_code, f"{detail}; /openapi.json names all that is", error.headers)
        if not isinstance(error, Problem):
            error = Problem(500, "a defect of the service; its log says more")
        return error.response()

    return told
