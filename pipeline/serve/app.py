"""The application: the routes over one project's store."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from .. import __version__
from ..errors import UserError
from ..project import Project
from ..questions.embedder import Embedder
from . import image_routes, neighbor_routes, store_routes
from .asking import Answers
from .images import StoredImages
from .limits import Limits
from .live_store import LiveStore
from .problems import Problem
from .service import Service


def make_app(
    project: Project | Path | str = Project(),  # noqa: B008 - immutable
    *,
    limits: Limits = Limits(),  # noqa: B008 - immutable
    embedder: Embedder | None = None,
) -> FastAPI:
    """The service over a project's store; `UserError` if there is none.

    Parameters
    ----------
    project : Project, or the path of its folder
    limits : Limits
    embedder : Embedder, optional
        What makes vectors of images and words.
    """
    if not isinstance(project, Project):
        project = Project(Path(project))
    app = FastAPI(title="Pool5", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = Service(LiveStore(project, embedder), limits, Answers(), StoredImages())
    for routes in (store_routes, neighbor_routes, image_routes):
        app.include_router(routes.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(UserError, _problem)
    return app


async def _problem(_: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return error.response()
    return Problem(400, " ".join(str(error).split())).response()
