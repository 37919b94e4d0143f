"""The largest set of activations that are alive at once, on graphs small enough to count by hand."""

import onnx
import onnx_ir as ir

from depthdeploy.graph.memory import constants_of, largest_live_set
from depthdeploy.testing.graph_text import build


def inferred(text: str) -> ir.Model:
    model: ir.Model = ir.from_proto(onnx.shape_inference.infer_shapes(build(text)))
    return model


def test_a_chain_holds_a_node_and_its_input() -> None:
    """48 values of the image and 48 of a; then a and 16 of b; the image is gone by then."""
    found = largest_live_set(
        inferred("""chain (float[1,3,4,4] image) => (float[1,1,4,4] depth) <float[1,3,1,1] w> {
            a = Relu (image)
            depth = Conv (a, w)
        }""")
    )
    assert found is not None
    assert (found.values, found.node) == (96, "a")


def test_a_skip_is_held_until_it_is_read() -> None:
    found = largest_live_set(
        inferred("""skip (float[1,1,4,4] image) => (float[1,1,4,4] depth) <float[8,1,1,1] w, float[1,8,1,1] v> {
            wide = Conv (image, w)
            narrow = Conv (wide, v)
            depth = Add (narrow, image)
        }""")
    )
    assert found is not None
    assert (found.values, found.node) == (16 + 128 + 16, "narrow")


def test_a_view_needs_no_memory_of_its_own() -> None:
    found = largest_live_set(
        inferred("""view (float[1,1,4,4] image) => (float[1,1,4,4] depth) <int64[2] flat = {1, 16}, int64[4] full = {1, 1, 4, 4}> {
            a = Reshape (image, flat)
            b = Relu (a)
            depth = Reshape (b, full)
        }""")  # noqa: E501
    )
    assert found is not None
    assert found.values == 32


def test_an_unknown_shape_has_no_answer() -> None:
    model = ir.from_proto(build("free (float[1,1,4,4] image) => (float[1,1,4,4] depth) { depth = Relu (image) }"))
    model.graph.inputs[0].shape = ir.Shape(["N", 1, 4, 4])
    assert largest_live_set(model) is None


def test_every_constant_counts() -> None:
    model = inferred("""two (float[1,1,4,4] image) => (float[1,2,4,4] depth) <float[2,1,1,1] w, float[2] b> {
        depth = Conv (image, w, b)
    }""")
    assert constants_of(model) == 4
