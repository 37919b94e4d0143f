"""Attributes and inputs that came later: left out where they say what was always so."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import constant, given, scalar
from depthdeploy.graph.opset.site import Rewrite, Site
from depthdeploy.graph.passes.conv_transpose_geometry import make_pads_explicit

#: What an attribute may be compared with.
Neutral = int | float | str


def without(**neutral: Neutral) -> Rewrite:
    """Attributes that an older set does not have are left out where they have these values; others are refused."""

    def rewrite(site: Site) -> None:
        for name, value in neutral.items():
            found = site.node.attributes.get(name)
            if found is not None and found.value != value and not _all(found.value, value):
                raise site.refuse(
                    f"has no {name} in {site.node.op_type}", f"{found.value}", f"Export the network without {name}."
                )
            site.drop(name)

    return rewrite


def _all(found: object, value: Neutral) -> bool:
    """Whether every number of a list is the neutral one: dilations of 1."""
    return isinstance(found, (list, tuple)) and all(number == value for number in found)


def regardless(*names: str) -> Rewrite:
    """Attributes that concern only element types which the older set does not have."""

    def rewrite(site: Site) -> None:
        site.drop(*names)

    return rewrite


def constant_tensor(site: Site) -> None:
    """``Constant`` of opset 12: numbers written as such become a tensor."""
    if "value" in site.node.attributes:
        return
    array = constant(site.node.outputs[0])
    if array is None:
        raise site.refuse("knows tensors of numbers alone", "another constant", "Write it as a dense tensor.")
    site.drop(*site.node.attributes)
    site.node.attributes.add(ir.AttrTensor("value", ir.tensor(array)))


def inference_dropout(site: Site) -> None:
    """``Dropout`` of opset 12 drops nothing at inference, and its mask keeps everything."""
    training = given(site.node, 2)
    if training is not None and scalar(training) != 0.0:
        raise site.refuse("drops nothing at inference", "training_mode", "Export the network in evaluation mode.")
    parts, x, mask = site.emission(), site.value(), None
    if len(site.node.outputs) > 1 and (site.node.outputs[1].uses() or site.node.outputs[1].is_graph_output()):
        everything = parts.constant(np.ones(site.shape(x), dtype=np.bool_), "everything")
        mask = parts.emit("Identity", everything, what="mask")
    parts.finish_all([parts.emit("Identity", x, what="kept"), mask][: len(site.node.outputs)])


def inference_batch_norm(site: Site) -> None:
    """``BatchNormalization`` of opset 14 has one output at inference, as its ancestor has."""
    if site.whole("training_mode", 0):
        raise site.refuse("normalises by given statistics", "training_mode", "Export the network in evaluation mode.")
    site.drop("training_mode")


def three_operands(site: Site) -> None:
    """``Gemm`` without a bias (opset 11) adds 0."""
    if given(site.node, 2) is None:
        zero = np.zeros(1, dtype=site.dtype(site.value()).numpy())
        site.node.resize_inputs(3)
        site.node.replace_input_with(2, site.emission().constant(zero, "bias"))


def same_type_power(site: Site) -> None:
    """``Pow`` of opset 12 takes exponents of another type, its ancestor those of the base's."""
    x, y = site.value(0), site.value(1)
    if site.dtype(x) == site.dtype(y):
        return
    if site.dtype(x) not in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16):
        raise site.refuse("raises floats alone", f"a base of {x.dtype}", "Cast the base to a float.")
    parts, array = site.emission(), constant(y)
    kind = site.dtype(x)
    fixed = None if array is None else parts.constant(array.astype(kind.numpy()), "exponent")
    site.node.replace_input_with(1, parts.cast(y, kind, "exponent") if fixed is None else fixed)


def per_tensor(site: Site) -> None:
    """``QuantizeLinear`` and ``DequantizeLinear`` with a scale per channel came with opset 13."""
    scale = site.value(1)
    if site.shape(scale) not in ((), (1,)):
        raise site.refuse(
            f"has one scale per tensor in {site.node.op_type}",
            f"a scale of shape {list(site.shape(scale))}",
            "Quantize per tensor, or hand the network over without Q/DQ nodes.",
        )
    site.drop("axis")


def typed_zero_point(site: Site) -> None:
    """``QuantizeLinear`` of opset 21: the type of the result, where no zero point says it, is said by one."""
    without(block_size=0)(site)
    wanted = ir.DataType(site.whole("output_dtype", 0))
    site.drop("output_dtype")
    if wanted != ir.DataType.UNDEFINED and given(site.node, 2) is None:
        zero = np.zeros(site.shape(site.value(1)), dtype=wanted.numpy())
        site.node.resize_inputs(3)
        site.node.replace_input_with(2, site.emission().constant(zero, "zero_point"))


def dequantized_type(site: Site) -> None:
    """``DequantizeLinear`` of opset 23: before, the result has the type of the scale."""
    wanted = site.whole("output_dtype", 0)
    if wanted not in (0, site.dtype(site.value(1)).value):
        raise site.refuse("gives the type of the scale", f"{ir.DataType(wanted)}", "Cast the scale to that type.")
    site.drop("output_dtype")


def no_inputs_past(*indices: int) -> Rewrite:
    """Inputs that an older set does not have are refused where they are given."""

    def rewrite(site: Site) -> None:
        for index in indices:
            if given(site.node, index) is not None:
                raise site.refuse(
                    f"has {min(indices)} inputs in {site.node.op_type}", "more", "Export with an older opset."
                )
        site.keep_inputs(min(indices))

    return rewrite


def explicit_transposed_pads(site: Site) -> None:
    """``ConvTranspose`` of opset 11 puts the odd pixel of SAME elsewhere than its ancestor: numbers say where."""
    if not make_pads_explicit(site.node):
        raise site.refuse("pads transposed convolutions otherwise", "auto_pad or output_shape", "Give pads.")
