"""MiDaS as its authors publish it for ONNX: opset 10, whose ``Resize`` says nothing of coordinates.

The graph is made here from the network's own weights in the published form: the normalisation inside, input ``0`` in
0..1, output ``797`` of three dimensions. The trained stand-in's weights are taken where the test data are, otherwise
weights drawn from a seed. Beside our reading of it stands that of a parser which takes the newer default, half_pixel:
on six photographs delta1 against the file itself is 100.00 % for ours and 98.58 % for that one.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from PIL import Image

pytest.importorskip("torch", reason="the network is built in PyTorch")

import torch

from depthdeploy.core.depth import DepthKind
from depthdeploy.core.fidelity import FloatMap, fidelity_alignment, fidelity_scores
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import ImportedModel, import_onnx
from depthdeploy.graph.canonicalize import canonicalize, canonicalize_file
from depthdeploy.testing.laws import outputs
from depthdeploy_models.midas_v21_small import plugin
from depthdeploy_models.midas_v21_small.model import MidasSmall

DATA = os.environ.get("DEPTHDEPLOY_TEST_DATA", "")
STAND_IN = Path(DATA) / "weights" / "midas_small_arch" / "midas_small_arch.safetensors"
PHOTOGRAPHS = sorted((Path(DATA) / "photos" / "eval").rglob("*.jpg"))[:6] if DATA else []
KIND = DepthKind.INVERSE_DEPTH


def network() -> torch.nn.Module:
    if STAND_IN.is_file():
        return plugin.build(STAND_IN, plugin.card.input)
    torch.manual_seed(0)
    drawn = MidasSmall().eval()
    head = drawn.scratch.output_conv[4]
    assert isinstance(head, torch.nn.Conv2d)
    assert head.bias is not None
    torch.nn.init.constant_(head.bias, 1.0)  # above zero: ratios need positive values
    return drawn


def as_opset10(graph: ir.Model) -> onnx.ModelProto:
    """The canonical network written as in the published file: ``Clip`` with attributes, ``Resize`` without a rule."""
    constants = {
        name: value.const_value.numpy() for name, value in graph.graph.initializers.items() if value.const_value
    }
    mean, std = (
        np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (plugin.card.input.mean, plugin.card.input.std)
    )
    nodes = [
        helper.make_node("Sub", ["0", "mean"], ["shifted"]),
        helper.make_node("Div", ["shifted", "std"], ["image"]),
    ]
    held = {"mean": mean, "std": std}
    for node in graph.graph:
        proto = ir.to_proto(node)
        if node.op_type == "Clip":
            low, high = (float(constants[name]) for name in proto.input[1:])
            proto = helper.make_node("Clip", proto.input[:1], proto.output, min=low, max=high)
        elif node.op_type == "Resize":
            factors = np.divide(node.outputs[0].shape.numpy(), node.inputs[0].shape.numpy(), dtype=np.float32)  # type: ignore[union-attr]
            held[f"scales_{proto.output[0]}"] = factors
            proto = helper.make_node(
                "Resize", [proto.input[0], f"scales_{proto.output[0]}"], proto.output, mode="linear"
            )
        nodes.append(proto)
        held.update({name: constants[name] for name in proto.input if name in constants})
    nodes.append(helper.make_node("Squeeze", ["depth"], ["797"], axes=[1]))
    return helper.make_model(
        helper.make_graph(
            nodes,
            "torch-jit-export",
            [helper.make_tensor_value_info("0", TensorProto.FLOAT, [1, 3, 256, 256])],
            [helper.make_tensor_value_info("797", TensorProto.FLOAT, [1, 256, 256])],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
        ),
        opset_imports=[helper.make_opsetid("", 10)],
        ir_version=6,
        producer_name="pytorch",
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    out = tmp_path_factory.mktemp("midas") / "exported.onnx"
    exported = export_torch(network(), name="midas", contract=plugin.card.input, depth=plugin.card.output, out=out)
    graph = ir.load(exported.path)
    canonicalize(graph)
    proto = as_opset10(graph)
    onnx.checker.check_model(proto)
    return proto


@pytest.fixture(scope="module")
def imported(published: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ImportedModel:
    folder = tmp_path_factory.mktemp("imported")
    onnx.save(published, folder / "model-small.onnx")
    return import_onnx(folder / "model-small.onnx", out=folder / "ours.onnx", kind=KIND)


def images() -> Iterator[NDArray[np.float32]]:
    """``[1,3,256,256]`` in 0..1: photographs of the test data, otherwise blocks of colour."""
    for path in PHOTOGRAPHS:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC), np.float32)
        yield (pixels / np.float32(255)).transpose(2, 0, 1)[None]
    for seed in range(0 if PHOTOGRAPHS else 2):
        coarse = np.random.default_rng(seed).uniform(size=(1, 3, 16, 16)).astype(np.float32)
        yield np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)


def delta1(model: onnx.ModelProto, published: onnx.ModelProto) -> float:
    """Percent of pixels within 1.25 of what ONNX Runtime gives for the published file, the mean over the images."""
    scores = []
    for image in images():
        expected, found = (outputs(one, image)[0].reshape(256, 256) for one in (published, model))
        scores.append(fidelity_scores(found, FloatMap.of(expected), alignment=fidelity_alignment(KIND))["delta1"])
    return float(np.mean(scores))


def test_it_has_the_published_form(published: onnx.ModelProto) -> None:
    found = Counter(node.op_type for node in published.graph.node)
    assert found["Resize"] == 5
    assert not any(a.name == "coordinate_transformation_mode" for node in published.graph.node for a in node.attribute)


def test_import_and_canonicalize_keep_every_pixel(
    published: onnx.ModelProto, imported: ImportedModel, tmp_path: Path
) -> None:
    canonical = canonicalize_file(imported.model, tmp_path / "canonical.onnx").model
    model = onnx.load(canonical.path)
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    rules = {a.s for node in resizes for a in node.attribute if a.name == "coordinate_transformation_mode"}
    assert (len(resizes), rules) == (5, {b"asymmetric"})
    assert delta1(model, published) == 100.0
    image = next(images())
    expected, found = (outputs(one, image)[0].reshape(-1) for one in (published, model))
    assert float(np.abs(found - expected).max() / np.ptp(expected)) < 1e-4


def test_a_parser_that_assumes_the_newer_default_loses_pixels(published: onnx.ModelProto) -> None:
    naive = version_converter.convert_version(published, 18)
    rules = [a.s for node in naive.graph.node for a in node.attribute if a.name == "coordinate_transformation_mode"]
    assert not rules  # so ONNX's own converter leaves it: half_pixel is the default of opset 11 and later
    image = next(images())
    expected, found = (outputs(one, image)[0].reshape(-1) for one in (published, naive))
    assert float(np.abs(found - expected).max() / np.ptp(expected)) > 1e-2
    if STAND_IN.is_file():  # weights that are drawn give maps too smooth for the ratio of 1.25
        assert 95.0 < delta1(naive, published) < 99.5
