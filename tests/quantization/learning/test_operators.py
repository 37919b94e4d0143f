"""Every operator against ONNX's own cases, ONNX's reference, and its own derivative."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

pytest.importorskip("torch", reason="learning needs PyTorch")

import torch

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.executor.operators import OPERATORS
from depthdeploy.quantization.learning.executor.registry import Attributes


def _neighbour(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"learning_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


nodes = _neighbour("nodes")

#: Operators that ONNX has no case for in the types that PyTorch computes with, and constants.
WITHOUT_CASE = {"Upsample"}


def test_every_operator_has_a_case() -> None:
    lacking = set(OPERATORS) - set(nodes.cases())
    assert lacking <= WITHOUT_CASE | {"CastLike", "Cast"}
    assert sum(map(len, nodes.cases().values())) > 450


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - WITHOUT_CASE))
def test_it_computes_what_onnx_says(operator: str) -> None:
    for case in nodes.cases().get(operator, ()):
        given = {name: torch.from_numpy(np.array(array)) for name, array in case.inputs.items()}
        found = Executor(ir.from_proto(case.model)).run(given)
        for name, expected in case.outputs.items():
            got = found[name].numpy()
            assert got.dtype == expected.dtype, case.name
            assert got.shape == expected.shape, case.name
            np.testing.assert_allclose(got, expected, rtol=case.rtol, atol=1e-5, err_msg=case.name)


def _with_constants(model: onnx.ModelProto, inputs: dict[str, np.ndarray], first: str) -> onnx.ModelProto:
    """The case with all inputs but the first stored in the graph."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value in list(changed.graph.input):
        if value.name != first:
            changed.graph.input.remove(value)
            changed.graph.initializer.append(numpy_helper.from_array(inputs[value.name], value.name))
    return changed


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - WITHOUT_CASE))
def test_many_photographs_are_each_by_itself(operator: str) -> None:
    """The law of stacking, on every case whose first input is a tensor of floats."""
    for case in nodes.cases().get(operator, ()):
        first = case.model.graph.input[0].name
        data = case.inputs[first]
        if data.dtype != np.float32 or data.ndim == 0 or data.size == 0 or operator in ("Shape", "Size"):
            continue
        executor = Executor(ir.from_proto(_with_constants(case.model, case.inputs, first)))
        one = torch.from_numpy(np.array(data))
        other = one.flip(-1) * 0.75
        separate = [executor.run({first: each}) for each in (one, other)]
        if any(result.ndim == 0 for result in separate[0].values()):
            with pytest.raises(QuantizationError, match="one number"):
                executor.run({first: torch.cat([one, other])})
            continue
        together = executor.run({first: torch.cat([one, other])})
        for name, tensor in together.items():
            expected = torch.cat([results[name] for results in separate])
            torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-5, equal_nan=True, msg=case.name)


COORDINATES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]
MODES = [("linear", "floor"), ("cubic", "floor")] + [
    ("nearest", rounding) for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
]


def _node(operator: str, shape: Sequence[int], constants: dict[str, np.ndarray], **attributes: str | int) -> bytes:
    names = ["x", *(name if array.size else "" for name, array in constants.items())]
    node = helper.make_node(operator, names, ["y"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if array.size],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("mode", "rounding"), MODES)
