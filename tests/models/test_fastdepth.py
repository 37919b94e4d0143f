"""FastDepth: its graph against a published one, and the reading of pruned checkpoints."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from depthdeploy.errors import ModelError
from depthdeploy.plugin import WeightsFormat
from depthdeploy_models.fastdepth import plugin
from depthdeploy_models.fastdepth.model import MobileNetSkipAdd

PRUNED = {"conv0": 8, **{f"conv{number}": 8 + number for number in range(1, 14)}, "decode_conv1": 7}
PRUNED |= {"decode_conv2": PRUNED["conv5"], "decode_conv3": PRUNED["conv3"], "decode_conv4": PRUNED["conv1"]}
PRUNED |= {"decode_conv5": 5}
DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
GRAPH = Path(DATA) / "weights" / "fastdepth" / "fast_depth_224.onnx"


def pruned() -> MobileNetSkipAdd:
    torch.manual_seed(0)
    network = MobileNetSkipAdd(PRUNED)
    network.eval()
    return network


def test_the_keys_are_those_of_the_authors() -> None:
    shapes = {key: tuple(value.shape) for key, value in pruned().state_dict().items()}
    assert shapes["conv0.0.weight"] == (8, 3, 3, 3)
    assert shapes["conv1.0.weight"] == (8, 1, 3, 3)
    assert shapes["conv1.3.weight"] == (9, 8, 1, 1)
    assert shapes["conv13.4.running_mean"] == (21,)
    assert shapes["decode_conv1.0.0.weight"] == (21, 1, 5, 5)
    assert shapes["decode_conv1.1.0.weight"] == (7, 21, 1, 1)
    assert shapes["decode_conv6.1.bias"] == (1,)


def test_a_pruned_checkpoint_says_its_own_widths(tmp_path: Path) -> None:
    network = pruned()
    path = tmp_path / "fastdepth.pth.tar"
    torch.save({"model": network.state_dict(), "epoch": 20}, path)
    built = plugin.build(path, plugin.card.input)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(built(image), network(image))
        assert built(image).shape == (1, 1, 64, 96)


def test_the_authors_pickled_module_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "model_best.pth.tar"
    torch.save({"model": pruned(), "epoch": 20}, path)
    with pytest.raises(ModelError, match=r"would run the code inside it.*torch\.save\(model\.state_dict\(\)"):
        plugin.build(path, plugin.card.input)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"conv0.0.weight": torch.zeros(8, 3, 3, 3)}, path)
    with pytest.raises(ModelError, match=r"it lacks conv1\.3\.weight"):
        plugin.build(path, plugin.card.input)
    torch.save(MobileNetSkipAdd(PRUNED | {"decode_conv4": 3}).state_dict(), path)
    with pytest.raises(ModelError, match="decode_conv4 gives 3 channels, and conv1, which is added to it, 9"):
        plugin.build(path, plugin.card.input)


def test_the_graph_is_the_default_and_users_are_told_where_it_is() -> None:
    card = plugin.card
    assert card.weights.format is WeightsFormat.ONNX
    assert "fast_depth_224x224.onnx" in card.notes
    assert "https://github.com/dwofk/fast-depth" in card.notes


@pytest.mark.skipif(not DATA or not GRAPH.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with FastDepth")
def test_the_architecture_computes_what_the_published_graph_computes() -> None:
    graph = onnx.load(GRAPH).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    folded = [(tensors[node.input[1]], tensors[node.input[2]]) for node in graph.node if node.op_type == "Conv"]
    assert sum(kernel.size + bias.size for kernel, bias in folded) == plugin.card.parameters
    names = [*(f"conv{number}" for number in range(14)), *(f"decode_conv{number}" for number in range(1, 6))]
    layers = [0, *range(2, 28, 2), *range(28, 38, 2)]  # each but the first has a depthwise convolution before
    network = MobileNetSkipAdd({name: len(folded[layer][1]) for name, layer in zip(names, layers, strict=True)})
    network.eval()
    modules = list(network.modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    for convolution, norm, (kernel, bias) in zip(convolutions, norms, folded, strict=True):
        convolution.weight = nn.Parameter(torch.tensor(kernel))
        norm.running_var = torch.full_like(norm.bias.detach(), 1 - norm.eps)  # then it only adds its bias
        norm.bias = nn.Parameter(torch.tensor(bias))
    image = np.random.default_rng(3).random((1, 3, 224, 224), dtype=np.float32)
    session = onnxruntime.InferenceSession(GRAPH, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": image})[0]
    with torch.no_grad():
        found = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
