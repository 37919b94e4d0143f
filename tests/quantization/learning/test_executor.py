"""Whole graphs and parts of them: batches, hooks, memory, refusals."""

import onnx
import onnx_ir as ir
import pytest

pytest.importorskip("torch", reason="learning needs PyTorch")

import torch

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.testing.graphs import all_graphs, build, residual_block
from depthdeploy.testing.laws import outputs

#: Attention guards and shape arithmetic as exporters write them, before canonicalize.
GRAPHS = all_graphs()


def executor(proto: onnx.ModelProto) -> Executor:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))
    return Executor(model)


def images(count: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def residual() -> Executor:
    return executor(residual_block())


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_three_photographs_at_once_are_those_of_onnx_runtime(name: str) -> None:
    proto = GRAPHS[name]
    shape = [dimension.dim_value for dimension in proto.graph.input[0].type.tensor_type.shape.dim]
    given = images(3, *shape[2:])
    found = executor(proto).run({"image": given})["depth"]
    expected = torch.cat([torch.from_numpy(outputs(proto, image[None].numpy())[0]) for image in given])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_part_runs_from_given_tensors(residual: Executor) -> None:
    whole = residual.run({"image": images(2)}, ["stem", "sum", "act2", "depth"])
    seen: list[str] = []

    def note(name: str, tensor: torch.Tensor) -> torch.Tensor:
        seen.append(name)
        return tensor

    part = residual.run({"stem": whole["stem"], "act2": whole["act2"]}, ["sum"], on_value=note)
    assert seen == ["conv2", "sum"]
    assert torch.equal(part["sum"], whole["sum"])


def test_a_given_tensor_that_is_wanted_is_given_back(residual: Executor) -> None:
    image = images(1)
    assert torch.equal(residual.run({"image": image}, ["image"])["image"], image)


def test_what_a_hook_gives_takes_the_values_place(residual: Executor) -> None:
    def halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return tensor / 2 if name == "sum" else tensor

    plain = residual.run({"image": images(1)}, ["sum"])["sum"]
    found = residual.run({"image": images(1)}, ["sum", "depth"], on_value=halved)
    assert torch.equal(found["sum"], plain / 2)
    assert torch.equal(found["depth"], residual.run({"sum": plain / 2})["depth"])


def test_constants_are_told_by_node_and_slot_and_can_be_replaced(residual: Executor) -> None:
    told: list[tuple[str, int]] = []

    def note(node: str, slot: int, tensor: torch.Tensor) -> torch.Tensor:
        told.append((node, slot))
        return torch.zeros_like(tensor) if (node, slot) == ("conv2", 1) else tensor

    found = residual.run({"image": images(1)}, ["sum", "stem"], on_constant=note)
    assert told == [(node, slot) for node in ("stem", "conv1", "conv2") for slot in (1, 2)]
    bias = residual.constant("b2").reshape(1, -1, 1, 1)
    torch.testing.assert_close(found["sum"], found["stem"] + bias)


def test_gradients_reach_parameters_inputs_and_hooks_and_nothing_else(residual: Executor) -> None:
    weight = residual.constant("w1").clone().requires_grad_()
    image = images(2).requires_grad_()
    scale = torch.ones(8, 1, 1, 1, requires_grad=True)

    def scaled(node: str, slot: int, tensor: torch.Tensor) -> torch.Tensor:
        return tensor * scale if (node, slot) == ("conv2", 1) else tensor

    depth = residual.run({"image": image}, parameters={"w1": weight}, on_constant=scaled)["depth"]
    torch.autograd.backward(depth.sum())
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (weight, image, scale))
    assert not residual.constant("w1").requires_grad
    assert residual.constant("w_stem").grad is None


@pytest.mark.parametrize("segments", [2, 3, 50])
def test_segments_change_no_gradient(residual: Executor, segments: int) -> None:
    gradients = []
    for parts in (1, segments):
        weight = residual.constant("w1").clone().requires_grad_()
        depth = residual.run({"image": images(2)}, parameters={"w1": weight}, segments=parts)["depth"]
        torch.autograd.backward(depth.sum())
        gradients.append(weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_same_run_gives_the_same_bits(residual: Executor) -> None:
    first, second = (residual.run({"image": images(4)})["depth"] for _ in range(2))
    assert torch.equal(first, second)


def test_tensors_are_forgotten_after_their_last_reader() -> None:
    import weakref

    chain = executor(
        build("chain (float[1,3,8,8] image) => (float[1,3,8,8] depth) {"
              " a = Abs (image) b = Exp (a) c = Abs (b) d = Exp (c) depth = Abs (d) }")
    )  # fmt: skip
    alive: dict[str, weakref.ref[torch.Tensor]] = {}
    counts: list[int] = []

    def watch(name: str, tensor: torch.Tensor) -> torch.Tensor:
        counts.append(sum(reference() is not None for reference in alive.values()))
        alive[name] = weakref.ref(tensor)
        return tensor

    with torch.no_grad():
        chain.run({"image": images(1, 8, 8)}, on_value=watch)
    assert max(counts) == 1


def test_every_lacking_operator_is_named_with_its_nodes() -> None:
    strange = build(
        "strange (float[1,3,8,8] image) => (float[1,3,8,8] depth)"
        " { a = Asin (image) b = Atan (a) c = Asin (b) depth = Relu (c) }"
    )
    with pytest.raises(QuantizationError, match=r"Asin \(a, c\); Atan \(b\).*without learning"):
        executor(strange)


def test_a_tensor_that_nothing_makes_is_named(residual: Executor) -> None:
    with pytest.raises(QuantizationError, match="image are neither given"):
        residual.run({"act2": images(1)}, ["sum"])
    with pytest.raises(QuantizationError, match="nowhere"):
        residual.run({"image": images(1)}, ["nowhere"])


def test_tensors_of_different_numbers_of_photographs_are_refused(residual: Executor) -> None:
    whole = residual.run({"image": images(2)}, ["stem", "act2"])
    with pytest.raises(QuantizationError, match="different numbers"):
        residual.run({"stem": whole["stem"], "act2": whole["act2"][:1]}, ["sum"])


def test_a_parameter_that_the_graph_has_not_is_refused(residual: Executor) -> None:
    with pytest.raises(QuantizationError, match="no constants w9"):
        residual.run({"image": images(1)}, parameters={"w9": torch.zeros(1)})
    with pytest.raises(QuantizationError, match="no constant w9"):
        residual.constant("w9")


def test_an_image_of_the_wrong_shape_names_the_node(residual: Executor) -> None:
    with pytest.raises(QuantizationError, match=r"node stem from inputs of shapes \(1, 4, 32, 32\)"):
        residual.run({"image": torch.zeros(1, 4, 32, 32)})
