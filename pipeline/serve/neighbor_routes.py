"""`/api/neighbors`: what is near."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ..params import Metric
from ..questions.plain import plain
from ..questions.question import Question, Term
from .service import Shared, Store

router = APIRouter()
_Many = Annotated[list[str], Query(default_factory=list)]


@router.get("/api/neighbors")
async def neighbors(
    store: Store,
    service: Shared,
    id: _Many,
    model: str,
    layer: str,
    class_: Annotated[list[str], Query(alias="class", default_factory=list)],
    k: int = 4,
    split: str | None = None,
    metric: Metric | None = None,
) -> dict[str, Any]:
    """The nearest images to a question in a layer."""
    question = Question(tuple(Term(name, "id") for name in id))
    return plain(
        await service.answers.answer(
            store, question, f"{model}/{layer}", k, class_, split=split, metric=metric
        )
    )
