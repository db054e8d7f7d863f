"""An answer in the plain types of JSON, as HTTP and agents are given it."""

from __future__ import annotations

from typing import Any

from .answers import Answer


def plain(answer: Answer) -> dict[str, Any]:
    """The answer's fields; of each neighbor also the share of random pairs that are as near or nearer."""
    question = answer.question
    return {
        "state": answer.state,
        "layer": answer.layer,
        "split": answer.split,
        "metric": answer.metric,
        "k": len(answer.neighbors),
        "question": {
            "text": str(question),
            "terms": [{"what": term.what, "kind": term.kind, "minus": term.minus} for term in question.terms],
        },
        "searched": answer.searched,
        "pairs": answer.pairs,
        "layer_digest": answer.layer_digest,
        "neighbors": [
            {
                "rank": near.rank,
                "id": near.id,
                "distance": near.distance,
                "labels": list(near.labels),
                "as_near": share,
            }
            for near, share in zip(answer.neighbors, answer.as_near, strict=True)
        ],
    }
