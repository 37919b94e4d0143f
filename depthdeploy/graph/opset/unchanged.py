"""Operator sets that changed an operator's definition, and nothing about what a node of theirs says in the set before.

They added element types, cleared a sentence or gave a definition by other operators; whether a node's own types were
there before is looked at in the end. Reviewed one by one against ONNX's definitions: what is not listed here nor in
:mod:`depthdeploy.graph.opset.table` cannot be said in an older set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OPERATORS: Final[Mapping[tuple[int, ...], str]] = {
    (11, 12): "MaxPool",
    (11, 13, 16, 19, 21, 23, 24, 25): "If Loop",
    (11, 13, 19): "Equal",
    (11, 22): "Conv LpPool",
    (11,): "AveragePool",
    (12, 13): "Clip Max Min ReduceMax ReduceMin",
    (13,): (
        "Abs ArgMax ArgMin Ceil Concat Erf Exp Expand Floor Gather GatherElements GatherND Gemm Greater LRN "
        "Less Log MatMul Mean MeanVarianceNormalization Mod Neg NonZero Reciprocal ReduceL1 ReduceL2 "
        "ReduceMean ReduceProd ReduceSumSquare ScatterElements ScatterND Sigmoid Sign Slice "
        "SoftmaxCrossEntropyLoss SpaceToDepth Sqrt Sum Tanh Tile"
    ),
    (13, 14): "Add Div Mul Relu Sub",
    (13, 14, 16, 19, 21, 23, 24, 25): "Identity",
    (13, 15): "Pow",
    (13, 19, 21, 23, 24, 25): "Constant Reshape Shape Size",
    (13, 20): "IsNaN",
    (13, 21, 23, 24, 25): "Flatten Pad Transpose",
    (13, 21, 23, 25, 28): "Cast",
    (13, 22): "Dropout NegativeLogLikelihoodLoss",
    (13, 28): "DepthToSpace ReduceLogSum ReduceLogSumExp",
    (14,): "CumSum",
    (15,): "BatchNormalization",
    (16,): "GreaterOrEqual LeakyRelu LessOrEqual PRelu Where",
    (16, 19, 21, 23, 24, 25): "Scan",
    (18, 28): "OptionalGetElement",
    (19, 24, 25, 28): "DequantizeLinear",
    (20,): "IsInf",
    (20, 21, 23, 24, 25): "ConstantOfShape",
    (21,): "QLinearMatMul",
    (21, 23, 24, 25): "Squeeze Unsqueeze",
    (21, 23, 25): "CastLike",
    (22,): (
        "Acos Acosh Asin Asinh Atan Atanh Bernoulli ConvTranspose Cos Cosh DeformConv Det Elu EyeLike GRU "
        "GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish InstanceNormalization "
        "LSTM LpNormalization MaxRoiPool MaxUnpool Mish Multinomial RNN RandomNormal RandomNormalLike "
        "RandomUniform RandomUniformLike RoiAlign Round Selu Sin Sinh Softplus Softsign Tan ThresholdedRelu"
    ),
    (24,): "SplitToSequence TopK",
    (24, 25, 28): "QuantizeLinear",
    (28,): "BitShift Celu Compress Einsum OneHot Optional OptionalHasElement ReverseSequence Unique",
}

#: Operator -> the sets whose change does not concern how it is written.
UNCHANGED: Final[Mapping[str, frozenset[int]]] = {
    operator: frozenset(versions) for versions, operators in _OPERATORS.items() for operator in operators.split()
}
