"""The page to ask the store with: its state is its link, and without scripts it is tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..questions.open_store import OpenStore
from ..questions.plain import plain
from ..questions.question import Question, question_of
from ..report.environment import environment
from .listing import file_of, list_images
from .page_state import State
from .problems import problem_of

LAYERS = 4  # side by side, at most
_LISTED = 60  # images, where nothing is asked
_QUICK = 100  # answers to a question without words are in the page itself; scripts ask for others
# in this order they are one module; those of the report are its own
_SCRIPTS = (
    "scatter_plot.js",
    "map_buttons.js",
    "elements.js",
    "labels.js",
    "radios.js",
    "tiles.js",
    "met_images.js",
    "lazy_thumbnails.js",
    "page_state.js",
    "own_images.js",
    "answers.js",
    "ask_map.js",
    "terms.js",
    "filters.js",
    "box.js",
    "page.js",
)


@dataclasses.dataclass(frozen=True)
class Column:
    """What one layer answers, in the types of JSON, or why it does not."""

    layer: str
    answer: Mapping[str, Any] | None
    problem: str = ""


def page_of(store: OpenStore, told: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> str:
    """The page as HTML; what cannot be asked is said on it.

    Parameters
    ----------
    store : OpenStore
    told : JSON
        What `GET /api/store` answers.
    query : (name, value) pairs
        Of the link. Beside what `State` has, `q` is what stands in the box, and `as` whether it is a question
        of its own (`ask`) or a `plus` or `minus` to the one that there is.
    """
    state, problem = _with_box(State.of_query(query), dict(query), store, told)
    most = told["limits"]
    state = dataclasses.replace(state, k=min(state.k, most["k"]))
    if len(state.id) + len(state.text) + len(state.minus) > most["ids"]:
        return render_page(told, State(), problem=f"a question has at most {most['ids']} ids and texts")
    columns: tuple[Column, ...] = ()
    listed: Mapping[str, Any] | None = None
    quick = state.k <= _QUICK and not (state.text or state.minus or state.image)
    try:
        if state.asks and not state.image and (quick or state.plain):
            columns = _answers(store, state)
        elif not state.asks:
            listed = list_images(store, state.split or None, state.classes, limit=_LISTED)
    except UserError as error:
        problem = problem or problem_of(error, store.project.root).detail
    return render_page(told, state, columns, listed, problem)


def render_page(
    told: Mapping[str, Any],
    state: State = State(),  # noqa: B008 - immutable
    columns: Sequence[Column] = (),
    listed: Mapping[str, Any] | None = None,
    problem: str = "",
    *,
    source: str = "http_source.js",
) -> str:
    """The page as HTML.

    Parameters
    ----------
    told : JSON
        What `GET /api/store` answers.
    columns : sequence of Column
        The answers that stand in the page.
    listed : JSON, optional
        What `GET /api/images` answers, where nothing is asked.
    source : str
        The script by which the page asks: over HTTP, or from files.
    """
    own = environment("pool5.serve", "pool5.report")
    own.globals["distance"] = _distance
    counts: dict[str, int] = {}
    for column in columns:
        for near in column.answer["neighbors"] if column.answer else ():
            counts[near["id"]] = counts.get(near["id"], 0) + 1
    return own.get_template("ask.html.j2").render(
        told=told,
        state=state,
        columns=columns,
        counts=counts,
        listed=listed,
        problem=problem,
        scripts=[*_SCRIPTS[:-1], source, _SCRIPTS[-1]],
    )


def _with_box(
    state: State, typed: Mapping[str, str], store: OpenStore, told: Mapping[str, Any]
) -> tuple[State, str]:
    """The state with what stands in the box: an id, else a class, else words; and what is wrong with it."""
    what, how = typed.get("q", "").strip(), typed.get("as", "ask")
    if not what:
        return state, ""
    bare = state if how != "ask" else dataclasses.replace(state, id=(), text=(), minus=(), image="")
    known = any(what in file for file in store.features.values())
    if how == "minus":
        return dataclasses.replace(bare, minus=(*bare.minus, what)), ""
    if known:
        return dataclasses.replace(bare, id=(*bare.id, what)), ""
    if what in told["classes"]:
        return dataclasses.replace(bare, classes=(what,)), ""
    if any(layer["words"] for layer in told["layers"]):
        return dataclasses.replace(bare, text=(*bare.text, what)), ""
    return state, f"no image and no class is called {what}, and no layer here can be asked in words"


def _answers(store: OpenStore, state: State) -> tuple[Column, ...]:
    """Each layer's, or why it has none; `UserError` if none can be asked."""
    split = file_of(store, state.split or None).split
    of_split = [name for name, there in store.layers.items() if split in there]
    file, own = store.file((*state.of, *of_split)[0], split)
    question = question_of(
        file, own, ids=state.id, texts=state.text, minus=state.minus, beside=store.files_of(file.model)
    )
    layers = state.of or store.layers_for(question, split)
    return tuple(_answer(store, question, layer, state, split) for layer in layers[:LAYERS])


def _answer(store: OpenStore, question: Question, layer: str, state: State, split: str) -> Column:
    try:
        there = list_images(store, split, state.classes, limit=1)["total"]
        k = max(min(state.k, there - len(question.named("id"))), 1)
        metric: Any = state.metric or None
        answer = store.answer(question, layer, k, state.classes, split=split, metric=metric)
        return Column(layer, plain(answer))
    except UserError as error:
        return Column(layer, None, problem_of(error, store.project.root).detail)


def _distance(value: float) -> str:
    """As the scripts write it."""
    return (f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}").replace("-", "−")
