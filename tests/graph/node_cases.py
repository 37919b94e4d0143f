"""ONNX's own cases for every operator, in the forms in which passes meet a node, and the engine that judges a rewrite.

The project's cases hold mostly one node whose inputs and outputs are the graph's: a pass that asks for constants, or
for a value that the graph does not give out, would change none of them. So each case stands here in four forms.
"""

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.reference import ReferenceEvaluator

Array = NDArray[np.generic]

#: Operators that undo themselves, by element type: they frame a graph so that its ends are values like others.
_MIRRORS = {
    onnx.TensorProto.FLOAT: "Neg",
    onnx.TensorProto.DOUBLE: "Neg",
    onnx.TensorProto.INT32: "Neg",
    onnx.TensorProto.INT64: "Neg",
    onnx.TensorProto.BOOL: "Not",
}


#: Cases of more nodes than this have fewer forms: the operators in them have cases of their own.
_LARGE = 4

#: Operators written out in more nodes than this differ in settings that the other cases have too: each fourth is sent.
_VERY_LARGE, _EACH = 25, 4


@dataclass(frozen=True)
class Case:
    """A model with what goes in and what must come out.

    Attributes:
        name: as ONNX has it, and the form after a colon.
        operator: the operator that the case is for.
        model: the graph.
        inputs: in the graph's order; lists are sequences.
        expected: in the graph's order.
        rtol: relative tolerance of the case.
        atol: absolute tolerance of the case.
    """

    name: str
    operator: str
    model: onnx.ModelProto
    inputs: tuple[object, ...]
    expected: tuple[object, ...]
    rtol: float
    atol: float
    engines: list[str] = field(default_factory=lambda: ["onnxruntime", "reference"], compare=False)

    def engine(self) -> str | None:
        """The first engine that computes the model as it stands rightly; ``None`` when none does."""
        while self.engines and not self._is_right(self.engines[0]):
            self.engines.pop(0)
        return self.engines[0] if self.engines else None

    def _is_right(self, engine: str) -> bool:
        try:
            return self._are_alike(self.expected, _ENGINES[engine](self.model, self.inputs))
        except Exception:  # both engines raise whatever an operator's kernel raises
            return False

    def fault(self, model: onnx.ModelProto, engine: str) -> str | None:
        """What is wrong with a model of this case: it does not run, or it gives something else."""
        try:
            found = _ENGINES[engine](model, self.inputs)
        except Exception as cause:  # both engines raise whatever an operator's kernel raises
            return f"does not run: {cause}"
        if self._are_alike(self.expected, found) or self._are_alike(self._deployed(), found):
            return None
        return f"gives {found} where {list(self.expected)} is right"

    def _are_alike(self, expected: Sequence[object] | None, found: Sequence[object]) -> bool:
        return expected is not None and all(
            _alike(one, other, self) for one, other in zip(expected, found, strict=True)
        )

    def _deployed(self) -> list[object] | None:
        """What ONNX Runtime gives where that is not what ONNX says: constants are folded by it."""
        try:
            return _run_onnxruntime(self.model, self.inputs)
        except Exception:  # it has no kernel
            return None


@functools.cache
def collected() -> tuple[TestCase, ...]:
    """Every case of ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts that overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        return tuple(collect_testcases(None))


@functools.cache
def cases() -> dict[str, tuple[Case, ...]]:
    """Operator -> its cases as ONNX has them."""
    models = {case.name: case.model for case in collected() if case.model is not None}
    heads = {name: model.graph.node[0].op_type for name, model in models.items()}
    found: dict[str, list[Case]] = {}
    for case in _sent(models):
        operator = heads.get(case.name.split("_expanded")[0], heads[case.name])
        for number, (inputs, outputs) in enumerate(case.data_sets or ()):
            name = f"{case.name}#{number}" if number else case.name
            ins, outs = tuple(map(_array, inputs)), tuple(map(_array, outputs))
            found.setdefault(operator, []).append(
                Case(f"{name}:given", operator, _named(models[case.name]), ins, outs, case.rtol, case.atol)
            )
    return {operator: tuple(found[operator]) for operator in sorted(found)}


def _sent(models: Mapping[str, onnx.ModelProto]) -> list[TestCase]:
    large = [case for case in collected() if len(models[case.name].graph.node) > _VERY_LARGE]
    left = {case.name for index, case in enumerate(large) if index % _EACH}
    return [case for case in collected() if case.name not in left]


def forms(case: Case) -> Iterator[Case]:
    """A case as ONNX has it, with its settings constant, so between other nodes, and with every input constant."""
    yield case
    if not is_of_tensors(case):
        return
    if is_large(case):
        yield _framed(_bound(case, "framed", keep=_data(case)))
        return
    if len(case.inputs) > 1:
        yield _bound(case, "bound", keep=_data(case))
    yield _framed(_bound(case, "framed", keep=_data(case)))
    yield _framed(_bound(case, "frozen", keep=None))


def is_large(case: Case) -> bool:
    """Whether the case has several nodes, as an operator written out in others has, or becomes many."""
    return len(case.model.graph.node) > _LARGE or case.operator == "Attention"


def _data(case: Case) -> int:
    """The input that is data and no setting: the first of floats."""
    return next((i for i, one in enumerate(case.inputs) if np.asarray(one).dtype.kind in "fV"), 0)


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model whose constants bear the names of their values, which is how onnx-ir writes them."""
    pending = [model.graph]
    while pending:
        for node in pending.pop().node:
            pending.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                node.attribute[0].t.name = node.output[0]
    return model


