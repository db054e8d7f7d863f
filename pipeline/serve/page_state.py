"""What the page shows, as its link says it."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Sequence
from typing import Any

SHOWN = 12  # neighbors, unless the link asks for more or fewer
_MANY = ("id", "text", "minus", "of", "class")
_ONE = ("image", "split", "metric", "map")


@dataclasses.dataclass(frozen=True)
class State:
    """A question, whom it is put to, and what is shown beside the answers.

    Attributes
    ----------
    id, text, minus : tuple of str
        What the question is made of; `image` is the name that a browser keeps an image of its own by.
    of : tuple of str
        The layers that are asked, `<model>/<layer>`; empty for the first that can be.
    classes : tuple of str
    split, metric : str
        Empty for the store's own.
    map : str
        A map's layer and, unless it is t-SNE's, its method; `none` for no map, empty where there is room.
    plain : bool
        For a browser without scripts: whatever is asked is answered in the page itself.
    """

    id: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    image: str = ""
    split: str = ""
    metric: str = ""
    map: str = ""
    k: int = SHOWN
    plain: bool = False

    @classmethod
    def of_query(cls, query: Sequence[tuple[str, str]]) -> State:
        """Read a link; what is empty or no number is left out."""
        fields: dict[str, Any] = {
            name: tuple(dict.fromkeys(value for other, value in query if other == name and value))
            for name in _MANY
        }
        last = dict(query)
        fields |= {name: last.get(name, "") for name in _ONE}
        k = last.get("k", "")
        number = int(k) if k.isascii() and k.isdigit() and len(k) < 9 else 0
        classes = fields.pop("class")
        return cls(**fields, classes=classes, k=number or SHOWN, plain=last.get("plain") == "1")

    @property
    def asks(self) -> bool:
        """Whether there is a question; without one, images are listed."""
        return bool(self.id or self.text or self.minus or self.image)

    def link(self, **changes: Any) -> str:
        """The link of this state, or of one with some changes."""
        changed = dataclasses.replace(self, **changes)
        query = [
            (name, value)
            for name in _MANY
            for value in (changed.classes if name == "class" else getattr(changed, name))
        ]
        query += [(name, getattr(changed, name)) for name in _ONE if getattr(changed, name)]
        query += [("k", str(changed.k))] * (changed.k != SHOWN) + [("plain", "1")] * changed.plain
        return "?" + urllib.parse.urlencode(query)

    def asking_with(self, name: str) -> str:
        """The link that asks with one image in place of this question."""
        return self.link(id=(name,), text=(), minus=(), image="")
