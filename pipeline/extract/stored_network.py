"""The network of a stored model, not yet loaded; knows no torch."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..models.card import CARD_FILE, WEIGHTS_FILE
from ..params import Extract, Model
from .work import Network


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """Call it to load the network.

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

    def __call__(self, device: str = "") -> Network:
        """Load it, which brings torch; on the first device that `extract` names, unless one is given.

        Raises
        ------
        UserError
            As `forward.load_forward`.
        """
        from ..models.device import choose_device, keep_to
        from .device_errors import memory_for
        from .forward import load_forward

        chosen = choose_device(device or self.extract.devices[0], "extract.device")
        with memory_for(str(chosen), "take another extract.device"):
            keep_to(chosen)
        layers = list(dict.fromkeys(self.spec.nodes.values()))
        extract = msgspec.structs.replace(self.extract, device=device or self.extract.device)
        return load_forward(self.folder, self.spec, layers, extract, self.root)


def travelling(load_network: Callable[..., Network]) -> Callable[..., Network]:
    """One that takes along the files that the network is loaded from, to where they are not."""
    if not isinstance(load_network, StoredNetwork):
        return load_network
    folder, spec, root = load_network.folder, load_network.spec, load_network.root
    files = {f"model/{name}": (folder / name).read_bytes() for name in (CARD_FILE, WEIGHTS_FILE)}
    if spec.file:
        files[spec.file] = (root / spec.file).read_bytes()
    return _Travelling(files, spec, load_network.extract)


@dataclasses.dataclass(frozen=True)
class _Travelling:
    files: dict[str, bytes]
    spec: Model
    extract: Extract

    def __call__(self, device: str = "") -> Network:
        with tempfile.TemporaryDirectory(prefix="pool5-") as folder:
            root = Path(folder)
            for name, data in self.files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
            return StoredNetwork(root / "model", self.spec, self.extract, root)(device)
