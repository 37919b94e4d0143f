"""A network whose normalisation is folded gives for pixels what it gave for normalised pixels, at the borders too."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.passes.normalization_folding import Borders, NormalizationFolding
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import as_proto, outputs

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
EXACT = (Borders.CHANNEL, Borders.LAYER)
GRAPHS = graphs.all_graphs()


def network(body: str, weights: str, *, opset: int = 18) -> onnx.ModelProto:
    return build(f"g (float[1,3,16,16] image) => (float[1,1,16,16] depth) <{weights}> {{ {body} }}", opset=opset)


def padded() -> onnx.ModelProto:
    return network(
        """a = Conv <kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]> (image, w, b)
           r = Relu (a)
           u = ConvTranspose <kernel_shape=[2,2], strides=[2,2]> (r, t)
           depth = Conv <kernel_shape=[1,1]> (u, h)""",
        "float[8,3,3,3] w, float[8] b, float[8,4,2,2] t, float[1,4,1,1] h",
    )


def patches() -> onnx.ModelProto:
    return network(
        """a = Conv <kernel_shape=[4,4], strides=[4,4]> (image, w)
           u = ConvTranspose <kernel_shape=[4,4], strides=[4,4]> (a, t)
           depth = Relu (u)""",
        "float[8,3,4,4] w, float[8,1,4,4] t",
    )


def depthwise() -> onnx.ModelProto:
    return network(
        """a = Conv <kernel_shape=[3,3], pads=[1,1,1,1], group=3> (image, w, b)
           depth = Conv <kernel_shape=[1,1]> (a, h)""",
        "float[6,1,3,3] w, float[6] b, float[1,6,1,1] h",
    )


def several_readers() -> onnx.ModelProto:
    return network(
        """a = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w, b)
           c = Conv <kernel_shape=[1,1]> (image, v)
           m = ReduceMean <keepdims=1> (image, channels)
           s = Add (a, c)
           d = Conv <kernel_shape=[1,1]> (s, h)
           depth = Add (d, m)""",
        "float[4,3,3,3] w, float[4] b, float[4,3,1,1] v, float[1,4,1,1] h, int64[1] channels = {1}",
    )


NETWORKS = {"padded": padded, "patches": patches, "depthwise": depthwise, "several readers": several_readers}


def pixels(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def normalised(image: np.ndarray, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> np.ndarray:
    axes = (1, 3, 1, 1)
    exact = (image.astype(np.float64) - np.reshape(mean, axes)) / np.reshape(std, axes)
    return np.asarray(exact, np.float32)


def assert_folded(
    proto: onnx.ModelProto, mean: tuple[float, float, float], std: tuple[float, float, float], borders: Borders
) -> ir.Model:
    model = ir.from_proto(proto)
    assert NormalizationFolding(mean, std, borders)(model)
    onnx.checker.check_model(as_proto(model), full_check=True)
    shape = tuple(d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim)
    image = pixels(shape)
    (expected,), (found,) = outputs(proto, normalised(image, mean, std)), outputs(as_proto(model), image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * float(np.abs(expected).max()))
    return model


@pytest.mark.parametrize("borders", EXACT, ids=lambda one: one.value)
@pytest.mark.parametrize("name", NETWORKS)
def test_pixels_give_what_normalised_pixels_gave(name: str, borders: Borders) -> None:
    assert_folded(NETWORKS[name](), MEAN, STD, borders)


@pytest.mark.parametrize("borders", EXACT, ids=lambda one: one.value)
@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_obeys_the_law(name: str, borders: Borders) -> None:
    assert_folded(GRAPHS[name], MEAN, STD, borders)


@st.composite
def convolutions(draw: st.DrawFn) -> onnx.ModelProto:
    kernel, stride, dilation = draw(st.sampled_from([1, 2, 3, 5])), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    pads = ",".join(str(draw(st.integers(0, 2))) for _ in range(4))
    attributes = f"kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}], dilations=[{dilation},{dilation}]"
    return build(
        f"""g (float[1,3,12,13] image) => (float[1,4,h,w] depth) <float[4,3,{kernel},{kernel}] w, float[4] b>
        {{ depth = Conv <{attributes}, pads=[{pads}]> (image, w, b) }}"""
    )


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(
    proto=convolutions(),
    mean=st.tuples(*[st.floats(-50, 300, width=32)] * 3),
    std=st.tuples(*[st.floats(0.5, 200, width=32)] * 3),
    borders=st.sampled_from(EXACT),
)
def test_any_convolution_obeys_the_law(
    proto: onnx.ModelProto, mean: tuple[float, float, float], std: tuple[float, float, float], borders: Borders
) -> None:
    hypothesis.assume(any(mean) or any(one != 1 for one in std))
    assert_folded(proto, mean, std, borders)


def test_an_unpadded_convolution_takes_everything() -> None:
    model = assert_folded(patches(), MEAN, STD, Borders.CHANNEL)
    assert [node.op_type for node in model.graph] == ["Sub", "Conv", "ConvTranspose", "Relu"]


def test_a_padded_convolution_gets_a_fourth_channel() -> None:
    model = assert_folded(padded(), MEAN, STD, Borders.CHANNEL)
    sub, concat, conv = list(model.graph)[:3]
    assert [sub.op_type, concat.op_type, conv.op_type] == ["Sub", "Concat", "Conv"]
    assert conv.inputs[1] is not None
    assert conv.inputs[1].shape is not None
    assert tuple(conv.inputs[1].shape) == (8, 4, 3, 3)


def test_black_needs_no_fourth_channel() -> None:
    model = assert_folded(padded(), (0, 0, 0), (255, 255, 255), Borders.CHANNEL)
    assert [node.op_type for node in model.graph] == ["Conv", "Relu", "ConvTranspose", "Conv"]


def test_the_layer_of_its_own_stays_where_it_is_asked_for() -> None:
    model = assert_folded(padded(), MEAN, STD, Borders.LAYER)
    first = model.graph[0]
    assert (first.op_type, first.attributes.get_int("group")) == ("Conv", 3)


def test_rounded_borders_differ_at_the_borders_alone() -> None:
    proto = network("depth = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w, b)", "float[1,3,3,3] w, float[1] b")
    model = ir.from_proto(proto)
    assert NormalizationFolding(MEAN, STD, Borders.ROUNDED)(model)
    assert [node.op_type for node in model.graph] == ["Sub", "Conv"]
    image = pixels((1, 3, 16, 16))
    (expected,), (found,) = outputs(proto, normalised(image)), outputs(as_proto(model), image)
    difference = np.abs(found - expected)[0, 0]
    assert difference[1:-1, 1:-1].max() < 1e-4
    assert 1e-3 < difference.max() < 1.0


def test_nothing_to_fold_changes_nothing() -> None:
    model = ir.from_proto(padded())
    before = as_proto(model).SerializeToString(deterministic=True)
    assert not NormalizationFolding((0, 0, 0), (1, 1, 1))(model)
    assert as_proto(model).SerializeToString(deterministic=True) == before


def test_padding_by_name_is_read_through_a_layer() -> None:
    proto = network(
        'depth = Conv <kernel_shape=[3,3], auto_pad="SAME_UPPER"> (image, w, b)', "float[1,3,3,3] w, float[1] b"
    )
    model = assert_folded(proto, MEAN, STD, Borders.CHANNEL)
    assert model.graph[0].attributes.get_int("group") == 3
