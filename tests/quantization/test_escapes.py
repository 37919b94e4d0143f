"""Nodes in a wider form than the scheme's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.quant import QuantPlan, Statistics
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan, touching
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.testing import graphs

Array = NDArray[np.float32]
Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]
Legal = Callable[[OnnxModel], LegalModel]

FP32 = Escape("fp32", None, 2.0, "test")
INT16 = Escape("int16", NumberFormat(16, False, False, Granularity.TENSOR, 16), 2.0, "test")


def statistics_of(model: OnnxModel, photos: list[Array]) -> Statistics:
    return observe(model, photos, observer=MinMax(), calibration_digest="", images=len(photos))


def widths(plan: QuantPlan) -> dict[str, int]:
    return {line.tensor: line.grid.format.bits for line in plan.activations}


def loss(reference: OnnxModel, quantized: Path, photos: list[Array]) -> float:
    ours, theirs = OnnxSession(reference.path), OnnxSession(quantized, exact=True)
    return float(np.mean([np.mean((ours.predict(photo) - theirs.predict(photo)) ** 2) for photo in photos]))


@pytest.mark.parametrize(
    "name", ["depthwise_block", "residual_block", "concat_decoder", "transposed_decoder", "attention_with_nan_guard"]
)
def test_with_every_node_in_float_the_function_is_the_float_one(
    *, store: Store, photos: list[Array], scheme: Schemes, legal: Legal, tmp_path: Path, name: str
) -> None:
    model = store(graphs.all_graphs()[name])
    proto = onnx.load(model.path)
    escapes = {node.name: FP32 for node in proto.graph.node}
    plan = make_plan(model, statistics_of(model, photos), scheme(), escapes)
    assert (plan.activations, plan.weights, plan.biases) == ((), (), ())
    written = apply_plan(legal(model), plan, tmp_path / "float.onnx")
    for photo in photos[:2]:
        expected = OnnxSession(model.path, exact=True).predict(photo)
        np.testing.assert_array_equal(OnnxSession(written.model.path, exact=True).predict(photo), expected)


def test_a_float_node_has_no_grid_of_its_own_and_says_why(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.concat_decoder())
    statistics = statistics_of(model, photos)
    before = make_plan(model, statistics, scheme())
    after = make_plan(model, statistics, scheme(), {"conv2": FP32})
    assert {line.node for line in before.weights} - {line.node for line in after.weights} == {"conv2"}
    assert [line.reason for line in after.floats if line.node == "conv2"] == ["mixed precision: fp32"]
    assert not any(line.node == "deep" for line in after.floats)  # the Relu belongs to its unit
    assert {line.tensor for line in after.activations} == {line.tensor for line in before.activations}


def test_a_tensor_is_float_when_all_nodes_around_it_are(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.depthwise_block())
    statistics = statistics_of(model, photos)
    around = touching(model, statistics, scheme())["expand_act"]
    assert around == {"expand", "depthwise"}
    plan = make_plan(model, statistics, scheme(), dict.fromkeys(around, FP32))
    assert "expand_act" not in widths(plan)
    alone = make_plan(model, statistics, scheme(), {"expand": FP32})
    assert "expand_act" in widths(alone)


def test_a_wide_node_widens_what_it_reads_and_writes(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.depthwise_block())
    plan = make_plan(model, statistics_of(model, photos), scheme(), {"depthwise": INT16})
    wide = {name for name, bits in widths(plan).items() if bits == 16}
    assert wide == {"expand_act", "depthwise_act"}
    assert all("(mixed precision)" in line.why for line in plan.activations if line.tensor in wide)
    assert {line.node for line in plan.weights} >= {"depthwise"}


def test_tensors_that_share_a_grid_are_widened_together(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.concat_decoder())
    plan = make_plan(model, statistics_of(model, photos), scheme(), {"conv3": INT16})
    assert {name for name, bits in widths(plan).items() if bits == 16} >= {"joined", "large", "deep", "skip"}
    grids = {line.tensor: line.grid for line in plan.activations}
    assert grids["joined"] == grids["large"] == grids["deep"]


def test_the_wider_form_wins_and_equals_must_agree(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.depthwise_block())
    statistics = statistics_of(model, photos)
    twelve = Escape("int12", NumberFormat(12, False, False, Granularity.TENSOR, 16), 1.5, "test")
    plan = make_plan(model, statistics, scheme(), {"expand": twelve, "depthwise": INT16})
    assert (widths(plan)["stem"], widths(plan)["expand_act"]) == (12, 16)
    signed = Escape("s16", NumberFormat(16, True, True, Granularity.TENSOR, 16), 2.0, "test")
    with pytest.raises(QuantizationError, match=r"expand_act is asked for as uint16 .* and as int16"):
        make_plan(model, statistics, scheme(), {"expand": INT16, "depthwise": signed})


def test_wide_activations_lose_less(
    *, store: Store, photos: list[Array], scheme: Schemes, legal: Legal, tmp_path: Path
) -> None:
    model = store(graphs.residual_block())
    statistics = statistics_of(model, photos)
    losses = []
    for index, escaped in enumerate(([], ["stem", "conv1"], ["stem", "conv1", "conv2", "sum", "head"])):
        plan = make_plan(model, statistics, scheme(), dict.fromkeys(escaped, INT16))
        written = apply_plan(legal(model), plan, tmp_path / f"{index}.onnx")
        onnx.checker.check_model(onnx.load(written.model.path), full_check=True)
        assert (written.precision, written.model.opset) == ("int16" if index == 2 else "int8", 21 if index else 18)
        losses.append(loss(model, written.model.path, photos))
    assert losses[0] > losses[1] > losses[2]


def test_a_node_that_is_not_there_is_named(store: Store, photos: list[Array], scheme: Schemes) -> None:
    model = store(graphs.residual_block())
    with pytest.raises(QuantizationError, match="1 nodes with a wider form are not in the graph: conv9"):
        make_plan(model, statistics_of(model, photos), scheme(), {"conv9": FP32, "conv1": FP32})
