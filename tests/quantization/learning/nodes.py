"""ONNX's own cases for single operators, of those that the executor has."""

import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from depthdeploy.quantization.learning.executor.operators import OPERATORS

Array = NDArray[np.generic]

#: Why a case is not one for the executor.
EXCLUDED = {
    "test_batchnorm_example_training_mode": "statistics of the photographs themselves: refused",
    "test_batchnorm_epsilon_training_mode": "statistics of the photographs themselves: refused",
    "test_training_dropout_default": "elements are dropped: refused",
    "test_training_dropout_default_mask": "elements are dropped: refused",
    "test_training_dropout": "elements are dropped: refused",
    "test_training_dropout_mask": "elements are dropped: refused",
    "test_maxpool_with_argmax_2d_precomputed_pads": "places of the largest elements: refused",
    "test_maxpool_with_argmax_2d_precomputed_strides": "places of the largest elements: refused",
    "test_reduce_max_empty_set": "a tensor without elements",
    "test_reduce_max_empty_set_bool": "a tensor without elements",
    "test_reduce_min_empty_set": "a tensor without elements",
    "test_identity_opt": "an input that may be missing, which no network has",
    "test_resize_downsample_scales_linear_align_corners": "a fraction of an element; ONNX Runtime counts whole ones",
    "test_resize_downsample_scales_cubic_align_corners": "a fraction of an element; ONNX Runtime counts whole ones",
}

#: Element types that PyTorch has arithmetic for. The others are stored by some graphs and computed with by none.
ARITHMETIC = {"FLOAT", "DOUBLE", "FLOAT16", "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL"}

#: Operators that only convert, and so take wider types.
CONVERTING = {"QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True)
class Case:
    """One graph with one input set and what must come out."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    rtol: float


def _array(value: object) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _types(model: onnx.ModelProto) -> set[str]:
    values = [*model.graph.input, *model.graph.output]
    kinds = {value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}
    return {onnx.TensorProto.DataType.Name(kind) for kind in kinds}


def _fits(model: onnx.ModelProto) -> bool:
    operators = {node.op_type for node in model.graph.node}
    wider = {"UINT16"} if operators <= CONVERTING else set()
    tensors = all(value.type.HasField("tensor_type") for value in model.graph.input)
    return operators <= set(OPERATORS) and tensors and _types(model) <= ARITHMETIC | wider


def _cases() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = collect_testcases(None)
    for one in collected:
        if one.model is None or one.name.endswith("_expanded") or one.name in EXCLUDED or not _fits(one.model):
            continue
        graph = one.model.graph
        for given, expected in one.data_sets or ():
            inputs = {value.name: _array(array) for value, array in zip(graph.input, given, strict=True)}
            outputs = {value.name: _array(array) for value, array in zip(graph.output, expected, strict=True)}
            yield Case(one.name, one.model, inputs, outputs, one.rtol)


@functools.cache
def cases() -> dict[str, list[Case]]:
    """The cases of every operator."""
    found: dict[str, list[Case]] = {}
    for case in _cases():
        found.setdefault(case.model.graph.node[0].op_type, []).append(case)
    return found
