"""A project's networks, kept open for question after question."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

import numpy as np

from ..errors import UserError
from ..params import Params, problem_with_words
from ..project import Project
from .space import Part, Space

if TYPE_CHECKING:
    from ..extract.embed import OpenNetwork
    from ..images.budget import UnreadableImage
    from ..models.text import TextTower

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Given = ParamSpec("Given")

_NETWORKS = 4  # kept open: as many layers as are asked side by side may each be of another model
_ROWS = 64  # kept of each: the same image or text comes once for every layer


@dataclasses.dataclass(frozen=True)
class Picture:
    """The bytes of an image file, and what it is called."""

    name: str
    data: bytes

    @classmethod
    def of(cls, image: Path | bytes) -> Picture:
        """A file, or what was sent; `UserError` if the file cannot be read."""
        from ..images.budget import UnreadableImage
        from ..images.image_bytes import read_bytes

        try:
            return cls(
                *(("the image", image) if isinstance(image, bytes) else (str(image), read_bytes(image)))
            )
        except UnreadableImage as error:
            raise _refused(error) from None


@dataclasses.dataclass(frozen=True)
class Asked:
    """Vectors that are wanted: of texts or of images; of neither, the network is made ready for some."""

    space: Space
    params: Params
    images: tuple[Picture, ...] = ()
    texts: tuple[str, ...] = ()


class OpenModels:
    """Opens a network at the first question to it, and keeps it for the next.

    A network is known by what decides its values, as the key of stored features names it. So it goes on
    answering for those features when the project's folder has come to hold another one.

    Parameters
    ----------
    project : Project
    pixels : int, optional
        The most that an image may have.
    """

    def __init__(self, project: Project, pixels: int | None = None) -> None:
        self._project, self._pixels = project, pixels
        self._networks: _Kept[bytes, _Network] = _Kept(_NETWORKS)
        self._towers: _Kept[bytes, _Tower] = _Kept(_NETWORKS)

    def vectors(self, asked: Asked) -> np.ndarray:
        """The (n, D) vectors that are asked for.

        Raises
        ------
        UserError
            If an image or the model gives none, or params.yaml and the model ask for another key than stored.
        """
        (found,) = self.vectors_of_each([asked])
        if isinstance(found, UserError):
            raise found
        return found

    def vectors_of_each(self, asked: Sequence[Asked]) -> list[np.ndarray | UserError]:
        """What `vectors` gives each, or raises.

        Images that go through the same network go together: what goes through is a batch at least.
        """
        found = [_or_refusal(self._prepared, each) for each in asked]
        together: dict[_Network, list[_Pictures]] = collections.defaultdict(list)
        for pictures in found:
            if isinstance(pictures, _Pictures):
                together[pictures.network].append(pictures)
        for network, some in together.items():
            rows = iter(network.rows([pixels for pictures in some for pixels in pictures.pixels]))
            for pictures in some:
                pictures.rows = list(itertools.islice(rows, len(pictures.pixels)))
        return [
            _or_refusal(self._finished, each, made) if isinstance(made, _Pictures) else made
            for each, made in zip(asked, found, strict=True)
        ]

    def _prepared(self, asked: Asked) -> np.ndarray | _Pictures:
        """The vectors of texts; of images, what the network is to see."""
        if asked.texts:
            return self._words(asked)
        from ..images.budget import UnreadableImage

        try:
            for image in asked.images:
                self._check_size(image)
            network = self._network(asked)
            seen = [network.open.pixels(image.data, image.name) for image in asked.images]
        except UnreadableImage as error:
            raise _refused(error) from None
        return _Pictures(network, seen or [network.open.blank])

    def _check_size(self, image: Picture) -> None:
        from ..images.image_file import stated_size

        if self._pixels is None:
            return
        width, height = stated_size(image.data, image.name)
        if width * height > self._pixels:
            told = f"{image.name} has {width} x {height} pixels"
            raise UserError(f"{told}; give an image of {self._pixels:,} or fewer")

    def _finished(self, asked: Asked, pictures: _Pictures) -> np.ndarray:
        rows = np.array([row[asked.space.part] for row in pictures.rows])
        return asked.space.derive(rows, asked.params, self._project)

    def _network(self, asked: Asked) -> _Network:
        space = asked.space
        network = self._networks.get(space.network)
        if network is None or space.part not in network.layers:
            from ..extract.embed import OpenNetwork

            space.check(asked.params, self._project)
            network = _Network(OpenNetwork(space.model(asked.params), asked.params, project=self._project))
            space.check(asked.params, self._project)  # its files may have been replaced meanwhile
            self._networks.put(space.network, network)
        return network

    def _words(self, asked: Asked) -> np.ndarray:
        space, model = asked.space, asked.space.model(asked.params)
        if problem := problem_with_words(asked.params, space.reference):
            raise UserError(f"“{asked.texts[0]}” is taken as a text, and {problem}")
        tower = self._towers.get(space.network)
        if tower is None:
            from ..models.text import load_text_tower

            space.check(asked.params, self._project)
            tower = _Tower(load_text_tower(self._project.model(model), self._project.root))
            space.check(asked.params, self._project)
            self._towers.put(space.network, tower)
        return tower.vectors(asked.texts)


@dataclasses.dataclass
class _Pictures:
    """Images on their way through a network."""

    network: _Network
    pixels: list[np.ndarray]
    rows: list[dict[Part, np.ndarray]] = dataclasses.field(default_factory=list)


class _Network:
    """An open network, and the rows of the images that were asked for last."""

    def __init__(self, network: OpenNetwork) -> None:
        self.open = network
        self.layers: dict[Part, str] = {(part.node, part.pool): name for name, part in network.layers.items()}
        self._rows: _Kept[bytes, dict[Part, np.ndarray]] = _Kept(_ROWS)

    def rows(self, pixels: Sequence[np.ndarray]) -> list[dict[Part, np.ndarray]]:
        """{part: (D,) row} of each image; those that were asked for before are not computed again."""
        digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
        kept = {digest: self._rows.get(digest) for digest in digests}
        found = {digest: row for digest, row in kept.items() if row is not None}
        new = {digest: image for digest, image in zip(digests, pixels, strict=True) if digest not in found}
        values = self.open.features(new.values()) if new else {}
        for number, digest in enumerate(new):
            found[digest] = {part: values[name][number] for part, name in self.layers.items()}
            self._rows.put(digest, found[digest])
        return [found[digest] for digest in digests]


class _Tower:
    """An open text tower, and the vectors of the texts that were asked for last."""

    def __init__(self, tower: TextTower) -> None:
        self._open = tower
        self._vectors: _Kept[str, np.ndarray] = _Kept(_ROWS)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """The (n, D) vectors of n texts."""
        found = []
        for text in texts:
            vector = self._vectors.get(text)
            if vector is None:
                vector = self._open.embed([text])[0]
                self._vectors.put(text, vector)
            found.append(vector)
        return np.array(found)


class _Kept(Generic[Key, Value]):
    """The values that were asked for last, so many of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: collections.OrderedDict[Key, Value] = collections.OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        while len(self._values) > self._most:
            self._values.popitem(last=False)


def _refused(error: UnreadableImage) -> UserError:
    return UserError(f"{error.path}: {error.reason}; give another image")


def _or_refusal(work: Callable[Given, Value], *given: Given.args, **named: Given.kwargs) -> Value | UserError:
    try:
        return work(*given, **named)
    except UserError as error:
        return error
