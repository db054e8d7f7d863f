"""What every model source must pass: derive a test class from `SourceTests` and say how it is made."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import torch

from pool5.errors import UserError
from pool5.models.network import (
    build_network,
    check_buildable,
    head_names,
    num_outputs,
    on_shapes_alone,
)
from pool5.models.node_values import find_nodes
from pool5.models.sources import SOURCES, ModelSource, source_of
from pool5.params import Preprocess


class SourceTests:
    """The promises of `ModelSource`.

    Attributes
    ----------
    kind : type
        The source.
    small : (str, int)
        A small architecture of its own, and a crop that it takes.
    mistyped : (str, str)
        A name that it spells and does not know, and what the refusal must have in it.
    tag : str
        Of published weights of `small`; empty where there are none.
    without_weights : str
        An architecture that no weights are published of.
    takes_any_crop : bool
        Whether `small` is of convolutions alone.
    """

    kind: ClassVar[type[ModelSource]]
    small: ClassVar[tuple[str, int]]
    mistyped: ClassVar[tuple[str, str]]
    tag: ClassVar[str] = ""
    without_weights: ClassVar[str]
    takes_any_crop: ClassVar[bool] = False

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """The project's folder, with the files that `small` needs."""
        return tmp_path

    @pytest.fixture
    def source(self, root: Path) -> ModelSource:
        return self.kind(root)

    def build(self, source: ModelSource, seed: int = 0, outputs: int = 3) -> torch.nn.Module:
        torch.manual_seed(seed)
        options = source.options(self.small[0])
        return source.build(self.small[0], outputs, self.small[1], **options)

    def test_its_names_are_its_own_and_no_other_sources(self, source: ModelSource, root: Path) -> None:
        names = [self.small[0], *source.architectures()]
        assert names[1:] == list(source.architectures())
        firsts = (next(kind for kind in SOURCES if kind(root).spells(name)) for name in names)
        assert set(firsts) == {self.kind}
        assert all(type(source_of(name, root)) is self.kind for name in names[::97])

    def test_a_name_that_it_does_not_know_is_refused_in_a_line(self, root: Path) -> None:
        name, told = self.mistyped
        with pytest.raises(UserError, match=f"architecture {name}: .*{told}") as refusal:
            source_of(name, root)
        assert "\n" not in str(refusal.value)

    def test_its_files_are_in_the_project(self, source: ModelSource, root: Path) -> None:
        assert all((root / file).is_file() for file in source.files(self.small[0]))

    def test_its_options_are_plain_and_the_same_every_time(self, source: ModelSource) -> None:
        for sha256 in (None, "0" * 64):
            options = source.options(self.small[0], sha256)
            assert msgspec.json.decode(msgspec.json.encode(options)) == options
            assert source.options(self.small[0], sha256) == options

    def test_the_global_generator_alone_decides_the_weights(self, source: ModelSource) -> None:
        first, second, other = (self.build(source, seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(value, second[name]) for name, value in first.items())
        assert any(not torch.equal(value, other[name]) for name, value in first.items())

    @pytest.mark.parametrize("outputs", [1, 7])
    def test_images_give_logits_of_the_width_asked_for(self, root: Path, outputs: int) -> None:
        name, crop = self.small
        network = build_network(name, outputs, crop, root=root)
        assert network.training
        if head_names(network):
            assert network.eval()(torch.randn(2, 3, crop, crop)).shape == (2, outputs)
            assert num_outputs(network) == outputs
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())

    def test_its_first_head_gives_the_logits(self, source: ModelSource) -> None:
        network = self.build(source).eval()
        if not (heads := source.heads(self.small[0], network)):
            return
        given = []
        network.get_submodule(heads[0]).register_forward_hook(lambda _, __, value: given.append(value))
        logits = network(torch.randn(2, 3, self.small[1], self.small[1]))
        assert torch.equal(given[0].detach().flatten(1).mean(1), logits.detach().mean(1))

    def test_on_shapes_alone_it_has_the_same_names_and_shapes(self, source: ModelSource, root: Path) -> None:
        there = {name: value.shape for name, value in self.build(source).state_dict().items()}
        network = on_shapes_alone(self.small[0], 3, self.small[1], root=root)
        assert {name: value.shape for name, value in network.state_dict().items()} == there
        assert all(value.is_meta for value in network.state_dict().values())

    def test_it_has_nodes(self, source: ModelSource) -> None:
        network = self.build(source).eval()
        nodes = find_nodes(network, self.small[1]).rows
        heads = source.heads(self.small[0], network)
        assert not heads or any(node.startswith(heads[0]) for node in nodes)

    def test_a_crop_that_is_too_small_is_refused(self, root: Path) -> None:
        if self.takes_any_crop:
            pytest.skip("it takes every crop")
        with pytest.raises(UserError, match=rf"{self.small[0]}: cannot take images of 1 px"):
            check_buildable(self.small[0], 1, root=root)

    def test_its_own_names_stay(self, source: ModelSource, root: Path) -> None:
        state = self.build(source).state_dict()
        found = source.own_names(self.small[0], state, on_shapes_alone(*self._of_width_1(), root=root))
        assert list(found) == list(state)
        assert all(found[name] is value for name, value in state.items())

    def test_names_of_another_program_raise_nothing(self, source: ModelSource, root: Path) -> None:
        for state in ({}, {"a.b": torch.zeros(2)}, {"model": torch.zeros(()), "pos_embed": torch.zeros(3)}):
            source.own_names(self.small[0], state, on_shapes_alone(*self._of_width_1(), root=root))

    def _of_width_1(self) -> tuple[str, int, int]:
        return self.small[0], 1, self.small[1]

    def test_the_preprocessing_of_its_weights_is_one_that_params_takes(self, source: ModelSource) -> None:
        if self.tag:
            found = source.preprocessing(self.small[0], self.tag)
            assert msgspec.convert(found, Preprocess).crop > 1

    def test_weights_that_are_not_published_are_refused(self, source: ModelSource) -> None:
        for tag in ("imagenet", "pretrained"):
            with pytest.raises(UserError, match=r"^weights: ") as refusal:
                source.weights(self.without_weights, tag)
            assert "\n" not in str(refusal.value)

    def test_without_a_network_it_says_where_the_weights_belong(
        self, source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.tag:
            pytest.skip("no weights are published")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        with pytest.raises(UserError, match=f"{tmp_path}") as refusal:
            source.weights(self.small[0], self.tag)
        assert "\n" not in str(refusal.value)
