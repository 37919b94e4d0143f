"""Canonical graphs of real architectures: as ONNX Runtime computes them, one photograph or two at once."""

import os
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

pytest.importorskip("torch", reason="learning needs PyTorch")

pytest.importorskip("transformers", reason="the networks are built with transformers")

import torch
import transformers
from torch import nn

from depthdeploy.core.depth import DepthKind
from depthdeploy.core.model import OnnxModel
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.learning.executor.agreement import agreement
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy_models.depth_anything_v2 import small
from depthdeploy_models.depth_anything_v2.model import sized as sized_anything
from depthdeploy_models.dpt import hybrid
from depthdeploy_models.dpt.model import sized as sized_dpt
from depthdeploy_models.midas_v21_small import plugin as midas
from depthdeploy_models.midas_v21_small.model import MidasSmall
from depthdeploy_models.network import Network
from depthdeploy_models.pico import plugin as pico

WEIGHTS = Path(os.environ.get("DEPTHDEPLOY_TEST_DATA", "")) / "weights"
FASTDEPTH = WEIGHTS / "fastdepth" / "fast_depth_224.onnx"
MIDAS = WEIGHTS / "midas_small_arch" / "midas_small_arch.safetensors"
#: Parts of the output's span. A hundred convolutions of freshly drawn weights amplify the rounding of both engines.
TOLERANCE = {"midas": 1e-5 if MIDAS.is_file() else 5e-5}
Drawn = TypeVar("Drawn", bound=nn.Module)
TINY: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [16, 32, 32, 32],
    "fusion_hidden_size": 16,
}
BIT = {
    "model_type": "bit",
    "layer_type": "bottleneck",
    "global_padding": "same",
    "depths": [1, 1, 1],
    "embedding_dynamic_padding": True,
}
BIT |= {"out_features": ["stage1", "stage2", "stage3"], "embedding_size": 16, "hidden_sizes": [16, 32, 64]}
HYBRID = TINY | {
    "is_hybrid": True,
    "backbone_config": BIT | {"num_groups": 4},
    "backbone_featmap_shape": [1, 64, 24, 24],
    "reassemble_factors": [1, 1, 1, 0.5],
}
DINO = {"model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 518}
DINO |= {"patch_size": 14, "out_indices": [1, 2, 3, 4], "apply_layernorm": True, "reshape_hidden_states": False}
ANYTHING = {
    "backbone_config": DINO,
    "reassemble_hidden_size": 32,
    "patch_size": 14,
    "neck_hidden_sizes": [8, 16, 32, 32],
    "fusion_hidden_size": 16,
    "head_hidden_size": 8,
}


def stirred(network: Drawn) -> Drawn:
    """With a depth that varies: freshly drawn heads give almost a constant, of which nothing can be told."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter)
        if name.startswith("head") and name.endswith("bias"):
            nn.init.constant_(parameter, 1.0)
    nn.Module.eval(network)
    return network


def made(name: str) -> tuple[nn.Module, Network, tuple[int, int]]:
    torch.manual_seed(0)
    match name:
        case "midas":
            drawn = None if MIDAS.is_file() else stirred(MidasSmall())
            return drawn or midas.build(MIDAS, midas.card.input.sized(64, 96)), midas, (64, 96)
        case "dpt-hybrid":
            network = transformers.DPTForDepthEstimation(transformers.DPTConfig.from_dict(HYBRID))
            return sized_dpt(stirred(network), hybrid.card.input.sized(64, 96)).eval(), hybrid, (64, 96)
        case _:
            config = transformers.DepthAnythingConfig.from_dict(ANYTHING, attn_implementation="eager")
            anything = stirred(transformers.DepthAnythingForDepthEstimation(config))
            return sized_anything(anything, small.card.input.sized(84, 112)).eval(), small, (84, 112)


@pytest.fixture(scope="module", params=["pico", "midas", "dpt-hybrid", "depth-anything", "fastdepth"])
def canonical(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    folder = tmp_path_factory.mktemp("zoo")
    if request.param == "fastdepth":
        if not FASTDEPTH.is_file():
            pytest.skip("DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
        exported = import_onnx(FASTDEPTH, out=folder / "exported.onnx", kind=DepthKind.METRIC_DEPTH).model
    elif request.param == "pico":
        packaged = Path(pico.card.weights.packaged)
        exported = import_onnx(
            packaged, out=folder / "exported.onnx", kind=DepthKind.INVERSE_DEPTH, size=(96, 128)
        ).model
    else:
        module, plugin, size = made(request.param)
        contract = plugin.card.input.sized(*size)
        exported = export_torch(
            module, name=request.param, contract=contract, depth=plugin.card.output, out=folder / "exported.onnx"
        )
    return canonicalize_file(exported, folder / "canonical.onnx").model


def test_the_depth_is_that_of_onnx_runtime(canonical: OnnxModel) -> None:
    rng = np.random.default_rng(1)
    photos = rng.normal(size=(2, *canonical.input.shape[1:])).astype(np.float32)
    one = agreement(canonical, photos[:1])
    assert one.span > 1e-2
    assert one.relative < TOLERANCE.get(canonical.name, 1e-5)
    executor, session = Executor(canonical), OnnxSession(canonical.path, intra_threads=1)
    with torch.no_grad():
        found = executor.run({executor.inputs[0]: torch.from_numpy(photos)})[executor.outputs[0]].numpy()
    for index in range(2):
        expected = session.predict(photos[index : index + 1])
        largest = np.abs(found[index : index + 1] - expected).max()
        assert largest < TOLERANCE.get(canonical.name, 1e-5) * np.ptp(expected)


def test_gradients_reach_every_weight(canonical: OnnxModel) -> None:
    executor = Executor(canonical)
    weights: dict[str, torch.Tensor] = {}

    def gathered(node: str, slot: int, tensor: torch.Tensor) -> torch.Tensor:
        return weights.setdefault(f"{node}:{slot}", tensor.clone().requires_grad_()) if tensor.ndim > 1 else tensor

    image = torch.randn(canonical.input.shape, generator=torch.Generator().manual_seed(2))
    depth = executor.run({executor.inputs[0]: image}, on_constant=gathered)[executor.outputs[0]]
    torch.autograd.backward(depth.square().mean())
    assert len(weights) > 10
    assert [name for name, weight in weights.items() if weight.grad is None] == []
