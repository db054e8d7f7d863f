"""What layers answer to one question; in a notebook, side by side."""

from __future__ import annotations

import collections
import dataclasses
import html
from collections.abc import Callable, Mapping, Sequence

from ..errors import UserError
from ..images.address import Address
from ..params import Metric
from ..search.searcher import Neighbor
from .question import Question, Term

_ROWS = 50  # that a notebook shows
_STYLE = """
<style>
.pool5-answers table { border-collapse: collapse; }
.pool5-answers td, .pool5-answers th { text-align: left; vertical-align: top; padding: 4px 12px 4px 6px; }
.pool5-answers td img { display: block; }
.pool5-answers div img { max-height: 64px; vertical-align: middle; margin: 0 4px; }
.pool5-answers td { border: 2px solid transparent; }
.pool5-answers td.shared { border: 2px solid #2a9d6f; }
.pool5-answers small { opacity: 0.75; }
</style>"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one layer answers.

    Attributes
    ----------
    question : Question
    layer : str
        `<model>/<layer>`.
    split : str
        Which was searched, and `searched` its number of images that could be found.
    metric : cosine, l2 or ip
    neighbors : tuple of Neighbor
        Nearest first.
    as_near : tuple of float or None
        For each of them, the share of random pairs of the split's images that are as near or nearer. None
        where the question is no single image: sums and words lie nearer to all, or farther from all.
    pairs : int
        How many random pairs that is of.
    state : str
        Of the store; answers with the same are of one state.
    layer_digest : str
        Of the layer's key and values.
    """

    question: Question
    layer: str
    split: str
    metric: Metric
    searched: int
    neighbors: tuple[Neighbor, ...]
    as_near: tuple[float | None, ...]
    pairs: int
    state: str
    layer_digest: str


class Answers(list[Answer]):
    """The answers of several layers to the same question."""

    def __init__(
        self, answers: Sequence[Answer], address: Callable[[str, str | None], Address | None] | None = None
    ) -> None:
        super().__init__(answers)
        self._address = address or (lambda name, split: None)

    @property
    def shared(self) -> dict[str, int]:
        """The images that more than one layer found, and how many did."""
        found = collections.Counter(near.id for answer in self for near in answer.neighbors)
        return {name: layers for name, layers in found.items() if layers > 1}

    def _repr_html_(self) -> str:
        if not self:
            return ""
        pictures, shared, first = _Pictures(self._address), self.shared, self[0]
        asked = " ".join(
            f"{'− ' if term.minus else '+ ' if at else ''}{pictures.of_term(term, first.split)}"
            for at, term in enumerate(first.question.terms)
        )
        heads = "".join(
            f"<th>{html.escape(each.layer)}<br><small>{each.metric}, "
            f"{each.searched:,} images of {html.escape(each.split)}</small></th>"
            for each in self
        )
        longest = max(len(each.neighbors) for each in self)
        rows = "".join(
            f"<tr><th>{at + 1}</th>{''.join(self._cell(each, at, pictures, shared) for each in self)}</tr>"
            for at in range(min(longest, _ROWS))
        )
        more = f"<p>… and {longest - _ROWS} more</p>" if longest > _ROWS else ""
        if any(first.as_near):
            told = f"% of pairs: of {first.pairs:,} random pairs of images, those as near or nearer"
            more += f"<small>{told}</small>"
        table = f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return f'<div class="pool5-answers">{_STYLE}<div>near {asked}</div>{table}{more}</div>'

    def _cell(self, answer: Answer, at: int, pictures: _Pictures, shared: Mapping[str, int]) -> str:
        if at >= len(answer.neighbors):
            return "<td></td>"
        near, share = answer.neighbors[at], answer.as_near[at]
        told = [html.escape(near.id), f"{near.distance:.4g}" + _in_words(share, answer.pairs)]
        told += [html.escape(", ".join(near.labels))] if near.labels else []
        layers = shared.get(near.id)
        told += [f"<small>in {layers} of {len(self)} layers</small>"] if layers else []
        marked = ' class="shared"' if layers else ""
        return f"<td{marked}>{pictures.of(near.id, answer.split)}{'<br>'.join(told)}</td>"


def _in_words(share: float | None, pairs: int) -> str:
    """How many of the random pairs are as near."""
    if share is None:
        return ""
    told = f"{100 * share:.2g} % of pairs" if share else f"none of {pairs:,} pairs"
    return f" <small>{told}</small>"


class _Pictures:
    """Thumbnails, each made once."""

    def __init__(self, address: Callable[[str, str | None], Address | None]) -> None:
        self._address = address
        self._made: dict[tuple[str, str | None], str] = {}

    def of(self, name: str, split: str | None) -> str:
        if (name, split) not in self._made:
            try:
                where = self._address(name, split)
            except UserError:  # a store that has its features alone
                where = None
            self._made[name, split] = _picture(where)
        return self._made[name, split]

    def of_term(self, term: Term, split: str) -> str:
        if term.kind == "image" and term.data is None:
            return _picture(Address(term.what)) + html.escape(term.what)
        return (self.of(term.what, split) if term.kind == "id" else "") + html.escape(str(term))


def _picture(where: Address | None) -> str:
    # Pillow only where a picture is shown: a question in the shell does not wait for it
    from ..images.budget import UnreadableImage
    from ..images.data_uri import thumbnail_uri

    if where is None:
        return ""
    try:
        return f'<img alt="" src="{thumbnail_uri(where)}">'
    except UnreadableImage:
        return "<em>no picture</em> "