def test_resize_is_that_of_onnx_and_onnx_runtime(mode: str, rounding: str, coordinates: str) -> None:
    rng = np.random.default_rng(0)
    none, two = np.empty(0, np.float32), np.array([1, 1, 2, 2], np.float32)
    for scales, sizes in [
        (two, np.empty(0, np.int64)),
        (np.array([1, 1, 0.5, 3], np.float32), np.empty(0, np.int64)),
        (none, np.array([1, 2, 9, 5], np.int64)),
        (none, np.array([1, 2, 4, 12], np.int64)),
    ]:
        x = rng.normal(size=(1, 2, 6, 4)).astype(np.float32)
        stored = _node(
            "Resize",
            x.shape,
            {"roi": none, "scales": scales, "sizes": sizes},
            mode=mode,
            nearest_mode=rounding,
            coordinate_transformation_mode=coordinates,
        )
        model = onnx.load_from_string(stored)
        found = Executor(ir.from_proto(model)).run({"x": torch.from_numpy(x)})["y"].numpy()
        results = ReferenceEvaluator(model).run(None, {"x": x})
        assert isinstance(results, list)
        session = onnxruntime.InferenceSession(stored, providers=["CPUExecutionProvider"])
        runtime = np.asarray(session.run(None, {"x": x})[0])
        np.testing.assert_allclose(found, results[0], atol=1e-5)
        np.testing.assert_allclose(found, runtime, atol=1e-5)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_resize_with_antialias_is_that_of_onnx(mode: str) -> None:
    x = np.random.default_rng(1).normal(size=(1, 2, 12, 9)).astype(np.float32)
    scales = np.array([1, 1, 0.5, 0.6], np.float32)
    model = onnx.load_from_string(
        _node("Resize", x.shape, {"roi": np.empty(0, np.float32), "scales": scales}, mode=mode, antialias=1)
    )
    found = Executor(ir.from_proto(model)).run({"x": torch.from_numpy(x)})["y"].numpy()
    results = ReferenceEvaluator(model).run(None, {"x": x})
    assert isinstance(results, list)
    np.testing.assert_allclose(found, results[0], atol=1e-5)


def test_upsample_repeats() -> None:
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    found = OPERATORS["Upsample"].compute(Attributes({}, 9), x, torch.tensor([1.0, 1.0, 2.0, 3.0]))
    assert isinstance(found, torch.Tensor)
    assert torch.equal(found, x.repeat_interleave(2, 2).repeat_interleave(3, 3))


GRADIENTS = [
    ("Conv", {"pads": [0, 1, 1, 0], "strides": [2, 1]}, [(2, 4, 5, 4), (6, 2, 3, 3), (6,)], {"group": 2}),
    ("ConvTranspose", {"pads": [0, 1, 1, 0], "strides": [2, 2]}, [(1, 4, 3, 3), (4, 2, 3, 3), (4,)], {"group": 2}),
    ("Gemm", {"transB": 1, "alpha": 0.5, "beta": 2.0}, [(3, 4), (5, 4), (5,)], {}),
    ("MatMul", {}, [(2, 3, 4), (4, 5)], {}),
    ("LayerNormalization", {"axis": -1}, [(2, 3, 6), (6,), (6,)], {}),
    ("InstanceNormalization", {}, [(2, 3, 4, 4), (3,), (3,)], {}),
    ("Softmax", {"axis": -1}, [(2, 5)], {}),
    ("Gelu", {"approximate": "tanh"}, [(7,)], {}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}, [(1, 2, 5, 5)], {}),
    ("Div", {}, [(3, 4), (4,)], {}),
    ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}, [(1, 8, 2, 3)], {}),
]


@pytest.mark.parametrize(("operator", "attributes", "shapes", "more"), GRADIENTS, ids=[line[0] for line in GRADIENTS])
def test_derivatives(
    operator: str, attributes: dict[str, object], shapes: list[tuple[int, ...]], more: dict[str, object]
) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5 for shape in shapes]
    meaning = Attributes(attributes | more)
    assert torch.autograd.gradcheck(
        lambda *inputs: OPERATORS[operator].compute(meaning, *inputs), [t.requires_grad_() for t in tensors]
    )


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_derivatives_of_resize(mode: str, coordinates: str) -> None:
    x = torch.rand(1, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    meaning = Attributes({"mode": mode, "coordinate_transformation_mode": coordinates})
    sizes = torch.tensor([1, 1, 5, 6])
    assert torch.autograd.gradcheck(lambda t: OPERATORS["Resize"].compute(meaning, t, None, None, sizes), [x])
