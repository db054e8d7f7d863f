"""The workers of a Ray cluster: one for each GPU, or one for all CPUs of a node. Nodes come and go."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import UserError
from ..params import Extract
from .ray_worker import Worker, versions
from .stored_network import travelling
from .work import ImageFiles, Work

_LOOK_SECONDS = 2.0
_TRIES = 3  # to begin on a node
_TELL_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
_END_SECONDS = 10.0
_log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class Unit:
    """Some images that one worker computes: their numbers, and how often a worker died at them."""

    numbers: Any  # (n,) int64
    deaths: int = 0


@dataclasses.dataclass(eq=False)
class Member:
    """A worker, and what it has in hand: what it is at first. It begins with None."""

    actor: Any
    node: str
    kind: str = ""
    speed: float = 0.0  # images a second; 0 as long as it is not known
    at_work: collections.deque[tuple[Any, Unit | None]] = dataclasses.field(default_factory=collections.deque)

    @property
    def ready(self) -> bool:
        """Whether it has begun."""
        return bool(self.kind)

    def give(self, unit: Unit, images: ImageFiles) -> None:
        """Hand it a unit."""
        self.at_work.append((self.actor.compute.remote(images), unit))


class Fleet:
    """All workers of a job; a context, at whose end they end."""

    def __init__(self, work: Work, kind: str, folder: str) -> None:
        self.members: list[Member] = []
        self._extract = work.extract
        self._kind = kind  # of device, that all must be of; '' as long as it is not known
        asked = dataclasses.replace(work, load_network=travelling(work.load_network))
        self._asked = (versions(), [ray.put(asked)], folder)
        self._gpus: bool | None = None
        self._failed: collections.Counter[str] = collections.Counter()
        self._left_out: dict[str, str] = {}  # {node: why}
        self._looked = -_LOOK_SECONDS
        self._useful = time.monotonic()  # when there was a worker last
        self._told = False

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *error: object) -> None:
        ending = [member.actor.end.remote() for member in self.members if not member.at_work]
        with contextlib.suppress(Exception):
            ray.wait(ending, num_returns=len(ending), timeout=_END_SECONDS)
        for member in self.members:
            ray.kill(member.actor)

    @property
    def is_at_work(self) -> bool:
        """Whether a worker has a unit in hand."""
        return any(unit for member in self.members for _, unit in member.at_work)

    def look(self) -> list[Unit]:
        """Take in the nodes that have come, let go those that have gone; gives what these had in hand."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return []
        self._looked = now
        nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        gone = [member for member in self.members if member.node not in nodes]
        lost = [unit for member in gone for unit in self.lose(member)]
        for node, resources in nodes.items():
            if node not in self._left_out:
                there = sum(member.node == node for member in self.members)
                for cpus, gpus in self._places(resources, nodes.values())[there:]:
                    self._begin(node, cpus, gpus)
        self._check_there_are_some(now)
        return lost

    def heard(self, member: Member, kind: str) -> list[Unit]:
        """A worker has begun, on a device of that kind; one of another kind than the others is let go."""
        self._kind = self._kind or kind
        if kind != self._kind and not self._extract.mixed:
            why = f"it computes by {kind}, those before by {self._kind}; extract.mixed: true allows both"
            self._leave_out(member.node, why)
            return self.lose(member)
        member.kind = kind
        return []

    def lose(self, member: Member) -> list[Unit]:
        """A worker has gone; gives the units it had in hand."""
        self.members.remove(member)
        ray.kill(member.actor)
        return [unit for _, unit in member.at_work if unit]

    def failed(self, member: Member, error: Exception) -> None:
        """A worker died before it had begun: after some tries its node is left out."""
        self._failed[member.node] += 1
        if self._failed[member.node] >= _TRIES:
            told = " ".join(str(error).split())
            self._leave_out(member.node, f"no worker starts there: {told[:300]}")

    def _leave_out(self, node: str, why: str) -> None:
        if node not in self._left_out:
            self._left_out[node] = why
            where = next((n["NodeManagerHostname"] for n in ray.nodes() if n["NodeID"] == node), node)
            _log.warning("%s is left out: %s", where, why)

    def _places(self, resources: dict[str, float], every: Any) -> list[tuple[int, int]]:
        """The (CPUs, GPUs) of each worker of a node."""
        if self._gpus is None or not self.members:
            on_gpus = self._extract.device != "cpu" and any(node.get("GPU", 0) >= 1 for node in every)
            self._gpus = on_gpus or self._extract.device == "cuda"
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if self._gpus:
            return [(cpus // gpus, 1)] * gpus if gpus else []
        return [(cpus, 0)] if cpus else []

    def _begin(self, node: str, cpus: int, gpus: int) -> None:
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy=here).remote()
        begun = actor.begin.remote(*self._asked, cpus)
        self.members.append(Member(actor, node, at_work=collections.deque([(begun, None)])))

    def _check_there_are_some(self, now: float) -> None:
        """Refuse to wait for ever: what is busy may become free, but where nothing is, nothing comes."""
        if any(member.ready for member in self.members):
            self._useful = now
        elif not self.members and self._left_out:
            raise UserError(f"no node of the Ray cluster can compute; {next(iter(self._left_out.values()))}")
        elif not self.members and now - self._useful > _PATIENCE_SECONDS:
            what = "GPUs" if self._gpus else "CPUs"
            raise UserError(f"no node of the Ray cluster has {what}; extract.device: {self._extract.device}")
        elif self.members and now - self._useful > _TELL_SECONDS and not self._told:
            self._told = True
            _log.warning("waiting for the Ray cluster, whose nodes are busy or slow to start")


def check_device(extract: Extract) -> None:
    """Refuse GPUs by their numbers: a worker sees one, which is its own."""
    if extract.device not in ("auto", "cpu", "cuda"):
        named = ", ".join(extract.devices)
        raise UserError(f"extract.device: {named}: with runner ray it is cuda, cpu or auto")


def first_of(members: Sequence[Member], seconds: float) -> list[Member]:
    """The workers that have an answer, waited for so long."""
    asked = {member.at_work[0][0]: member for member in members if member.at_work}
    if not asked:
        time.sleep(seconds)
        return []
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
    if not done:
        done, _ = ray.wait(list(asked), timeout=seconds)
    return [asked[ref] for ref in done]
