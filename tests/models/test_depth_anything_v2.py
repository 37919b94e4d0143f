"""Depth Anything V2: exact sizes, key names of hub and authors, any legal size, metres."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import DepthAnythingForDepthEstimation

from depthdeploy.errors import ModelError
from depthdeploy_models import depth_anything_v2 as plugins
from depthdeploy_models.depth_anything_v2.model import UNUSED, architecture, sized
from depthdeploy_models.hub import load_published, published_name
from depthdeploy_models.network import Network

SIZES = [plugins.small, plugins.base, plugins.large]


def on_meta(plugin: Network) -> DepthAnythingForDepthEstimation:
    with torch.device("meta"):
        return architecture(plugin.card)


@pytest.fixture(scope="module")
def network() -> DepthAnythingForDepthEstimation:
    """Small, drawn so that its depth is not all zero."""
    torch.manual_seed(0)
    network = architecture(plugins.small.card)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    network.head.conv3.weight.normal_()
    dict(network.named_parameters())["head.conv3.bias"].fill_(1.0)
    nn.Module.eval(network)
    return network


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 3, 140, 196, generator=torch.Generator().manual_seed(1))


def as_the_hub_has_it(network: nn.Module) -> dict[str, torch.Tensor]:
    return {published_name(key): value for key, value in network.state_dict().items()}


# Independent of the code under test: one of the authors' names -> the hub's, per tensor, no patterns.
def authors_names(layers: int) -> Iterator[tuple[str, str]]:
    yield "pretrained.cls_token", "backbone.embeddings.cls_token"
    yield "pretrained.mask_token", "backbone.embeddings.mask_token"
    yield "pretrained.pos_embed", "backbone.embeddings.position_embeddings"
    for kind in ("weight", "bias"):
        yield f"pretrained.patch_embed.proj.{kind}", f"backbone.embeddings.patch_embeddings.projection.{kind}"
        yield f"pretrained.norm.{kind}", f"backbone.layernorm.{kind}"
        for layer in range(layers):
            theirs, hub = f"pretrained.blocks.{layer}", f"backbone.encoder.layer.{layer}"
            for part in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                yield f"{theirs}.{part}.{kind}", f"{hub}.{part}.{kind}"
            yield f"{theirs}.attn.proj.{kind}", f"{hub}.attention.output.dense.{kind}"
        for level in range(4):
            yield f"depth_head.projects.{level}.{kind}", f"neck.reassemble_stage.layers.{level}.projection.{kind}"
        for level in (0, 1, 3):
            yield f"depth_head.resize_layers.{level}.{kind}", f"neck.reassemble_stage.layers.{level}.resize.{kind}"
        for block, layer in ((1, 3), (2, 2), (3, 1), (4, 0)):
            theirs, hub = f"depth_head.scratch.refinenet{block}", f"neck.fusion_stage.layers.{layer}"
            yield f"{theirs}.out_conv.{kind}", f"{hub}.projection.{kind}"
            for unit in (1, 2):
                for conv in (1, 2):
                    yield (
                        f"{theirs}.resConfUnit{unit}.conv{conv}.{kind}",
                        f"{hub}.residual_layer{unit}.convolution{conv}.{kind}",
                    )
        yield f"depth_head.scratch.output_conv1.{kind}", f"head.conv1.{kind}"
        yield f"depth_head.scratch.output_conv2.0.{kind}", f"head.conv2.{kind}"
        yield f"depth_head.scratch.output_conv2.2.{kind}", f"head.conv3.{kind}"
    for layer in range(layers):
        for unit in (1, 2):
            hub = f"backbone.encoder.layer.{layer}.layer_scale{unit}.lambda1"
            yield f"pretrained.blocks.{layer}.ls{unit}.gamma", hub
    for level in range(4):
        yield f"depth_head.scratch.layer{level + 1}_rn.weight", f"neck.convs.{level}.weight"


def as_the_authors_have_it(network: nn.Module, layers: int) -> dict[str, torch.Tensor]:
    hub = as_the_hub_has_it(network)
    state = {theirs: hub.pop(name) for theirs, name in authors_names(layers)}
    for layer in range(layers):
        for kind in ("weight", "bias"):
            prefix = f"backbone.encoder.layer.{layer}.attention.attention"
            parts = [hub.pop(f"{prefix}.{part}.{kind}") for part in ("query", "key", "value")]
            state[f"pretrained.blocks.{layer}.attn.qkv.{kind}"] = torch.cat(parts)
    assert not hub
    return state


@pytest.mark.parametrize("plugin", SIZES, ids=lambda plugin: plugin.card.id)
def test_the_parameters_are_those_of_the_paper(plugin: Network) -> None:
    network = on_meta(plugin)
    assert sum(parameter.numel() for parameter in network.parameters()) == plugin.card.parameters
    used = sum(value.numel() for key, value in network.named_parameters() if not key.startswith(UNUSED))
    assert used == plugin.card.parameters_used


def test_small_has_24_785_089_parameters() -> None:
    assert plugins.small.card.parameters == 24_785_089


def test_what_is_called_unused_is_what_no_gradient_reaches() -> None:
    network = on_meta(plugins.small)
    network(pixel_values=torch.empty(1, 3, 70, 84, device="meta")).predicted_depth.sum().backward()
    without = {key for key, parameter in network.named_parameters() if parameter.grad is None}
    assert without == {key for key, _ in network.named_parameters() if key.startswith(UNUSED)}


@pytest.mark.parametrize("size", [(518, 518), (518, 686), (252, 336)])
@pytest.mark.parametrize("plugin", SIZES, ids=lambda plugin: plugin.card.id)
def test_the_depth_has_the_images_size(plugin: Network, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        depth = sized(architecture(plugin.card), plugin.card.input.sized(*size))(torch.empty(1, 3, *size))
    assert depth.shape == (1, 1, *size)


def test_published_names_are_the_same_for_every_version_of_transformers() -> None:
    names = set(as_the_hub_has_it(on_meta(plugins.small)))
    for name in ("attention.attention.query.weight", "attention.output.dense.bias", "mlp.fc1.weight"):
        assert f"backbone.encoder.layer.11.{name}" in names


@pytest.mark.parametrize("form", ["folder", "authors"])
def test_weights_of_the_hub_and_of_the_authors_compute_the_same(
    network: DepthAnythingForDepthEstimation, image: torch.Tensor, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "model.safetensors"
    if form == "authors":
        path = tmp_path / "depth_anything_v2_vits.pth"
        torch.save(as_the_authors_have_it(network, 12), path)
    else:
        save_file(as_the_hub_has_it(network), path)
    if form == "folder":
        (tmp_path / "config.json").write_text(
            json.dumps({"depth_estimation_type": "relative", "max_depth": 1}), "utf-8"
        )
        path = tmp_path
    built = plugins.small.build(path, plugins.small.card.input.sized(140, 196))
    with torch.no_grad():
        expected = network(pixel_values=image).predicted_depth
        found = built(image)
    assert found.shape == (1, 1, 140, 196)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found[:, 0], expected)
    assert not built.training


@pytest.mark.parametrize("size", [(518, 518), (518, 686), (252, 336), (14, 28)])
def test_fixed_positions_are_those_of_transformers(
    network: DepthAnythingForDepthEstimation, size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        copy = architecture(plugins.small.card)
    copy.load_state_dict(network.state_dict(), assign=True)
    sized(copy, plugins.small.card.input.sized(*size))
    tokens = 1 + (size[0] // 14) * (size[1] // 14)
    with torch.no_grad():
        expected = network.backbone.embeddings.interpolate_pos_encoding(torch.empty(1, tokens, 384), *size)
    torch.testing.assert_close(copy.backbone.embeddings.get_buffer("fixed_positions"), expected)


@pytest.mark.parametrize(("plugin", "far"), [(plugins.metric_indoor_small, 20.0), (plugins.metric_outdoor_small, 80.0)])
def test_metric_networks_give_metres_up_to_their_limit(plugin: Network, far: float) -> None:
    head = on_meta(plugin).head.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        for bias, expected in ((0.0, far / 2), (50.0, far)):  # the sigmoid's middle and upper end
            dict(head.named_parameters())["conv3.bias"].fill_(bias)
            depth = head([torch.zeros(1, 64, 5, 6)] * 4, 5, 6)
            torch.testing.assert_close(depth, torch.full((1, 70, 84), expected))


@pytest.mark.parametrize(
    "config",
    [{"depth_estimation_type": "metric", "max_depth": 20}, {"max_depth": 80}, {"max_depth": "far"}, [1]],
    ids=str,
)
def test_a_folder_for_other_depths_is_refused(tmp_path: Path, config: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match=r"config\.json"):
        plugins.small.build(tmp_path, plugins.small.card.input)


def test_weights_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"head.conv1.weight": torch.zeros(3), "stranger": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"missing \(backbone\.embeddings\.cls_token.*unexpected \(stranger\)"):
        plugins.small.build(path, plugins.small.card.input)


def test_what_is_never_read_may_be_missing() -> None:
    network = on_meta(plugins.small)
    state = {key: value for key, value in network.state_dict().items() if not key.startswith(UNUSED)}
    load_published(network, state, source=Path("weights"), unused=UNUSED)
