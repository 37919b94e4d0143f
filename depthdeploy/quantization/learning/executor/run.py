"""One run of a schedule: hooks, constants, several photographs at once or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization.learning.executor.batching import joined
from depthdeploy.quantization.learning.executor.registry import Call, Inputs
from depthdeploy.quantization.learning.executor.schedule import Schedule, Step
from depthdeploy.quantization.learning.executor.tensors import Constants

#: Told the name and the tensor of every value that a node computes; what it gives takes the value's place.
OnValue = Callable[[str, Tensor], Tensor]

#: Told node, slot and tensor of every float constant that a node reads; what it gives is read instead.
OnConstant = Callable[[str, int, Tensor], Tensor]

#: A tensor, and whether it holds several photographs.
Values = dict[str, tuple[Tensor, bool]]


class Run:
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

    def all(self, steps: Sequence[Step], dead: Sequence[Sequence[str]], values: Values) -> None:
        """Every step, into ``values``; what nobody reads any more is taken out."""
        for step, gone in zip(steps, dead, strict=True):
            self._one(step, values)
            for name in gone:
                values.pop(name, None)

    def in_segments(self, plan: Schedule, values: Values, segments: int) -> None:
        """Every step, in parts that the backward pass computes again."""
        length = -(-len(plan.steps) // segments)
        for start in range(0, len(plan.steps), length):
            steps, dead = plan.steps[start : start + length], plan.dead[start : start + length]

            def part(entry: Values, steps: Sequence[Step] = steps, dead: Sequence[Sequence[str]] = dead) -> Values:
                inner = dict(entry)
                self.all(steps, dead, inner)
                return inner

            result: Values = checkpoint(part, dict(values), use_reentrant=False)
            values.clear()
            values.update(result)

    def _one(self, step: Step, values: Values) -> None:
        tensors, stacked = self._inputs(step, values)
        call = Call(step.attributes, tensors, stacked, self._batch)
        many = any(stacked) and not step.shapes_only
        try:
            results = self._computed(step, call)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as cause:
            shapes = ", ".join("-" if tensor is None else str(tuple(tensor.shape)) for tensor in tensors)
            raise QuantizationError(
                f"PyTorch cannot compute the node {step.name} from inputs of shapes {shapes}: {cause}.",
                "Look at what the graph is given; recipes without learning do not need PyTorch.",
            ) from cause
        for name, result in zip(step.outputs, results, strict=False):
            if name:
                seen = result if self._on_value is None else self._on_value(name, result)
                values[name] = (seen, many)

    def _computed(self, step: Step, call: Call) -> tuple[Tensor, ...]:
        if not any(call.stacked):
            return _tuple(step.operator.compute(step.attributes, *call.inputs))
        if step.shapes_only:
            return _tuple(step.operator.compute(step.attributes, *_photograph(call, 0)))
        at_once = step.operator.stacked(step.operator.compute, call)
        return self._each(step, call) if at_once is None else _tuple(at_once)

    def _inputs(self, step: Step, values: Values) -> tuple[Inputs, tuple[bool, ...]]:
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
