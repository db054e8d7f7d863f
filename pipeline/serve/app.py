"""The application: the routes over one project's store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .. import __version__
from ..errors import UserError
from ..project import Project
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

_LOOK = 1.0  # seconds between looks at whether the project has changed


def make_app(
    project: Project | Path | str = Project(),  # noqa: B008 - immutable
    *,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    hosts: Hosts = Hosts(),  # noqa: B008 - immutable
    token: str | None = None,
    vectors: VectorProcess | None = None,
) -> FastAPI:
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
    app = FastAPI(
        title="Pool5",
        description="A feature store for image datasets: what is near, in several representations.",
        version=__version__,
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        lifespan=lambda _: _at_work(live, vectors),
    )
    app.state.service = Service(
        live, limits, Batches(), StoredImages(), Maps(project), Bodies(limits), metrics
    )
    for routes in (store_routes, neighbor_routes, image_routes):
        app.include_router(routes.router)
    _tell_errors(app, project)
    app.add_middleware(Guard, hosts, Token(token) if token else None, Rate(limits.rate, limits.burst))
    app.add_middleware(metrics.measured)
    metrics.gauge("images", "Images that are stored.").set_function(
        lambda: float(sum(len(file_of(live.store(), split)) for split in live.store().splits))
    )
    metrics.gauge("vector_process_starts", "Starts of the process with PyTorch.").set_function(
        lambda: float(vectors.starts)
    )
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
        await anyio.to_thread.run_sync(live.look)


def _tell_errors(app: FastAPI, project: Project) -> None:
    """Every error is a problem of RFC 9457."""

    async def told(_: Request, error: Exception) -> Response:
        if isinstance(error, UserError):
            error = problem_of(error, project.root)
        elif isinstance(error, RequestValidationError):
            error = Problem(422, "; ".join(map(_in_a_line, error.errors())))
        elif isinstance(error, HTTPException):
            error = Problem(error.status_code, error.detail, error.headers)
        if not isinstance(error, Problem):
            error = Problem(500, "a defect of the service; its log says more")
        return error.response()

    for kind in (Problem, UserError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, told)


def _in_a_line(error: dict[str, object]) -> str:
    place = error["loc"]
    name = place[-1] if isinstance(place, tuple | list) and place else "request"
    return f"{name}: {error['msg']}"