def _bound(case: Case, form: str, keep: int | None) -> Case:
    """The case whose inputs are initializers but for one."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    listed = list(zip(graph.input, case.inputs, strict=True))
    kept = [one for index, one in enumerate(listed) if index == keep]
    del graph.input[:]
    graph.input.extend(value for value, _ in kept)
    for index, (value, array) in enumerate(listed):
        if index != keep:
            graph.initializer.append(_tensor(array, value))
    name = case.name.replace(":given", f":{form}")
    return Case(name, case.operator, model, tuple(a for _, a in kept), case.expected, case.rtol, case.atol)


def _framed(case: Case) -> Case:
    """The case between nodes that undo themselves, its own ends described as shape inference would."""
    graph = case.model.graph
    inputs, expected = list(case.inputs), list(case.expected)
    for ends, arrays, before in ((graph.input, inputs, True), (graph.output, expected, False)):
        for index, value in enumerate(ends):
            array = np.asarray(arrays[index])
            mirror = _MIRRORS.get(value.type.tensor_type.elem_type)
            if mirror is None or (before and not value.name):
                continue
            inner = helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, array.shape)
            outer = f"{value.name}_framed"
            reads, makes = (outer, value.name) if before else (value.name, outer)
            node = helper.make_node(mirror, [reads], [makes], name=f"frame_{value.name}")
            graph.node.insert(0 if before else len(graph.node), node)
            graph.value_info.append(inner)
            value.CopyFrom(helper.make_tensor_value_info(outer, value.type.tensor_type.elem_type, array.shape))
            arrays[index] = np.asarray(~array if mirror == "Not" else -array)  # a scalar stays an array
    return Case(case.name, case.operator, case.model, tuple(inputs), tuple(expected), case.rtol, case.atol)


def is_of_tensors(case: Case) -> bool:
    """Whether every end is a tensor of numbers: others are sent as ONNX has them alone."""
    ends = (*case.model.graph.input, *case.model.graph.output)
    plain = all(end.type.WhichOneof("value") == "tensor_type" for end in ends)
    return plain and all(np.asarray(one).dtype.kind not in "OUS" for one in case.inputs)


def _array(value: object) -> object:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if value is None or isinstance(value, list) else np.asarray(value)


def _tensor(array: object, value: onnx.ValueInfoProto) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.asarray(array).shape), value.name)


def _run_onnxruntime(model: onnx.ModelProto, inputs: Sequence[object]) -> list[object]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    result: list[object] = session.run(None, dict(zip(names, inputs, strict=True)))
    return result


def _run_reference(model: onnx.ModelProto, inputs: Sequence[object]) -> list[object]:
    evaluator = ReferenceEvaluator(model)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return list(evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=True))))


_ENGINES = {"onnxruntime": _run_onnxruntime, "reference": _run_reference}


def _alike(expected: object, found: object, case: Case) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(_alike(one, other, case) for one, other in zip(expected, found, strict=True))
        )
    if expected is None or found is None:
        return expected is found
    one, other = np.asarray(expected), np.asarray(found)
    if one.shape != other.shape or (one.dtype != other.dtype and one.dtype.kind not in "OUS"):
        return False
    if one.dtype.kind not in "fcV":
        return bool(np.array_equal(one, other))
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    return bool(np.allclose(other.astype(wide), one.astype(wide), rtol=case.rtol, atol=case.atol, equal_nan=True))
