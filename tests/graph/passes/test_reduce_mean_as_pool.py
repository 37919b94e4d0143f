"""The mean over an image is global pooling."""

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.reduce_mean_as_pool import ReduceMeanAsPool
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import all_graphs
from depthdeploy.testing.laws import as_proto, assert_same_function


def graph(axes: str, keepdims: int = 1, shape: str = "1,6,5,7") -> onnx.ModelProto:
    names = ",".join("abcdefg"[: 4 if keepdims else 2])
    rank = f"[{names}]" if keepdims or "," in axes else "[a,b,c]"
    return build(
        f"""g (float[{shape}] image) => (float{rank} depth) <int64[{axes.count(",") + 1}] axes = {{{axes}}}>
        {{ x = Neg (image)\ny = ReduceMean <keepdims={keepdims}> (x, axes)\ndepth = Neg (y) }}"""
    )


@pytest.mark.parametrize("axes", ["2, 3", "-1, -2", "3, 2"])
@pytest.mark.parametrize(("keepdims", "found"), [(1, ["GlobalAveragePool"]), (0, ["GlobalAveragePool", "Reshape"])])
def test_the_mean_over_both_sides(axes: str, keepdims: int, found: list[str]) -> None:
    proto = graph(axes, keepdims)
    model, one = ir.from_proto(onnx.shape_inference.infer_shapes(proto)), ReduceMeanAsPool()
    assert one(model)
    assert not one(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    assert [node.op_type for node in model.graph] == ["Neg", *found, "Neg"]
    assert_same_function(proto, model)


@pytest.mark.parametrize("axes", ["2", "1, 2", "1, 2, 3", "0, 1"])
def test_other_means_stay(axes: str) -> None:
    assert not ReduceMeanAsPool()(ir.from_proto(onnx.shape_inference.infer_shapes(graph(axes))))


def test_a_vector_of_images_of_other_rank_stays() -> None:
    proto = build(
        """g (float[2,3,4,5,6] image) => (float[2,3,1,1,6] depth) <int64[2] axes = {2, 3}>
        { depth = ReduceMean (image, axes) }"""
    )
    assert not ReduceMeanAsPool()(ir.from_proto(proto))


@pytest.mark.parametrize("name", sorted(all_graphs()))
def test_named_graphs_stay(name: str) -> None:
    assert not ReduceMeanAsPool()(ir.from_proto(all_graphs()[name]))
