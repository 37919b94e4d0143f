"""MiDaS v2.1 Small: its exact size, its padding, and the loading of checkpoints."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from depthdeploy_models.midas_v21_small import plugin
from depthdeploy_models.midas_v21_small.encoder import TAPS, Encoder, SameConv2d, same_padding
from depthdeploy_models.midas_v21_small.model import MidasSmall

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
STAND_IN = Path(DATA) / "weights" / "midas_small_arch" / "midas_small_arch.safetensors"
needs_stand_in = pytest.mark.skipif(
    not DATA or not STAND_IN.is_file(), reason="DEPTHDEPLOY_TEST_DATA names no folder with the stand-in checkpoint"
)


@pytest.fixture(scope="module")
def network() -> MidasSmall:
    torch.manual_seed(0)
    network = MidasSmall()
    network.eval()
    return network


@pytest.fixture(scope="module")
def checkpoint(network: MidasSmall, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("midas") / "weights.safetensors"
    save_file(network.state_dict(), path)
    return path


def test_the_parameters_are_those_of_the_official_checkpoint(network: MidasSmall) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == plugin.card.parameters == 21_320_545


def test_the_forward_pass_reads_all_but_one_residual_unit() -> None:
    network = MidasSmall().train()
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    unused = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert {name.rsplit(".", 2)[0] for name in unused} == {"scratch.refinenet4.resConfUnit1"}
    used = sum(parameter.numel() for parameter in network.parameters() if parameter.grad is not None)
    assert used == plugin.card.parameters_used == 16_600_929


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("pretrained.layer1.0.weight", [32, 3, 3, 3]),
        ("pretrained.layer1.1.running_var", [32]),
        ("pretrained.layer1.3.0.conv_dw.weight", [32, 1, 3, 3]),
        ("pretrained.layer1.4.2.bn3.bias", [32]),
        ("pretrained.layer2.0.0.conv_dw.weight", [192, 1, 5, 5]),
        ("pretrained.layer3.1.4.conv_pwl.weight", [136, 816, 1, 1]),
        ("pretrained.layer4.0.5.conv_pw.weight", [1392, 232, 1, 1]),
        ("pretrained.layer4.1.0.conv_pwl.weight", [384, 1392, 1, 1]),
        ("scratch.layer4_rn.weight", [512, 384, 3, 3]),
        ("scratch.refinenet4.out_conv.weight", [256, 512, 1, 1]),
        ("scratch.refinenet1.out_conv.weight", [64, 64, 1, 1]),
        ("scratch.refinenet2.resConfUnit1.conv2.bias", [128]),
        ("scratch.output_conv.4.weight", [1, 32, 1, 1]),
    ],
)
def test_the_keys_are_those_of_the_official_checkpoint(network: MidasSmall, key: str, shape: list[int]) -> None:
    assert list(network.state_dict()[key].shape) == shape


@pytest.mark.parametrize(("height", "width"), [(256, 256), (288, 512), (64, 96)])
def test_any_multiple_of_32_goes(network: MidasSmall, height: int, width: int) -> None:
    with torch.no_grad():
        depth = network(torch.rand(1, 3, height, width))
    assert depth.shape == (1, 1, height, width)
    assert depth.dtype == torch.float32
    assert depth.min() >= 0


def test_the_encoder_taps_four_sizes() -> None:
    with torch.no_grad(), torch.device("meta"):
        taps = Encoder().eval()(torch.empty(1, 3, 384, 672))
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (channels, 384 // step, 672 // step) for channels, step in zip(TAPS, (4, 8, 16, 32), strict=True)
    ]


def test_stride_two_on_even_sides_pads_behind_more_than_before() -> None:
    assert same_padding(256, kernel=3, stride=2) == (0, 1)
    assert same_padding(256, kernel=5, stride=2) == (1, 2)
    assert same_padding(255, kernel=3, stride=2) == (1, 1)


def reference_same(image: NDArray[np.float64], kernel: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """One channel by TensorFlow's words: out = ceil(n / s), pad_along = max((out - 1) s + k - n, 0), before = half."""
    size = kernel.shape[0]
    out = [math.ceil(side / stride) for side in image.shape]
    padded = image
    for axis in (0, 1):
        along = max((out[axis] - 1) * stride + size - image.shape[axis], 0)
        widths = [(0, 0), (0, 0)]
        widths[axis] = (along // 2, along - along // 2)
        padded = np.pad(padded, widths)
    result = np.empty(out)
    for row, column in np.ndindex(*out):
        window = padded[row * stride : row * stride + size, column * stride : column * stride + size]
        result[row, column] = (window * kernel).sum()
    return result


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (10, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_same_padding_is_that_of_tensorflow(size: tuple[int, int], stride: int, kernel: int) -> None:
    rng = np.random.default_rng(7)
    image, weights = rng.standard_normal(size), rng.standard_normal((kernel, kernel))
    convolution = SameConv2d(1, 1, kernel=kernel, stride=stride).double()
    convolution.weight = nn.Parameter(torch.from_numpy(weights)[None, None])
    with torch.no_grad():
        result = convolution(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(result, reference_same(image, weights, stride), atol=1e-12)


def same_function(built: nn.Module, network: nn.Module) -> bool:
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        return torch.equal(built(image), network(image))


def test_a_bare_checkpoint_is_loaded(network: MidasSmall, checkpoint: Path) -> None:
    built = plugin.build(checkpoint, plugin.card.input)
    assert not built.training
    assert same_function(built, network)


def test_a_training_checkpoint_is_loaded(network: MidasSmall, tmp_path: Path) -> None:
    state = {
        f"module.{key}": value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": state, "epoch": 3}, path)
    assert same_function(plugin.build(path, plugin.card.input), network)


def tensor_of(image: Image.Image) -> torch.Tensor:
    contract = plugin.card.input
    resized = image.convert("RGB").resize((contract.width, contract.height), Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized) / 255 - np.array(contract.mean)) / np.array(contract.std)
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float()


@needs_stand_in
def test_a_trained_checkpoint_orders_near_and_far() -> None:
    network = plugin.build(STAND_IN, plugin.card.input)
    root = Path(DATA) / "depth"
    right = total = 0
    annotations = json.loads((root / "pairs.json").read_text("utf-8"))
    frames = [name for name in annotations if name.startswith("7scenes")]
    for name in sorted((annotations.keys() - set(frames)) | set(frames[::5])):  # they all show the same kitchen
        pairs = annotations[name]
        with Image.open(root / name) as image, torch.no_grad():
            depth = network(tensor_of(image))[0, 0]
            height, width = image.height, image.width
        for pair in pairs:
            values = {
                key: depth[int((pair[key][0] + 0.5) * 256 / height), int((pair[key][1] + 0.5) * 256 / width)]
                for key in ("point1", "point2")
            }
            other = "point2" if pair["closer_point"] == "point1" else "point1"
            right += bool(values[pair["closer_point"]] > values[other])
            total += 1
    assert total > 50
    assert right / total > 0.75  # chance is 0.5 with a standard deviation of 0.06
