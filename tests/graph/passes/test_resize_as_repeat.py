"""Neighbours by whole factors are copies."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.passes.resize_as_repeat import ResizeAsRepeat
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function


def rewritten(attributes: str, before: str, after: str, dtype: str = "float") -> tuple[onnx.ModelProto, ir.Model]:
    rank = before.count(",") + 1
    proto = build(
        f"""g ({dtype}[{before}] image) => ({dtype}[{after}] depth) <int64[{rank}] f = {{{after}}}>
        {{ depth = Resize <{attributes}> (image, , , f) }}"""
    )
    model = ir.from_proto(proto)
    assert ResizeAsRepeat()(model) == (model.graph[0].op_type != "Resize")
    return proto, model


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("after", ["1,3,10,14", "1,3,15,7", "1,3,5,28", "1,3,20,21"])
def test_growth_is_concatenation(after: str) -> None:
    proto, model = rewritten('mode="nearest"', "1,3,5,7", after)
    assert set(operators(model)) == {"Concat", "Reshape"}
    assert len(model.graph) <= 4
    assert_same_function(proto, model, atol=0, rtol=0)
    for node in model.graph:
        shape = static_shape(node.outputs[0])
        assert shape is not None
        assert shape[:2] == (1, 3)
        assert len(shape) == 4


def test_bytes_are_copied() -> None:
    proto, model = rewritten('mode="nearest"', "1,3,5,7", "1,3,10,14", "uint8")
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 7)).astype(np.uint8)
    found = [
        ort.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
        for one in (proto, ir.to_proto(model))
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("attributes", "after"),
    [
        ('mode="linear"', "1,3,10,14"),
        ('mode="nearest"', "1,3,8,14"),
        ('mode="nearest"', "1,3,1,1"),
        ('mode="nearest", nearest_mode="ceil"', "1,3,10,14"),
        ('mode="nearest", nearest_mode="floor", coordinate_transformation_mode="align_corners"', "1,3,10,14"),
        ('mode="nearest"', "1,6,10,14"),
    ],
)
def test_other_resizes_stay(attributes: str, after: str) -> None:
    assert operators(rewritten(attributes, "1,3,5,7", after)[1]) == {"Resize": 1}
