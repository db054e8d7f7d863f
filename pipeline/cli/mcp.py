"""`pool5 mcp`: the store for agents, over the Model Context Protocol."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import NotThere, UserError
from ..params import Metric
from ..project import Project
from ..questions.plain import plain
from ..results.record import record_names, record_text
from ..telling import in_words
from .features import described as of_features
from .why import verdicts

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from ..questions.open_store import OpenStore
    from ..questions.vector_process import VectorProcess
    from ..serve.live_store import LiveStore

_MOST = 1000  # neighbors of one answer: an agent reads them all
_SIDE = 512  # of a picture, in pixels
_INSTRUCTIONS = """\
A store of image features: for each layer of each model, a vector of every image. Call `show` first: it names
the layers, splits and classes. `query` finds the images nearest to an image, to words, or to a sum of such in
up to four layers at once; `as_near` is the share of random pairs of images that are as near or nearer, which
tells what a distance means. `results` has what the pipeline measured, `why` what it would compute again.
Nothing here changes anything."""


@click.command()
def mcp() -> None:
    """Answer an agent's questions to the store, over stdin and stdout.

    The tools are query, show, why and results; none changes anything. An agent's program starts this
    command itself: `docs/serve.md` says how to tell it to.
    """
    from ..questions.vector_process import VectorProcess

    project = Project()
    vectors = VectorProcess(project)
    try:
        make_server(project, vectors).run("stdio")
    finally:
        vectors.stop()


def make_server(project: Project, vectors: VectorProcess) -> MCPServer[Any]:
    """The server of a project's store, with `vectors` for images and words.

    Raises
    ------
    UserError
        If nothing is stored.
    """
    from mcp.server.mcpserver import MCPServer
    from mcp_types import ToolAnnotations

    from .. import __version__
    from ..serve.live_store import LiveStore

    tools = Tools(LiveStore(project, vectors.embedder))
    server: MCPServer[Any] = MCPServer(
        "pool5", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING"
    )
    harmless = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.query, tools.show, tools.why, tools.results):
        # only answers of a query have a form; the others are told as text
        server.add_tool(tool, annotations=harmless, structured_output=tool == tools.query)
    return server


class Tools:
    """What an agent can ask. Their docstrings are what it reads."""

    def __init__(self, live: LiveStore) -> None:
        self._live = live

    def query(
        self,
        ids: list[str] | None = None,
        text: list[str] | None = None,
        minus: list[str] | None = None,
        image: str | None = None,
        layers: list[str] | None = None,
        k: int = 10,
        classes: list[str] | None = None,
        split: str | None = None,
        metric: Metric | None = None,
    ) -> dict[str, Any]:
        """Find the images nearest to one question, in one to four layers side by side.

        The question is the sum of all that is given: `ids` of stored images, `text` (of layers that take
        words), the path of an `image` file on this machine; less `minus` (ids, image files or texts).
        `layers` are written model/layer; by default the first four that can be asked this. With `classes`,
        only images that show any of them are found. `shared` has the images that several layers found, and
        how many did.
        """
        with self._store() as store:
            if not 1 <= k <= _MOST:
                raise UserError(f"k is {k}; ask for 1 to {_MOST} neighbors")
            if image and not Path(image).is_file():  # a pipe or a device would be read without an end
                raise NotThere(f"no image file {image} on this machine")
            answers = store.ask(
                *(ids or ()),
                image=image or (),
                text=text or (),
                minus=minus or (),
                of=layers or (),
                k=k,
                classes=classes or (),
                split=split,
                metric=metric,
            )
            return {"answers": [plain(answer) for answer in answers], "shared": answers.shared}

    def show(self, model: str | None = None, split: str | None = None, image: str | None = None) -> list[Any]:
        """Say what there is: the whole store, what is stored of a `model`, or an `image` by its id.

        The store has its layers, splits, classes and what is missing. Of a model or derived layer: its images
        and classes in a split, and of each layer the key, which is all that decides its values. Of an image:
        its labels, and a small picture of it.
        """
        from ..serve.described import described
        from ..serve.limits import Limits
        from ..serve.maps import Maps

        with self._store() as store:
            if image is not None:
                return _seen(store, image, split)
            if model is None:
                return [_json(described(store, Maps(store.project), Limits(), self._live.trouble))]
            file = store.features.get((model, split or store.params.dataset.test))
            if file is None:
                there = ", ".join(f"{name} of {own}" for name, own in store.features)
                raise NotThere(f"no features of {model} of split {split} are stored; there are {there}")
            return [_json(of_features(file))]

    def why(self, model: str, split: str | None = None) -> str:
        """Say which rows of a model or derived layer would be computed again in the next run, and why."""
        with self._store() as store:
            return "\n".join(verdicts(model, split or store.params.dataset.test, store.project))

    def results(self, name: str | None = None) -> str:
        """The names of the records, as `ap` or `tsne/model/layer`; or one of them, as JSON, by its name.

        `ap` has average precisions, `retrieval` measures of neighbors, `duplicates` pairs of like images,
        `label_issues` labels that are likely wrong, `outliers` odd images, `compare` how alike layers are.
        """
        with self._store() as store:
            folder = store.project.results
            return record_text(folder, name) if name else "\n".join(record_names(folder))

    @contextlib.contextmanager
    def _store(self) -> Iterator[OpenStore]:
        """The project's state now; what a user can cause is told to the agent in one line."""
        from mcp.server.mcpserver.exceptions import ToolError

        try:
            # a first look sees that something has changed, a second that it is at rest
            if not self._live.look():
                self._live.look()
            yield self._live.store()
        except UserError as error:
            raise ToolError(in_words(error)) from None


def _seen(store: OpenStore, name: str, split: str | None) -> list[Any]:
    """What is known of an image, and a picture of it."""
    from mcp.server.mcpserver import Image

    from ..serve.images import StoredImages, find_image

    found = find_image(store, name, split)
    files = [file for (_, own), file in store.features.items() if own == found.split and name in file]
    labels = files[0].labels_of(int(files[0].rows([name])[0]))
    told = {"id": name, "split": found.split, "labels": labels, "stored_of": [file.model for file in files]}
    return [_json(told), Image(data=StoredImages().thumbnail(found, _SIDE), format="webp")]


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
