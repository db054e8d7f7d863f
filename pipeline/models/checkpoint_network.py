"""Which of the arrays in a checkpoint are the network's: under what names they stand, and beside what."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

import torch

from ..errors import UserError

State = Mapping[str, torch.Tensor]

_PLAIN = ("", "state_dict", "model", "model_state_dict")  # where a file's one network is looked for anyway

# which network of several is taken: the first rule that names one of them, and what does so too
_RULES = (
    (
        ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema"),
        "the average, as timm's loader does",
    ),
    (("teacher",), "the teacher, as DINO's evaluation does"),
    (("target_encoder",), "the average, as I-JEPA's evaluation does"),
    (("encoder_q", "base_encoder"), "the trained encoder, as MoCo's evaluation does"),
)
# what a self-supervised training hangs on a network: MAE's decoder, MoCo v3's predictor, …
_TRAINING_ONLY = re.compile(r"decoder|mask_token|predict|projector|projection|prototypes")


@dataclasses.dataclass(frozen=True)
class FoundNetwork:
    """A network in a checkpoint.

    Attributes
    ----------
    state : dict
        Its state dict, in its own names.
    where : str
        What stands before those names in the file: `teacher.module.backbone.`; empty where nothing does.
    why, beside : str, tuple of str
        The rule by which it was taken, and the other networks in the file; empty where it is the only one.
    left_out : int
        Arrays beside it that are no part of any network.
    """

    state: dict[str, torch.Tensor]
    where: str = ""
    why: str = ""
    beside: tuple[str, ...] = ()
    left_out: int = 0

    def __str__(self) -> str:
        """What was taken and what was not; empty where all was taken as it stands."""
        parts = [f"taken what stands under {self.where}" if self.where else "taken"]
        parts[0] += f" ({self.why})" if self.why else ""
        parts += [f"not {', '.join(self.beside)}"] if self.beside else []
        parts += [f"{self.left_out} other arrays left out"] if self.left_out else []
        return ", ".join(parts) if self.where or len(parts) > 1 else ""


def find_network(
    states: Mapping[str, State],
    own: Collection[str],
    heads: tuple[str, ...],
    own_names: Callable[[State], State],
) -> FoundNetwork:
    """The network with `own` names in a checkpoint's state dicts, under whatever prefix it stands.

    `module.`, `_orig_mod.`, `model.`, `backbone.` and the like are found by how many names fit. What stands
    in the place of the head, and what is known to serve a training alone, is left out.

    Parameters
    ----------
    states : {where in the file: state dict}
    own : collection of str
        Names in the network's state dict.
    heads : tuple of str
        What the names of its last layers begin with.
    own_names : function
        Turns a state dict's names of any age into today's.

    Raises
    ------
    UserError
        If there are several, and no rule says which is meant.
    """
    places = [(path, prefix) for path, state in states.items() for prefix in _prefixes(state, own, own_names)]
    if not places:  # what does not fit is told by its names
        return FoundNetwork(dict(own_names(max(states.values(), key=len))))
    (path, prefix), why = _chosen(places)
    others = [place for place in places if place != (path, prefix)]
    beside = tuple(under for at, under in others if at == path)
    inner = tuple(
        under for under in beside if under.startswith(prefix)
    )  # a network under the prefix of this one
    rest = [name for name in states[path] if not name.startswith((prefix, *beside))]
    under = {
        name.removeprefix(prefix): value
        for name, value in states[path].items()
        if name.startswith(prefix) and not name.startswith(inner)
    }
    state = dict(own_names(under))
    strange = [name for name in state if name not in own]
    dropped = [name for name in strange if name.startswith(heads) or _TRAINING_ONLY.match(name)]
    return FoundNetwork(
        {name: value for name, value in state.items() if name not in dropped},
        prefix if not others and path in _PLAIN else _in_words(path, prefix),
        why,
        tuple(_in_words(*place) for place in others),
        len(rest) + len(dropped),
    )


def _prefixes(state: State, own: Collection[str], own_names: Callable[[State], State]) -> list[str]:
    """Under what a state dict has at least half of a network's names, as they are or once were."""
    if 2 * len(state) < len(own):
        return []
    return _fitting(state, own) or _fitting(own_names(state), own)


def _fitting(names: Iterable[str], own: Collection[str]) -> list[str]:
    under: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        steps = name.split(".")
        for rest in (".".join(steps[i:]) for i in range(len(steps))):
            if rest in own:
                under[name.removesuffix(rest)].add(name)
    found: list[str] = []
    taken: set[str] = set()  # a name is of one network, though its end may be a name of it too
    for prefix, has in sorted(under.items(), key=lambda each: -len(each[1])):
        if 2 * len(has - taken) >= len(own):
            found.append(prefix)
            taken |= has
    return found


def _chosen(places: list[tuple[str, str]]) -> tuple[tuple[str, str], str]:
    """The one that is meant, and by which rule where there are several."""
    left = places
    rules: list[str] = []
    for words, rule in _RULES:
        named = [place for place in left if not set(words).isdisjoint(_in_words(*place).split("."))]
        if named and len(named) < len(left):
            left = named
            rules.append(rule)
    if len(left) > 1:
        under = ", ".join(_in_words(*place) or "no prefix" for place in left)
        raise UserError(
            f"holds several networks, under {under}; save the state dict of the one that is meant"
        )
    return left[0], "; ".join(rules)


def _in_words(path: str, prefix: str) -> str:
    return f"{path}.{prefix}" if path else prefix
