"""What every model source must pass: derive a test class from `SourceTests` and say how it is made."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from pool5.errors import UserError
from pool5.models.layers import nodes_of
from pool5.models.network import head_names, num_outputs, on_shapes_alone
from pool5.models.sources import SOURCES, ModelSource


class SourceTests:
    """The promises of `ModelSource`.

    Attributes
    ----------
    source : ModelSource
    small : (str, int)
        A small architecture of its own, and a crop that it takes.
    without_weights : str
        An architecture that no `imagenet` weights are published of.
    """

    source: ClassVar[ModelSource]
    small: ClassVar[tuple[str, int]]
    without_weights: ClassVar[str]

    def build(self, seed: int = 0, outputs: int = 3) -> torch.nn.Module:
        torch.manual_seed(seed)
        return self.source.build(self.small[0], outputs, self.small[1])

    def test_its_names_are_its_own_and_no_other_sources(self) -> None:
        names = list(self.source.architectures())
        assert names == list(self.source.architectures())
        assert self.small[0] in names
        assert self.source in SOURCES
        assert [s for s in SOURCES if set(names) & set(s.architectures())] == [self.source]

    def test_the_global_generator_alone_decides_the_weights(self) -> None:
        first, second, other = (self.build(seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(value, second[name]) for name, value in first.items())
        assert any(not torch.equal(value, other[name]) for name, value in first.items())

    @pytest.mark.parametrize("outputs", [1, 7])
    def test_images_give_logits_of_the_width_asked_for(self, outputs: int) -> None:
        network = self.build(outputs=outputs)
        assert network.training
        crop = self.small[1]
        assert network.eval()(torch.randn(2, 3, crop, crop)).shape == (2, outputs)
        assert num_outputs(network) == outputs
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())

    def test_on_shapes_alone_it_has_the_same_names_and_shapes(self) -> None:
        there = {name: value.shape for name, value in self.build().state_dict().items()}
        network = on_shapes_alone(self.small[0], 3, self.small[1])
        assert {name: value.shape for name, value in network.state_dict().items()} == there
        assert all(value.is_meta for value in network.state_dict().values())

    def test_its_graph_can_be_traced(self) -> None:
        network = self.build().eval()
        assert any(node.startswith(head_names(network)[0]) for node in nodes_of(network, self.small[1]))

    def test_a_crop_that_is_too_small_is_refused(self) -> None:
        with pytest.raises((RuntimeError, ValueError, AssertionError)):
            self.source.build(self.small[0], 3, 1).train()(torch.randn(2, 3, 1, 1))

    def test_its_own_names_stay(self) -> None:
        state = self.build().state_dict()
        found = self.source.own_names(self.small[0], state)
        assert list(found) == list(state)
        assert all(found[name] is value for name, value in state.items())

    def test_weights_that_are_not_published_are_refused(self) -> None:
        with pytest.raises(UserError, match=f"^weights: .*{self.without_weights}"):
            self.source.weights(self.without_weights, "imagenet")

    def test_without_a_network_it_says_where_the_weights_belong(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        if self.small[0] == self.without_weights:
            pytest.skip("no weights are published")
        with pytest.raises(UserError, match=f"{tmp_path}"):
            self.source.weights(self.small[0], "imagenet")
