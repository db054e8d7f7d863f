"""The network of a stored model, not yet loaded; knows no torch."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from ..models.card import CARD_FILE, WEIGHTS_FILE
from ..params import Extract, Model
from .work import Network


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """Call it to load the network. Pickled, it takes along the files that it is loaded from.

    Attributes
    ----------
    folder : Path
        Of the model.
    spec : Model
        With its preprocessing settled.
    extract : Extract
    root : Path
        The project's folder, from which the file of an architecture of the user's own is named.
    """

    folder: Path
    spec: Model
    extract: Extract
    root: Path

    def __call__(self) -> Network:
        """Load it, which brings torch.

        Raises
        ------
        UserError
            As `forward.load_forward`.
        """
        from .forward import load_forward

        layers = list(dict.fromkeys(self.spec.nodes.values()))
        return load_forward(self.folder, self.spec, layers, self.extract, self.root)

    def __reduce__(self) -> tuple[type[_Travelling], tuple[object, ...]]:
        files = {f"model/{name}": (self.folder / name).read_bytes() for name in (CARD_FILE, WEIGHTS_FILE)}
        if self.spec.file:
            files[self.spec.file] = (self.root / self.spec.file).read_bytes()
        return _Travelling, (files, self.spec, self.extract)


@dataclasses.dataclass(frozen=True)
class _Travelling:
    files: dict[str, bytes]
    spec: Model
    extract: Extract

    def __call__(self) -> Network:
        with tempfile.TemporaryDirectory(prefix="pool5-") as folder:
            root = Path(folder)
            for name, data in self.files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
            return StoredNetwork(root / "model", self.spec, self.extract, root)()
