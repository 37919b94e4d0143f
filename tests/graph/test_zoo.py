"""Canonical forms of real architectures with random weights: exported, rewritten, the same function."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from depthdeploy.core.depth import DepthKind
from depthdeploy.core.model import OnnxModel
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.frontend.parity import check_parity
from depthdeploy.graph.canonicalize import Canonicalized, canonicalize_file
from depthdeploy.graph.count import count
from depthdeploy.testing.laws import assert_same_function
from depthdeploy_models.depth_anything_v2 import small
from depthdeploy_models.depth_anything_v2.model import architecture, sized
from depthdeploy_models.midas_v21_small import plugin as midas
from depthdeploy_models.midas_v21_small.model import MidasSmall

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
FASTDEPTH = Path(DATA) / "weights" / "fastdepth" / "fast_depth_224.onnx"
Exported = tuple[nn.Module, OnnxModel, Canonicalized]


def canonical(module: nn.Module, model: OnnxModel, folder: Path) -> Exported:
    return module, model, canonicalize_file(model, folder / "canonical.onnx")


@pytest.fixture(scope="module")
def small_midas(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("midas")
    module = MidasSmall().eval()
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):  # as drawn it shifts by nothing, and a bias of zeros is left out
            nn.init.normal_(one.bias, 0, 0.1)
    contract = midas.card.input.sized(64, 96)
    return canonical(
        module,
        export_torch(module, name="midas", contract=contract, depth=midas.card.output, out=folder / "exported.onnx"),
        folder,
    )


@pytest.fixture(scope="module")
def small_anything(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("anything")
    network = architecture(small.card)
    network.train(False)
    network.backbone.set_attn_implementation("sdpa")  # with PyTorch's guard, which the plain attention lacks
    for name, parameter in network.named_parameters():
        if "lambda1" in name:  # layer scale is one when drawn, and one would vanish as a no-op
            nn.init.uniform_(parameter, 0.5, 1.5)
    nn.init.normal_(network.head.conv3.weight)
    network.head.conv3.bias = nn.Parameter(torch.ones(1))
    contract = small.card.input.sized(252, 336)
    with pytest.MonkeyPatch.context() as patch:  # our own module drops the mask, and with it the guard
        patch.setattr("depthdeploy_models.depth_anything_v2.model.drop_mask", lambda encoder: None)
        module = sized(network, contract).eval()
    exported = export_torch(
        module, name="anything", contract=contract, depth=small.card.output, out=folder / "exported.onnx"
    )
    return canonical(module, exported, folder)


def operators(model: OnnxModel) -> Counter[str]:
    return Counter(node.op_type for node in ir.load(model.path).graph)


def noise(model: OnnxModel, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=model.input.shape).astype(np.float32)


def test_midas_is_convolutions_clamps_additions_and_resizes(small_midas: Exported) -> None:
    module, exported, (model, _) = small_midas[0], small_midas[1], (small_midas[2].model, small_midas[2].applied)
    assert operators(model) == {"Conv": 97, "Clip": 48, "Add": 27, "Relu": 16, "Resize": 5}
    assert_same_function(onnx.load(exported.path), onnx.load(model.path))
    assert check_parity(module, model, [noise(model, 1)]).relative_max < 1e-4
    assert (model.input, model.output, model.contract) == (exported.input, exported.output, exported.contract)


def test_midas_has_the_parameters_that_its_forward_pass_reads(small_midas: Exported) -> None:
    """Batch normalisation had two per channel and a folded bias has one."""
    channels = sum(m.num_features for m in small_midas[0].modules() if isinstance(m, nn.BatchNorm2d))
    assert count(small_midas[2].model).parameters == 16_600_929 - channels


def test_depth_anything_has_neither_guards_nor_shape_arithmetic(small_anything: Exported) -> None:
    exported, model = small_anything[1], small_anything[2].model
    assert operators(exported)["IsNaN"] == 12
    found = operators(model)
    assert not set(found) & {"IsNaN", "Where", "Shape", "Gather", "Expand", "Cast", "ConstantOfShape", "Identity"}
    graph = ir.load(model.path)
    resizes = [node.attributes["mode"].as_string() for node in graph.graph if node.op_type == "Resize"]
    assert resizes == ["linear"] * 5
    assert all(value.shape is not None and value.shape.is_static() for n in graph.graph for value in n.outputs)


def test_depth_anything_keeps_its_function(small_anything: Exported) -> None:
    module, exported, model = small_anything[0], small_anything[1], small_anything[2].model
    assert_same_function(onnx.load(exported.path), onnx.load(model.path), atol=1e-4)
    assert check_parity(module, model, [noise(model, 1)]).relative_max < 2e-4


def test_layer_scale_and_the_scale_of_attention_are_folded_into_the_projections(small_anything: Exported) -> None:
    assert "affine-folding" in small_anything[2].applied
    assert "scale-hoisting" in small_anything[2].applied
    scales, layer_scales = 24, 24  # PyTorch scales queries and keys by the root each
    removed = operators(small_anything[1])["Mul"] - operators(small_anything[2].model)["Mul"]
    assert removed == scales + layer_scales


def test_a_second_run_changes_nothing(small_midas: Exported, tmp_path: Path) -> None:
    once = small_midas[2].model
    twice = canonicalize_file(once, tmp_path / "again.onnx")
    assert twice.applied == ()
    assert twice.model.sha256 == once.sha256


@pytest.mark.skipif(not FASTDEPTH.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
def test_fastdepth_loses_its_pads(tmp_path: Path) -> None:
    imported = import_onnx(FASTDEPTH, out=tmp_path / "f.onnx", kind=DepthKind.METRIC_DEPTH).model
    model = canonicalize_file(imported, tmp_path / "c.onnx").model
    assert operators(model) == {"Conv": 38, "Clip": 27, "Relu": 11, "Resize": 5, "Add": 3}
    assert_same_function(onnx.load(FASTDEPTH), onnx.load(model.path))
