"""A graph of ONNX run in PyTorch: whole or in part, one photograph or many, with gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir
import torch
from torch import Tensor

from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor.operators import OPERATORS, check_operators
from depthdeploy.quantization.learning.executor.operators_constant import SHAPES
from depthdeploy.quantization.learning.executor.registry import Attributes
from depthdeploy.quantization.learning.executor.run import OnConstant, OnValue, Run, Values
from depthdeploy.quantization.learning.executor.schedule import Schedule, Step, schedule
from depthdeploy.quantization.learning.executor.tensors import Constants

#: What other modules import from here.
__all__ = ["Executor", "OnConstant", "OnValue"]


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
        self._numbers = _read_as_numbers(self._steps)
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
        run = Run(self._constants, batch, on_value, on_constant, parameters or {})
        values: Values = {
            name: (self._placed(tensor), batch > 1 and name not in self._numbers) for name, tensor in given.items()
        }
        if segments > 1 and torch.is_grad_enabled():
            run.in_segments(plan, values, segments)
        else:
            run.all(plan.steps, plan.dead, values)
        return {name: values[name][0] if name in values else self._constants.on_device(name) for name in names}

    def _placed(self, tensor: Tensor) -> Tensor:
        """On the device; images channels last on a CPU, where convolutions are several times faster that way."""
        if self.device.type == "cpu" and tensor.ndim == 4:
            return tensor.to(self.device, memory_format=torch.channels_last)
        return tensor.to(self.device)

    def _schedule(self, given: frozenset[str], wanted: tuple[str, ...]) -> Schedule:
        key = (given, wanted)
        if key not in self._schedules:
            self._schedules[key] = schedule(self._steps, self._constants.names, given, wanted)
        return self._schedules[key]

    def _batch(self, given: Mapping[str, Tensor]) -> int:
        """How many photographs the given tensors hold."""
        found = {
            name: divmod(tensor.shape[0], self._first.get(name, 1))
            for name, tensor in given.items()
            if tensor.ndim and tensor.numel() and name not in self._numbers
        }
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


def _read_as_numbers(steps: Sequence[Step]) -> frozenset[str]:
    """Values that are shapes, axes or limits: the same for all photographs."""
    return frozenset(
        name for step in steps for slot, name in enumerate(step.inputs) if name and slot in step.operator.host
    )


def _first_axes(graph: ir.Graph) -> dict[str, int]:
    """The size of axis 0 of every value for one photograph; a symbolic one counts as one."""
    found = {}
    for value in (*graph.inputs, *(out for node in graph for out in node.outputs)):
        if value.name and value.shape is not None and len(value.shape) and isinstance(value.shape[0], int):
            found[value.name] = max(value.shape[0], 1)
    return found
