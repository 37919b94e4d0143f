"""Outlines: the graphs of the zoo without their weights, and whether they still are what the exporter makes."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.model import OutlinedNetwork
from depthdeploy.errors import ModelError
from depthdeploy.frontend.outline import read_outline, sized_outline, write_outline
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.count import count
from depthdeploy.registry import models
from depthdeploy.testing.graphs import residual_block

SCRIPT = Path(__file__).parents[2] / "models" / "outline_networks.py"
WITHOUT_GRAPH = [name for name in models if not models[name].card.weights.packaged]


def outline_of(name: str) -> ir.Model:
    plugin = models[name]
    assert isinstance(plugin, OutlinedNetwork)
    assert plugin.outline is not None, f"run models/outline_networks.py {name}"
    return read_outline(plugin.outline)


def skeleton(model: ir.Model) -> list[tuple[object, ...]]:
    """Every node with its attributes, the shapes of what it reads and gives, and its small constants."""

    def value(one: ir.Value | None) -> object:
        if one is None:
            return None
        tensor = one.const_value
        small = tensor is not None and tensor.size <= 64 and tensor.dtype != ir.DataType.FLOAT
        return (str(one.shape), str(one.dtype), tensor.numpy().tolist() if small and tensor is not None else None)

    return [
        (
            node.op_type,
            sorted((name, str(attribute.value)) for name, attribute in node.attributes.items()),
            [value(one) for one in node.inputs],
            [value(one) for one in node.outputs],
        )
        for node in model.graph
    ]


def test_an_outline_is_the_graph_without_its_weights(tmp_path: Path) -> None:
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(residual_block()))
    write_outline(graph, tmp_path / "a.onnx.gz")
    write_outline(graph, tmp_path / "b.onnx.gz")
    assert (tmp_path / "a.onnx.gz").read_bytes() == (tmp_path / "b.onnx.gz").read_bytes()
    read = read_outline(tmp_path / "a.onnx.gz")
    assert skeleton(read) == skeleton(graph)
    assert count(read) == count(graph)
    tensors = [value.const_value for value in read.graph.initializers.values() if value.const_value is not None]
    large = [tensor for tensor in tensors if tensor.size > 64]
    assert large
    assert all(np.ptp(tensor.numpy()) == 0 for tensor in large)
    assert len({float(tensor.numpy().flat[0]) for tensor in large}) == len(large), "none is taken for another"
    assert canonicalize(read) == canonicalize(graph)


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00"])
def test_a_damaged_outline_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx.gz"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx\.gz cannot be read"):
        read_outline(path)


@pytest.mark.parametrize("name", WITHOUT_GRAPH)
def test_every_network_without_a_packaged_graph_has_an_outline(name: str) -> None:
    model, card = outline_of(name), models[name].card
    assert tuple(model.graph.inputs[0].shape or ()) == card.input.shape
    assert canonicalize(model) == (), f"run models/outline_networks.py {name}: it is not canonical any more"
    assert all(value.shape is not None and value.shape.is_static() for node in model.graph for value in node.outputs)


@pytest.mark.parametrize("size", [(288, 512), (384, 672)])
def test_midas_has_no_size_of_its_own(size: tuple[int, int]) -> None:
    model = sized_outline(outline_of("midas-v21-small"), models["midas-v21-small"].card.input.sized(*size))
    assert model is not None
    assert tuple(model.graph.outputs[0].shape or ()) == (1, 1, *size)
    ratio = size[0] * size[1] / 256**2
    assert count(model).macs == pytest.approx(count(outline_of("midas-v21-small")).macs * ratio)


def test_a_vision_transformer_has_its_size_baked_in() -> None:
    card = models["depth-anything-v2-small"].card
    assert sized_outline(outline_of(card.id), card.input.sized(252, 336)) is None


@pytest.mark.parametrize("name", ["fastdepth", "midas-v21-small"])
def test_an_outline_is_what_the_exporter_makes_today(name: str) -> None:
    spec = importlib.util.spec_from_file_location("outline_networks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert skeleton(script.canonical_drawn(name)) == skeleton(outline_of(name)), (
        f"run models/outline_networks.py {name}"
    )
