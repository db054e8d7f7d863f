"""Questions, put to the search on a thread."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import anyio.to_thread

from ..params import Metric
from ..questions.open_store import Answer, OpenStore
from ..questions.question import Question


class Answers:
    """Answers questions, a few at a time."""

    def __init__(self, at_once: int = 4) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)

    async def answer(
        self,
        store: OpenStore,
        question: Question,
        layer: str,
        k: int,
        classes: Sequence[str] = (),
        *,
        split: str | None = None,
        metric: Metric | None = None,
    ) -> Answer:
        """As `OpenStore.answer`."""

        def asked() -> Answer:
            return store.answer(question, layer, k, classes, split=split, metric=metric)

        return await anyio.to_thread.run_sync(asked, limiter=self._limiter)
