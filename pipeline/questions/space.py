"""The space that a stored layer's rows lie in: all that a vector needs to be compared with them."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..errors import UserError
from ..params import Params, split_reference
from ..project import Project
from ..store.feature_file import FeatureFile
from ..store.feature_key import FeatureKey

Part = tuple[str, str]  # a node of a network, and how it is pooled


@dataclasses.dataclass(frozen=True)
class Space:
    """Of a layer of a feature file.

    Attributes
    ----------
    name : str
        Of a model or a derived layer.
    layer : str
    key : FeatureKey
    file : str
        The feature file, and the `stage` that writes it, for messages.
    """

    name: str
    layer: str
    key: FeatureKey
    file: str
    stage: str

    @classmethod
    def of(cls, features: FeatureFile, layer: str) -> Space:
        """That of a layer of an open file."""
        return cls(features.model, layer, features.feature_key(layer), str(features.path), features.stage)

    @property
    def reference(self) -> str:
        """`<name>/<layer>`, as in params.yaml."""
        return f"{self.name}/{self.layer}"

    @property
    def network(self) -> bytes:
        """What the network is known by: all that decides its values."""
        return dataclasses.replace(self.key.source, node="", pool="flatten").digest

    @property
    def part(self) -> Part:
        """What of the network it is."""
        return self.key.node, self.key.pool

    def model(self, params: Params) -> str:
        """The model that it is of, directly or derived.

        Raises
        ------
        UserError
            If the model has no such layer in params.yaml.
        """
        source, layer = split_reference(params.source(self.reference))
        if layer not in (layers := params.models[source].layers):
            raise UserError(f"{source} has no layer {layer} in params.yaml; it has {', '.join(layers)}")
        return source

    def check(self, params: Params, project: Project) -> None:
        """Refuse features of another key than params.yaml and the project's models ask for now.

        Raises
        ------
        UserError
        """
        from ..extract.keys import feature_keys

        wanted = feature_keys(params, self.model(params), project.models)[self.layer]
        other = [
            name
            for name, value in dataclasses.asdict(wanted).items()
            if getattr(self.key.source, name) != value
        ]
        asked = [params.derive[name].steps for name in params.derived_by(self.reference)]
        if [derivation.steps for derivation in self.key.derived] != asked:
            other.append("steps")
        if other:
            raise self._stored_with_another(" and ".join(other))

    def derive(self, rows: np.ndarray, params: Params, project: Project) -> np.ndarray:
        """What the steps of a derived layer make of the rows of its source; of a model's own layer, these.

        Raises
        ------
        UserError
            If the steps are not those that params.yaml names, or what they learned is not there any more.
        """
        from ..analysis.derived_layer import FIT, read_fit

        names = params.derived_by(self.reference)
        if len(names) != len(self.key.derived):
            raise self._stored_with_another("steps")
        for name, derivation in zip(names, self.key.derived, strict=True):
            rows = read_fit(project.derived_folder(name) / FIT, derivation).derive(rows, self.key.dtype)
        return rows

    def _stored_with_another(self, what: str) -> UserError:
        problem = f"{self.file}: {self.layer} was stored with another {what} than params.yaml and the model"
        return UserError(f"{problem} have now", rerun=self.stage)
