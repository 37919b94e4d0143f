"""What the passes for transformers make of Depth Anything V2 Small and of a DPT, exported with random weights."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from onnxscript import version_converter
from torch import nn
from transformers import DPTConfig, DPTForDepthEstimation

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.target import GraphPass
from depthdeploy.frontend.export import export_torch
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.graph.passes.attention_matmul_rank import MatMulRank
from depthdeploy.graph.passes.gelu_decomposition import GeluDecomposition
from depthdeploy.graph.passes.gelu_fusion import GeluFusion
from depthdeploy.graph.passes.gelu_tanh import GeluTanh
from depthdeploy.graph.passes.instance_norm_decomposition import InstanceNormDecomposition
from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.layer_norm_fusion import LayerNormFusion
from depthdeploy.graph.passes.softmax_decomposition import SoftmaxDecomposition
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy_models.depth_anything_v2 import small
from depthdeploy_models.depth_anything_v2.model import architecture as anything
from depthdeploy_models.depth_anything_v2.model import sized as sized_anything
from depthdeploy_models.dpt import hybrid
from depthdeploy_models.dpt.model import sized as sized_dpt

Load = Callable[[], ir.Model]

#: DPT-Hybrid with its blocks, a few channels wide: 12 of them, as the published one has.
HYBRID = {
    "is_hybrid": True,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 12,
    "num_attention_heads": 2,
    "backbone_out_indices": [2, 5, 8, 11],
    "neck_hidden_sizes": [16, 32, 32, 32],
    "fusion_hidden_size": 16,
    "backbone_featmap_shape": [1, 64, 24, 24],
    "reassemble_factors": [1, 1, 1, 0.5],
    "readout_type": "project",
    "backbone_config": {
        "model_type": "bit",
        "global_padding": "same",
        "depths": [1, 1, 1],
        "out_features": ["stage1", "stage2", "stage3"],
        "embedding_dynamic_padding": True,
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64],
        "num_groups": 4,
    },
}


def exported(module: nn.Module, contract: InputContract, depth: DepthContract, folder: Path) -> Load:
    out = folder / "exported.onnx"
    model = export_torch(module, name="network", contract=contract, depth=depth, out=out)
    path = canonicalize_file(model, folder / "canonical.onnx").model.path
    proto = onnx.load(path)
    return lambda: ir.from_proto(proto)


@pytest.fixture(scope="module")
def depth_anything(tmp_path_factory: pytest.TempPathFactory) -> Load:
    torch.manual_seed(0)
    network = anything(small.card)
    network.train(False)
    for name, parameter in network.named_parameters():
        if "lambda1" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
    nn.init.normal_(network.head.conv3.weight)
    network.head.conv3.bias = nn.Parameter(torch.ones(1))
    contract = small.card.input.sized(252, 336)
    module = sized_anything(network, contract).eval()
    return exported(module, contract, small.card.output, tmp_path_factory.mktemp("anything"))


@pytest.fixture(scope="module")
def dpt(tmp_path_factory: pytest.TempPathFactory) -> Load:
    torch.manual_seed(0)
    network = DPTForDepthEstimation(DPTConfig.from_dict(HYBRID))
    nn.Module.eval(network)
    for name, parameter in network.named_parameters():
        if name.endswith("position_embeddings"):
            nn.init.normal_(parameter)
        if name == "head.head.4.bias":
            nn.init.constant_(parameter, 1.0)
    contract = hybrid.card.input.sized(128, 160)
    return exported(sized_dpt(network, contract), contract, hybrid.card.output, tmp_path_factory.mktemp("dpt"))


@pytest.fixture(params=["depth_anything", "dpt"])
def load(request: pytest.FixtureRequest) -> Load:
    result: Load = request.getfixturevalue(request.param)
    return result


def kinds(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def at_opset_20(load: Load) -> ir.Model:
    """``Gelu`` came in opset 20, and the exporter writes 18."""
    model = load()
    version_converter.convert_version(model, 20)
    return model


def applied(model: ir.Model, *passes: GraphPass) -> ir.Model:
    """The model itself, after passes that each changed it and would not do so again."""
    before = as_proto(model)
    for one in passes:
        assert one(model)
        assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert_same_function(before, model, atol=1e-5)
    return model


def test_every_normalisation_and_every_gelu_is_there(depth_anything: Load, dpt: Load) -> None:
    assert kinds(depth_anything())["LayerNormalization"] == 25
    assert kinds(depth_anything())["Erf"] == 12
    assert kinds(dpt())["LayerNormalization"] == 24  # the last one feeds nothing
    assert kinds(dpt())["Erf"] == 14  # two more where the read-out token is projected


@pytest.mark.parametrize("guard", [False, True])
def test_normalisations_are_taken_apart_and_found_again(load: Load, guard: bool) -> None:
    before, model = kinds(load()), applied(load(), LayerNormDecomposition(guard_fp16=guard))
    count = before["LayerNormalization"]
    each = Counter({"ReduceMean": 2, "Sub": 1, "Mul": 3 if guard else 2, "Add": 2, "Sqrt": 1, "Div": 1})
    assert kinds(model) - before - Counter({"Max": count}) == Counter({kind: n * count for kind, n in each.items()})
    assert kinds(applied(model, LayerNormFusion())) == before


def test_normalisations_by_row_keep_the_function(load: Load) -> None:
    model = applied(load(), LayerNormDecomposition(guard_fp16=True, by_row=True))
    assert kinds(model)["ReduceMax"] == kinds(load())["LayerNormalization"]


def test_every_gelu_is_found_and_taken_apart_again(load: Load) -> None:
    model = at_opset_20(load)
    before = kinds(model)
    fused = kinds(applied(model, GeluFusion()))
    assert fused["Gelu"] == before["Erf"]
    assert fused["Erf"] == 0
    assert before["Mul"] - fused["Mul"] == 2 * before["Erf"]
    assert kinds(applied(model, GeluDecomposition())) == before


def test_no_erf_is_left_by_the_tangent(load: Load) -> None:
    model = load()
    count = kinds(model)["Erf"]
    assert GeluTanh()(model)
    assert kinds(model)["Erf"] == 0
    assert kinds(model)["Tanh"] == count
    assert not GeluFusion()(model)  # opset 18
    onnx.checker.check_model(as_proto(model), full_check=True)


def test_softmax_and_the_ranks_of_products(load: Load) -> None:
    model = applied(load(), SoftmaxDecomposition(), MatMulRank())
    assert kinds(model)["ReduceMax"] == 12
    products = [value for node in model.graph if node.op_type == "MatMul" for value in node.outputs]
    assert max(len(value.shape or ()) for value in products) == 3
    assert max(len(value.shape or ()) for node in model.graph for value in node.outputs) == 4


def test_group_normalisations_of_the_convolutional_half(dpt: Load) -> None:
    before = kinds(dpt())["InstanceNormalization"]
    model = applied(dpt(), InstanceNormDecomposition(guard_fp16=True))
    assert before == 9  # one for each convolution of the encoder
    assert kinds(model)["InstanceNormalization"] == 0
