"""Questions that wait for the same layer are one search, which reads its vectors once for all of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import Sequence

import numpy as np

from ..errors import UserError
from ..params import Metric
from ..questions.answers import Answer
from ..questions.open_store import OpenStore
from ..questions.question import Question
from ..search.searcher import Searcher

_MOST = 256  # questions of one search
_PAUSE = 0.1  # between two searches, of the time that the first took
_LONGEST_PAUSE = 0.02  # seconds
_SEARCHES = 4  # at once, of different layers
_EMBEDDERS = 32  # questions that wait for a network, which takes some images together


class Batches:
    """Answers questions as `OpenStore.answer` does.

    While a search of a layer is at work, the questions that come for that layer wait; then all that may go
    together are the next one. A question that comes alone waits for nothing. What each is answered does not
    depend on the others: the search is exact.
    """

    def __init__(self) -> None:
        self._searching = concurrent.futures.ThreadPoolExecutor(_SEARCHES, "search")
        self._embedding = concurrent.futures.ThreadPoolExecutor(_EMBEDDERS, "embed")
        self._waiting: dict[Searcher, list[_Waiting]] = {}  # of those that are at work
        self._tasks: set[asyncio.Task[None]] = set()  # which the loop itself does not hold

    async def answer(
        self,
        store: OpenStore,
        question: Question,
        layer: str,
        k: int = 4,
        classes: Sequence[str] = (),
        *,
        split: str | None = None,
        metric: Metric | None = None,
    ) -> Answer:
        """As `OpenStore.answer`; raises as it does."""
        loop = asyncio.get_running_loop()
        searcher = store.searcher(layer, split, metric)
        name, vector = question.id_in(searcher.features), None
        if name is None:
            # who needs no network does not stand behind those that do
            threads = self._embedding if question.needs_network else None
            vector = await loop.run_in_executor(threads, store.vector, question, searcher)
        without = tuple(question.ids_in(searcher.features)) if name is None else ()
        one = _Waiting(question, layer, k, tuple(classes), without, name, vector, loop.create_future())
        if searcher in self._waiting:
            self._waiting[searcher].append(one)
        else:
            self._waiting[searcher] = [one]
            self._tasks.add(task := asyncio.create_task(self._work(store, searcher)))
            task.add_done_callback(self._tasks.discard)
        return await one.answer

    async def _work(self, store: OpenStore, searcher: Searcher) -> None:
        """Search until nothing waits."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while waiting := self._waiting[searcher]:
            if pause:  # who was answered just now may ask again, and go along
                await asyncio.sleep(pause)
                waiting = self._waiting[searcher]
            together = [one for one in waiting if one.kind == waiting[0].kind][:_MOST]
            taken = set(together)
            self._waiting[searcher] = [one for one in waiting if one not in taken]
            began = loop.time()
            work = loop.run_in_executor(self._searching, _search, store, searcher, together)
            for one, found in zip(together, await work, strict=True):
                one.tell(found)
            pause = min((loop.time() - began) * _PAUSE, _LONGEST_PAUSE) if len(together) > 1 else 0.0
        del self._waiting[searcher]


@dataclasses.dataclass(eq=False)
class _Waiting:
    """A question to a layer, by the id of an image of its split or by a vector."""

    question: Question
    layer: str
    k: int
    classes: tuple[str, ...]
    without: tuple[str, ...]
    name: str | None
    vector: np.ndarray | None
    answer: asyncio.Future[Answer]

    @property
    def kind(self) -> tuple[object, ...]:
        """Those of the same may go together; nobody waits for one that asks for many more neighbors."""
        return self.name is None, self.classes, self.without, self.k.bit_length()

    def tell(self, found: Answer | Exception) -> None:
        """Give the answer to who asked, if it is still there."""
        if self.answer.done():
            return
        if isinstance(found, Exception):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


def _search(store: OpenStore, searcher: Searcher, some: Sequence[_Waiting]) -> list[Answer | Exception]:
    """What each is answered, or why it is not."""
    first, k = some[0], max(one.k for one in some)
    try:
        if first.name is not None:
            lists = searcher.query([str(one.name) for one in some], k, first.classes)
        else:
            vectors = np.concatenate([one.vector for one in some if one.vector is not None])
            lists = searcher.query(vectors, k, first.classes, without=first.without)
        return [
            store.described(one.question, one.layer, searcher, found[: one.k])
            for one, found in zip(some, lists, strict=True)
        ]
    except Exception as error:  # not to be lost on this thread: whoever asked is told
        if len(some) > 1 and isinstance(error, UserError):  # as one asks for more than there are
            return [found for one in some for found in _search(store, searcher, [one])]
        return [error for _ in some]
