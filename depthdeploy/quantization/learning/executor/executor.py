"""A graph of ONNX run in PyTorch: whole or in part, one photograph or many, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor.batching import joined
from depthdeploy.quantization.learning.executor.operators import OPERATORS, check_operators
from depthdeploy.quantization.learning.executor.operators_constant import SHAPES
from depthdeploy.quantization.learning.executor.registry import Attributes, Call, Inputs
from depthdeploy.quantization.learning.executor.schedule import Schedule, Step, schedule
from depthdeploy.quantization.learning.executor.tensors import Constants

#: Told the name and the tensor of every value that a node computes; what it gives takes the value's place.
OnValue = Callable[[str, Tensor], Tensor]

#: Told node, slot and tensor of every float constant that a node reads; what it gives is read instead.
OnConstant = Callable[[str, int, Tensor], Tensor]

#: A tensor, and whether it holds several photographs.
_Values = dict[str, tuple[Tensor, bool]]


class Executor:
    """A graph with static shapes, ready to run any part of itself.

    The graph is exported for one photograph. Given tensors may hold several of them along axis 0: then every tensor
    that depends on one holds what the graph gives for each, joined along axis 0 (of a graph's ``[16, 25, 8]`` and three
    photographs, ``[48, 25, 8]``). Nodes that cannot compute them at once compute one after the other.

    Args:
        model: the graph; a stored one is read anew.
        device: where tensors live.

    Raises:
        QuantizationError: some operators are lacking; the message lists all of them with their nodes.
        ModelError: the graph cannot be read.
    """

    def __init__(self, model: OnnxModel | ir.Model, *, device: str | torch.device = "cpu") -> None:
        stored = topology.load(model)
        check_operators(stored.graph)
        self.device = torch.device(device)
        self.inputs = tuple(topology.name_of(value) for value in stored.graph.inputs if not value.is_initializer())
        self.outputs = tuple(topology.name_of(value) for value in stored.graph.outputs)
        self._constants = Constants.of(stored.graph, self.device)
        opset = stored.opset_imports.get("", 23)
        self._steps = tuple(_step(node, opset) for node in stored.graph if node.op_type != "Constant")
        self._first = _first_axes(stored.graph)
        self._schedules: dict[tuple[frozenset[str], tuple[str, ...]], Schedule] = {}

    def constant(self, name: str) -> Tensor:
        """An initializer or constant, on the device.

        Raises:
            QuantizationError: the graph has none of this name.
        """
        return self._constants.on_device(name)

    def run(
        self,
        given: Mapping[str, Tensor],
        wanted: Sequence[str] | None = None,
        *,
        on_value: OnValue | None = None,
        on_constant: OnConstant | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        segments: int = 1,
    ) -> dict[str, Tensor]:
        """The wanted tensors from the given ones; only the nodes between them are computed.

        A tensor is forgotten when its last reader has run. Gradients flow wherever PyTorch records them: to given
        tensors, to ``parameters``, and to what the hooks bring in.

        Args:
            given: tensors by name: inputs of the graph, or any of its activations; each may hold several photographs.
            wanted: names of activations; the graph's outputs by default.
            on_value: told every activation that a node computes (not the given ones); its result takes the place.
            on_constant: told every float constant that a node reads, by node and slot, but for those read as numbers
                (limits of ``Clip``, scales of ``Resize``).
            parameters: tensors in the place of initializers, by their names; ``on_constant`` sees them.
            segments: computed again in the backward pass, in so many parts, so that only what passes from one to the
                next is kept in memory; the hooks are then called twice and must give the same.

        Returns:
            The wanted tensors by name, after ``on_value``.

        Raises:
            QuantizationError: a tensor cannot be computed from the given ones, or they hold different numbers of
                photographs.
        """
        names = tuple(wanted) if wanted is not None else self.outputs
        plan = self._schedule(frozenset(given), names)
        unknown = set(parameters or {}) - set(self._constants.names)
        if unknown:
            raise QuantizationError(f"The graph has no constants {', '.join(sorted(unknown))}.", "Check their names.")
        batch = self._batch(given)
        run = _Run(self._constants, batch, on_value, on_constant, parameters or {})
        values: _Values = {name: (tensor.to(self.device), batch > 1) for name, tensor in given.items()}
        if segments > 1 and torch.is_grad_enabled():
            run.in_segments(plan, values, segments)
        else:
            run.all(plan.steps, plan.dead, values)
        return {name: values[name][0] if name in values else self._constants.on_device(name) for name in names}

    def _schedule(self, given: frozenset[str], wanted: tuple[str, ...]) -> Schedule:
        key = (given, wanted)
        if key not in self._schedules:
            self._schedules[key] = schedule(self._steps, self._constants.names, given, wanted)
        return self._schedules[key]

    def _batch(self, given: Mapping[str, Tensor]) -> int:
        """How many photographs the given tensors hold."""
        found = {name: divmod(tensor.shape[0], self._first.get(name, 1)) if tensor.ndim else (1, 0)
                 for name, tensor in given.items()}  # fmt: skip
        counts = {count for count, _ in found.values()}
        if len(counts) > 1 or any(rest for _, rest in found.values()):
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
            raise QuantizationError(
                f"The tensors {shapes} hold different numbers of photographs.",
                "Give as many of each, joined along the first axis.",
            )
        return next(iter(counts), 1)


def _step(node: ir.Node, opset: int) -> Step:
    return Step(
        topology.label(node),
        OPERATORS[node.op_type],
        Attributes.of(node, opset),
        tuple(None if value is None or not value.name else value.name for value in node.inputs),
        tuple(value.name or "" for value in node.outputs),
        node.op_type in SHAPES,
    )


def _first_axes(graph: ir.Graph) -> dict[str, int]:
    """The size of axis 0 of every value for one photograph; a symbolic one counts as one."""
    found = {}
    for value in (*graph.inputs, *(out for node in graph for out in node.outputs)):
        if value.name and value.shape is not None and len(value.shape) and isinstance(value.shape[0], int):
            found[value.name] = max(value.shape[0], 1)
    return found


class _Run:
    """One run: its hooks, and how a step is computed."""

    def __init__(
        self,
        constants: Constants,
        batch: int,
        on_value: OnValue | None,
        on_constant: OnConstant | None,
        parameters: Mapping[str, Tensor],
    ) -> None:
        self._constants, self._batch = constants, batch
        self._on_value, self._on_constant, self._parameters = on_value, on_constant, parameters

    def all(self, steps: Sequence[Step], dead: Sequence[Sequence[str]], values: _Values) -> None:
        """Every step, into ``values``; what nobody reads any more is taken out."""
        for step, gone in zip(steps, dead, strict=True):
            self._one(step, values)
            for name in gone:
                values.pop(name, None)

    def in_segments(self, plan: Schedule, values: _Values, segments: int) -> None:
        """Every step, in parts that the backward pass computes again."""
        length = -(-len(plan.steps) // segments)
        for start in range(0, len(plan.steps), length):
            steps, dead = plan.steps[start : start + length], plan.dead[start : start + length]

            def part(entry: _Values, steps: Sequence[Step] = steps, dead: Sequence[Sequence[str]] = dead) -> _Values:
                inner = dict(entry)
                self.all(steps, dead, inner)
                return inner

            result: _Values = checkpoint(part, dict(values), use_reentrant=False)
            values.clear()
            values.update(result)

    def _one(self, step: Step, values: _Values) -> None:
        tensors, stacked = self._inputs(step, values)
        call = Call(step.attributes, tensors, stacked, self._batch)
        many = any(stacked) and not step.shapes_only
        if not any(stacked):
            results = _tuple(step.operator.compute(step.attributes, *tensors))
        elif step.shapes_only:
            results = _tuple(step.operator.compute(step.attributes, *_photograph(call, 0)))
        else:
            at_once = step.operator.stacked(step.operator.compute, call)
            results = self._each(step, call) if at_once is None else _tuple(at_once)
        for name, result in zip(step.outputs, results, strict=False):
            if name:
                seen = result if self._on_value is None else self._on_value(name, result)
                values[name] = (seen, many)

    def _inputs(self, step: Step, values: _Values) -> tuple[Inputs, tuple[bool, ...]]:
        tensors: list[Tensor | None] = []
        stacked: list[bool] = []
        for slot, name in enumerate(step.inputs):
            tensor, several = values.get(name, (None, False)) if name else (None, False)
            if name and tensor is None:
                tensor = self._constant(step, slot, name)
            if slot in step.operator.host and tensor is not None:
                tensor = tensor.detach().cpu()
            elif tensor is not None and tensor.device != self._constants.device:
                tensor = tensor.to(self._constants.device)
            tensors.append(tensor)
            stacked.append(several)
        return tensors, tuple(stacked)

    def _constant(self, step: Step, slot: int, name: str) -> Tensor:
        if slot in step.operator.host:
            return self._constants.on_host(name)
        tensor = self._parameters.get(name)
        tensor = self._constants.on_device(name) if tensor is None else tensor
        if self._on_constant is None or not tensor.is_floating_point():
            return tensor
        return self._on_constant(step.name, slot, tensor)

    def _each(self, step: Step, call: Call) -> tuple[Tensor, ...]:
        """One photograph after the other."""
        results = [
            _tuple(step.operator.compute(step.attributes, *_photograph(call, index))) for index in range(call.batch)
        ]
        if any(result.ndim == 0 for result in results[0]):
            raise QuantizationError(
                f"The node {step.name} gives one number for a photograph, which has no axis to join several along.",
                "Run one photograph at a time.",
            )
        return joined(results)


def _photograph(call: Call, index: int) -> list[Tensor | None]:
    """The inputs of one photograph."""
    return [
        tensor.narrow(0, index * (tensor.shape[0] // call.batch), tensor.shape[0] // call.batch)
        if tensor is not None and several
        else tensor
        for tensor, several in zip(call.inputs, call.stacked, strict=True)
    ]


def _tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)
