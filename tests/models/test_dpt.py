"""MiDaS v3: sizes that transformers does not take by itself, key names, parameters."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import DPTConfig, DPTForDepthEstimation

from depthdeploy.errors import ModelError
from depthdeploy_models.dpt import hybrid, large
from depthdeploy_models.dpt.model import UNUSED, architecture, sized
from depthdeploy_models.hub import load_published, published_name
from depthdeploy_models.network import Network

PLUGINS = [hybrid, large]
BACKBONE = {
    "model_type": "bit",
    "global_padding": "same",
    "depths": [1, 1, 1],
    "out_features": ["stage1", "stage2", "stage3"],
    "embedding_dynamic_padding": True,
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64],
    "num_groups": 4,
}
TINY: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [16, 32, 32, 32],
    "fusion_hidden_size": 16,
}
TINY_HYBRID = TINY | {
    "is_hybrid": True,
    "backbone_config": BACKBONE,
    "backbone_featmap_shape": [1, 64, 24, 24],
    "reassemble_factors": [1, 1, 1, 0.5],
}


def architecture_keys(plugin: Network) -> set[str]:
    with torch.device("meta"):
        return set(architecture(plugin.card).state_dict())


def tiny(values: dict[str, object]) -> DPTForDepthEstimation:
    """A network of the same kind, small enough for many runs, whose depth is not all zero."""
    torch.manual_seed(0)
    network = DPTForDepthEstimation(DPTConfig.from_dict(values))
    nn.Module.eval(network)
    for name, parameter in network.named_parameters():
        if name.endswith("position_embeddings"):
            nn.init.normal_(parameter)
        if name == "head.head.4.bias":
            nn.init.constant_(parameter, 1.0)
    return network


@pytest.mark.parametrize(("plugin", "millions"), [(hybrid, 122.4), (large, 343.0)], ids=["hybrid", "large"])
def test_the_parameters(plugin: Network, millions: float) -> None:
    with torch.device("meta"):
        network = architecture(plugin.card)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == plugin.card.parameters
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.card.id)
def test_what_is_called_unused_is_what_no_gradient_reaches(plugin: Network) -> None:
    with torch.device("meta"):
        network = architecture(plugin.card)
        sized(network, plugin.card.input.sized(64, 96))(torch.empty(1, 3, 64, 96)).sum().backward()
    fixed = {"dpt.embeddings.position_embeddings"}  # its interpolation is a constant
    without = {key for key, value in network.named_parameters() if value.grad is None} - fixed
    names = {key.replace("neck.neck.", "neck.") for key in without}
    assert names == {key for key in architecture_keys(plugin) if key.startswith(UNUSED)}
    used = sum(value.numel() for key, value in network.named_parameters() if key not in without)
    assert used == plugin.card.parameters_used


@pytest.mark.parametrize("size", [(384, 384), (256, 416), (672, 384)])
@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.card.id)
def test_the_depth_has_the_images_size(plugin: Network, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        depth = sized(architecture(plugin.card), plugin.card.input.sized(*size))(torch.empty(1, 3, *size))
    assert depth.shape == (1, 1, *size)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.card.id)
def test_sides_between_the_multiples_are_refused(plugin: Network) -> None:
    contract = replace(plugin.card.input, multiple=16, height=400, width=384)
    with pytest.raises(ModelError, match="multiples of 32, not 400x384"):
        plugin.build(Path("weights.bin"), contract)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.card.id)
def test_published_files_without_the_unused_unit_are_loaded(plugin: Network) -> None:
    with torch.device("meta"):
        network = architecture(plugin.card)
    state = {published_name(key): value for key, value in network.state_dict().items() if not key.startswith(UNUSED)}
    assert "dpt.encoder.layer.11.attention.attention.query.weight" in state
    load_published(network, state, source=Path("weights"), unused=UNUSED)
    del state["head.head.0.weight"]
    with pytest.raises(ModelError, match=r"1 missing \(head\.head\.0\.weight\)"):
        load_published(network, state, source=Path("weights"), unused=UNUSED)


@pytest.mark.parametrize("values", [TINY_HYBRID, TINY], ids=["hybrid", "large"])
def test_at_the_trained_size_nothing_is_changed(values: dict[str, object]) -> None:
    network, image = tiny(values), torch.rand(1, 3, 384, 384)
    with torch.no_grad():
        expected = network(pixel_values=image).predicted_depth
        found = sized(network, hybrid.card.input)(image)
    assert expected.std() > 0
    torch.testing.assert_close(found[:, 0], expected)


def test_another_square_is_what_transformers_makes_of_it() -> None:
    network, image = tiny(TINY), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        expected = network(pixel_values=image).predicted_depth
        found = sized(network, hybrid.card.input.sized(256, 256))(image)
    torch.testing.assert_close(found[:, 0], expected)


@pytest.mark.parametrize("values", [TINY_HYBRID, TINY], ids=["hybrid", "large"])
def test_rows_and_columns_are_not_confused(values: dict[str, object]) -> None:
    depth = sized(tiny(values), hybrid.card.input.sized(64, 256))
    image = torch.zeros(1, 3, 64, 256)
    changed = image.clone()
    changed[:, :, :32, -32:] = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        difference = (depth(changed) - depth(image)).abs()[0, 0]
    assert difference[:32, -64:].mean() > 4 * difference[:, :128].mean()


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stranger": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"missing \(dpt\.embeddings.*unexpected \(stranger\)"):
        hybrid.build(path, hybrid.card.input)
