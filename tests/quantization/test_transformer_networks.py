"""The preparations on small copies of the networks that they are for, as they are exported."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, DPTConfig, DPTForDepthEstimation

from depthdeploy.core.model import ModelCard, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.frontend.export import export_torch
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.quantization.layer_norm_absorption import LayerNormAbsorption
from depthdeploy.quantization.matmul_equalization import MatMulEqualization
from depthdeploy.quantization.smooth import SmoothQuant
from depthdeploy.quantization.workbench import Preparation, Workbench
from depthdeploy.testing.laws import outputs
from depthdeploy_models import depth_anything_v2, dpt
from depthdeploy_models.depth_anything_v2.model import sized as sized_anything
from depthdeploy_models.dpt.model import sized as sized_dpt
from depthdeploy_models.hub import ATTENTION

EXPECTED = {
    "anything": (
        "12 normalizations and 4 layers smoothed with alpha 0.5",
        "4 products of queries and keys and 4 of values equalized",
        "gamma and beta of 12 normalizations absorbed",
    ),
    "large": (
        "8 normalizations and 4 layers smoothed with alpha 0.5",
        "4 products of queries and keys and 4 of values equalized",
        "gamma and beta of 8 normalizations absorbed",
    ),
}
PREPARATIONS = (SmoothQuant(images=2), MatMulEqualization(images=2), LayerNormAbsorption())


class Photographs:
    digest = "drawn"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return 2

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        rng = np.random.default_rng(3)
        return (rng.normal(size=self.shape).astype(np.float32) for _ in range(min(2, count or 2)))


def drawn(network: nn.Module) -> None:
    """No value may be shared, 0 or 1, which canonicalization would use; and the depth must depend on every block."""
    generator = torch.Generator().manual_seed(0)
    network.train(False)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(False)
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
        elif "weight" in name or "lambda" in name:
            nn.init.uniform_(parameter, 0.2, 1.5, generator=generator)
        else:
            nn.init.uniform_(parameter, -0.3, 0.3, generator=generator)


def anything() -> tuple[nn.Module, ModelCard]:
    card = depth_anything_v2.small.card
    backbone = {
        "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56,
        "patch_size": 14, "out_indices": [1, 2, 3, 4], "apply_layernorm": True, "reshape_hidden_states": False,
    }  # fmt: skip
    values = {
        "backbone_config": backbone, "reassemble_hidden_size": 16, "patch_size": 14,
        "neck_hidden_sizes": [4, 4, 8, 8], "fusion_hidden_size": 8, "head_hidden_size": 4,
    }  # fmt: skip
    network = DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(values, attn_implementation=ATTENTION))
    drawn(network)
    return sized_anything(network, card.input.sized(42, 56)), card


def large() -> tuple[nn.Module, ModelCard]:
    card = dpt.large.card
    values = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
        "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [4, 4, 8, 8], "fusion_hidden_size": 8,
        "image_size": 64, "patch_size": 16, "readout_type": "project",
    }  # fmt: skip
    network = DPTForDepthEstimation(DPTConfig.from_dict(values, attn_implementation=ATTENTION))
    drawn(network)
    return sized_dpt(network, card.input.sized(64, 96)), card


@pytest.fixture(scope="module", params=[anything, large], ids=["anything", "dpt"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, OnnxModel]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("transformers")
    module, card = request.param()
    contract = card.input.sized(*((42, 56) if request.param is anything else (64, 96)))
    exported = export_torch(module, name="tiny", contract=contract, depth=card.output, out=folder / "exported.onnx")
    return request.param.__name__, canonicalize_file(exported, folder / "canonical.onnx").model


@pytest.mark.parametrize("one", PREPARATIONS, ids=repr)
def test_every_block_is_recognized_and_the_function_stays(
    one: Preparation, network: tuple[str, OnnxModel], scheme: Callable[..., Scheme], tmp_path: Path
) -> None:
    name, model = network
    photographs = Photographs(model.input.shape)
    prepared = one(model, Workbench(model, scheme(), photographs, tmp_path))
    assert prepared.detail == EXPECTED[name][PREPARATIONS.index(one)]
    (image,) = photographs.first(1)
    expected, found = (outputs(onnx.load(graph.path), image)[0] for graph in (model, prepared.model))
    assert np.ptp(expected) > 0
    assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected)
    assert (found != expected).any(), "the transformer does not reach the depth"
