"""The store that the service answers from, while the project changes underneath.

A run of the pipeline edits params.yaml, takes a model's features away, and minutes later puts the new ones
there, file by file. What is on the disk in between is no state of the project. So the state that was opened
last stays, with its files mapped, until what is there is at rest and goes together.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import UserError
from ..extract.keys import feature_keys
from ..params import Params, load_params
from ..project import Project
from ..questions.embedder import Embedder
from ..questions.open_store import OpenStore
from ..telling import in_words

_log = logging.getLogger(__name__)

# of the files that a state is read from: path, inode, time of change in nanoseconds, and bytes
Signature = tuple[tuple[str, int, int, int], ...]


class LiveStore:
    """Gives each request one state of the project's store.

    Parameters
    ----------
    project : Project
    embedder_of : function, optional
        Makes what gives vectors for a state with these parameters; without it, the state's own process does.

    Raises
    ------
    UserError
        If nothing is stored, or not soundly.
    """

    def __init__(self, project: Project, embedder_of: Callable[[Params], Embedder] | None = None) -> None:
        self.project = project
        self.trouble = ""
        self._embedder_of = embedder_of
        self._seen = self._signature()
        self._taken = self._seen
        self._refused: Signature = ()
        self._store = self._open()
        self._looking = threading.Lock()

    def store(self) -> OpenStore:
        """The state to answer from."""
        return self._store

    def look(self) -> bool:
        """Take the project's new state, if it is at rest since the last look and goes together.

        Returns
        -------
        bool
            Whether there is one, which `store` gives from now on. `trouble` says why there is none although
            the project changed.
        """
        with self._looking:
            try:
                return self._take_new()
            except UserError as error:
                self._refuse(in_words(error))
            except OSError:  # a folder went away while it was listed
                self._seen = ()
            return False

    def _take_new(self) -> bool:
        now = self._signature()
        if now == self._taken:
            self.trouble = ""
            return False
        if now != self._seen:  # still changing, for all one knows
            self._seen = now
            return False
        if now == self._refused:
            return False
        found = self._open()
        if why := unfinished(self._store, found):
            self._refuse(why)
            return False
        warm(found)
        if self._signature() != now:
            return False
        self._taken, self.trouble = now, ""
        if found.state == self._store.state:
            return False
        self._store = found
        _log.info("the project has changed: answers come from its new state, %s", found.state)
        return True

    def _refuse(self, why: str) -> None:
        self._refused = self._seen
        if why != self.trouble:
            _log.warning("answers still come from the state before: %s", why)
        self.trouble = why

    def _open(self) -> OpenStore:
        params = load_params(self.project.params)
        return OpenStore(params, self.project, self._embedder_of(params) if self._embedder_of else None)

    def _signature(self) -> Signature:
        """Of params.yaml, the feature files, the models and the manifests."""
        project = self.project
        files = [
            *itertools.chain(project.feature_folders.glob("*/*.h5"), project.derived_folders.glob("*/*.h5")),
            *itertools.chain(project.models.glob("*/*"), project.manifests.glob("*.csv")),
        ]
        return tuple(_stamp(path) for path in [project.params, *sorted(files)])


def warm(store: OpenStore) -> None:
    """Read what the first question to a layer, and the first picture, would otherwise wait for."""
    for layer, (split, *_) in store.layers.items():
        features = store.searcher(layer, split).features
        assert features.labels is not None
        assert features.digests is not None
        store.random_pairs(layer, split)
        features.rows(features.ids[:1].tolist())
    assert store.manifests is not None


def unfinished(old: OpenStore, new: OpenStore) -> str:
    """Why what is on the disk is no state, but on the way from `old` to one; '' if it is one."""
    return next(itertools.chain(_gone(old, new), _of_other_keys(new), _of_other_images(old, new)), "")


def _gone(old: OpenStore, new: OpenStore) -> Iterator[str]:
    named = {*new.params.models, *new.params.derive}
    splits = new.params.dataset.splits(new.params.trained_on)
    for name, split in old.features:
        if name in named and split in splits and (name, split) not in new.features:
            yield f"the features of {name} on {split} are not there any more"


def _of_other_keys(store: OpenStore) -> Iterator[str]:
    """Layers that are not what params.yaml and the models ask for now, or that do not go together."""
    for (name, split), file in store.features.items():
        wanted = feature_keys(store.params, name, store.project.models) if name in store.params.models else {}
        for layer, key in wanted.items():
            if layer not in file.layers or file.feature_key(layer) != key:
                yield f"the features of {name}/{layer} are not those that params.yaml asks for"
        for layer in file.layers:
            reference = f"{name}/{layer}"
            first, _ = store.file(reference, store.layers[reference][0])
            if file.key_digest(layer) != first.key_digest(layer):
                yield f"{reference} has another key on {split} than on {first.split}"
            source = store.params.source(reference)
            if split in store.layers.get(source, ()):
                of, own = store.file(source, split)
                if of.feature_key(own) != file.feature_key(layer).source:
                    yield f"{reference} was derived from other features than those of {source}"


def _of_other_images(old: OpenStore, new: OpenStore) -> Iterator[str]:
    for split in new.splits:
        if len(_images(new, split)) > 1 and len(_images(old, split)) == 1:
            yield f"the models' features on {split} are of different images"


def _images(store: OpenStore, split: str) -> set[tuple[str, str]]:
    """Of which images, with which labels, the feature files of a split are."""
    files = (file for (_, own), file in store.features.items() if own == split)
    return {(file.ids_digest, file.labels_digest) for file in files}


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size
