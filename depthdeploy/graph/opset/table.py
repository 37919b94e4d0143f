"""What changed about an operator in which operator set, and how it was said before: the product of this folder.

Source: ONNX's ``docs/Changelog.md``, the definitions of every operator in every version of the default domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from depthdeploy.graph.opset import attributes as said
from depthdeploy.graph.opset import axes, bounds, moves, normalization, pooling, resize
from depthdeploy.graph.opset.activations import Definition, gelu, mish, named_celu, named_hard_swish, swish
from depthdeploy.graph.opset.einsum import einsum
from depthdeploy.graph.opset.site import Rewrite, Site
from depthdeploy.graph.opset.softmax import coerced


def _composed(definition: Definition, site: Site) -> None:
    parts = site.emission()
    parts.finish(definition(parts, site.value()))


def _activation(definition: Definition) -> Rewrite:
    return partial(_composed, definition)


_LAST, _FIRST = axes.axis_from_front(-1), axes.axis_from_front(0)
_SECOND = axes.axis_from_front(1)
_ALWAYS_FROM_FRONT = {11: axes.axes_from_front}
_REDUCTION: Mapping[int, Rewrite] = {18: axes.reduced_axes, **_ALWAYS_FROM_FRONT}
_EXTREME: Mapping[int, Rewrite] = {20: bounds.boolean_reduction, **_REDUCTION}
_ARG: Mapping[int, Rewrite] = {12: axes.last_index, 11: _FIRST}
_RECURRENT: Mapping[int, Rewrite] = {14: said.without(layout=0)}
_SOFTMAX: Mapping[int, Rewrite] = {13: coerced, 11: _SECOND}
_CAST: Mapping[int, Rewrite] = {24: said.regardless("round_mode"), 19: said.regardless("saturate")}

#: Operator -> the set in which its form or meaning changed -> how to say it in the set before.
REWRITES: Final[Mapping[str, Mapping[int, Rewrite]]] = {
    "ArgMax": _ARG,
    "ArgMin": _ARG,
    "Attention": {25: said.without(left_window_size=-1, right_window_size=-1), 24: said.no_inputs_past(6)},
    "AveragePool": {22: pooling.whole_windows, 19: pooling.undilated_average},
    "BatchNormalization": {14: said.inference_batch_norm},
    "Cast": _CAST,
    "CastLike": {**_CAST, 15: moves.cast_to_like},
    "Celu": {12: _activation(named_celu)},
    "Clip": {11: bounds.clip_attributes},
    "Compress": {11: axes.axis_from_front(0)},
    "Concat": {11: _FIRST},
    "Constant": {12: said.constant_tensor, 11: said.constant_tensor},
    "ConvTranspose": {11: said.explicit_transposed_pads},
    "CumSum": {11: moves.cumulative_sum},
    "DFT": {20: moves.transform_axis},
    "DepthToSpace": {11: moves.depth_to_space},
    "DequantizeLinear": {23: said.dequantized_type, 21: said.without(block_size=0), 13: said.per_tensor},
    "Dropout": {12: said.inference_dropout},
    "Einsum": {12: einsum},
    "Flatten": {11: _SECOND},
    "GRU": _RECURRENT,
    "Gather": {11: moves.gather_from_front},
    "GatherND": {12: said.without(batch_dims=0)},
    "Gelu": {20: _activation(gelu)},
    "Gemm": {11: said.three_operands},
    "GridSample": {20: moves.flat_grid},
    "GroupNormalization": {21: normalization.group_norm, 18: normalization.group_norm_by_groups},
    "HardSwish": {14: _activation(named_hard_swish)},
    "Hardmax": _SOFTMAX,
    "LSTM": _RECURRENT,
    "LayerNormalization": {17: normalization.layer_norm},
    "LogSoftmax": _SOFTMAX,
    "LpPool": {18: said.without(ceil_mode=0, dilations=1)},
    "MaxPool": {22: pooling.whole_windows},
    "Mish": {18: _activation(mish)},
    "Mod": {28: moves.whole_modulo},
    "Pad": {19: bounds.unwrapped_pad, 18: bounds.pad_all_axes, 11: bounds.pad_attributes},
    "Pow": {12: said.same_type_power},
    "QuantizeLinear": {
        23: said.without(precision=0), 21: said.typed_zero_point, 19: said.regardless("saturate"), 13: said.per_tensor,
    },
    "RMSNormalization": {23: normalization.rms_norm},
    "RNN": _RECURRENT,
    "Range": {27: said.regardless("stash_type")},
    "ReduceL1": _REDUCTION,
    "ReduceL2": _REDUCTION,
    "ReduceLogSum": _REDUCTION,
    "ReduceLogSumExp": _REDUCTION,
    "ReduceMax": _EXTREME,
    "ReduceMean": _REDUCTION,
    "ReduceMin": _EXTREME,
    "ReduceProd": _REDUCTION,
    "ReduceSum": {13: axes.reduced_axes, **_ALWAYS_FROM_FRONT},
    "ReduceSumSquare": _REDUCTION,
    "Reshape": {14: moves.reshape_without_zeros},
    "Resize": {
        19: resize.known_coordinates, 18: resize.all_axes, 13: resize.all_inputs, 11: resize.asymmetric_scales,
    },
    "RoiAlign": {16: moves.shifted_roi},
    "ScatterElements": {18: moves.reduction_none, 16: said.without(reduction="none")},
    "ScatterND": {18: moves.reduction_none, 16: said.without(reduction="none")},
    "Shape": {15: moves.shape_part},
    "Slice": {11: axes.slice_from_front},
    "Softmax": _SOFTMAX,
    "SpaceToDepth": {28: said.without(mode="DCR")},
    "Split": {18: axes.split_count, 13: axes.split_sizes, 11: _FIRST},
    "Squeeze": {13: axes.squeeze_axes, **_ALWAYS_FROM_FRONT},
    "Swish": {24: _activation(swish)},
    "TopK": {11: moves.largest_first},
    "Trilu": {14: moves.triangle},
    "Unsqueeze": {13: axes.squeeze_axes, 11: axes.unsqueezed_axes_from_front},
}  # fmt: skip

#: Operator -> the set that brought it, where ONNX defines it by operators that were there before.
DEFINED: Final[Mapping[str, int]] = {
    "AffineGrid": 20,
    "Attention": 23,
    "BlackmanWindow": 17,
    "CausalConvWithState": 27,
    "CenterCropPad": 18,
    "DynamicQuantizeLinear": 11,
    "GreaterOrEqual": 12,
    "HammingWindow": 17,
    "HannWindow": 17,
    "LessOrEqual": 12,
    "LinearAttention": 27,
    "NegativeLogLikelihoodLoss": 12,
    "RotaryEmbedding": 23,
    "SoftmaxCrossEntropyLoss": 12,
    "SwiGLU": 28,
}
