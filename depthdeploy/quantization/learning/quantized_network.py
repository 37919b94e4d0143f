"""A draft as a network that learns: weights, biases and the scales of all grids, every tensor rounded as the plan says.

What is learned of a constant is its displacement, in a unit of its own: ``weight = start + unit * displacement``,
``scale = start * exp(displacement)``. All displacements start at 0, which is the draft exactly, and one learning rate
means the same in every layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor

from depthdeploy.core.grid import Grid
from depthdeploy.core.quant import QuantPlan
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import input_tensor, with_constants, with_grids
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.fake_quant import Ends, ends_of, fake_quantize, scale_of
from depthdeploy.quantization.learning.groups import already_on_grid, shared_grids
from depthdeploy.quantization.workbench import Draft


@dataclass(frozen=True, slots=True, eq=False)
class Rounding:
    """A grid whose scale is learned.

    Attributes:
        start: the scale at the start, shaped to be broadcast.
        ends: the smallest and the largest integer, each minus the zero point.
        key: under which the scale's displacement is learned; empty for a grid that stays.
    """

    start: Tensor
    ends: Ends
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A constant that is learned.

    Attributes:
        start: its values at the start.
        unit: what a displacement of 1 is, broadcast against the values.
        key: under which the displacement is learned.
    """

    start: Tensor
    unit: Tensor
    key: str


class QuantizedNetwork:
    """The network that a draft becomes, in PyTorch.

    Constants that several nodes read stay as they are, and so do grids that several weights would have to agree on.

    Args:
        draft: what to learn from.
        device: where to compute.

    Attributes:
        displacements: what is learned, by key: ``weight:NODE``, ``bias:TENSOR``, ``scale:TENSOR`` and ``step:NODE`` of
            activations and of weights; float32.
    """

    def __init__(self, draft: Draft, device: str = "cpu") -> None:
        stored = topology.load(draft.model)
        self._executor = Executor(stored, device=device)
        self._draft, self._device = draft, torch.device(device)
        self.displacements: dict[str, Tensor] = {}
        roots = shared_grids(stored.graph, draft.plan)
        self._activations = self._activation_roundings(draft.plan, roots)
        self._exact = already_on_grid(stored.graph, roots)
        self._weights: dict[str, tuple[Rounding, Learned | None]] = {}
        self._biases: dict[tuple[str, int], Learned] = {}
        self._tensors: dict[str, str] = {}
        self._read_constants(stored.graph)
        biased = {line.node for line in draft.plan.biases}
        self._integer_biases = {
            topology.label(node): input_tensor(node) for node in stored.graph if topology.label(node) in biased
        }

    @property
    def input(self) -> str:
        """The name of the graph's input."""
        return self._executor.inputs[0]

    @property
    def output(self) -> str:
        """The name of the graph's first output."""
        return self._executor.outputs[0]

    def run(self, photographs: Tensor, wanted: Sequence[str] = (), *, segments: int = 1) -> dict[str, Tensor]:
        """The output and other wanted tensors, as the Q/DQ graph computes them, with gradients to what is learned.

        Args:
            photographs: ``[N, 3, H, W]`` float32.
            wanted: names of activations.
            segments: see ``Executor.run``.
        """
        scales = {key: value.exp() for key, value in self.displacements.items() if key.startswith("scale:")}

        def rounded(name: str, tensor: Tensor) -> Tensor:
            rounding = self._activations.get(name)
            if rounding is None or name in self._exact:
                return tensor
            return fake_quantize(tensor, rounding.start * scales[rounding.key], rounding.ends)

        given = rounded(self.input, photographs.to(self._device))
        names = list(dict.fromkeys([self.output, *wanted]))
        return self._executor.run(
            {self.input: given}, names, on_value=rounded, on_constant=self._constant, segments=segments
        )

    def _constant(self, node: str, slot: int, tensor: Tensor) -> Tensor:
        if slot == 1 and node in self._weights:
            rounding, learned = self._weights[node]
            value = tensor if learned is None else self._value(learned)
            return fake_quantize(value, self._scale(rounding), rounding.ends)
        bias = self._biases.get((node, slot))
        value = tensor if bias is None else self._value(bias)
        return value if slot != 2 or node not in self._integer_biases else self._rounded_bias(node, value)

    def _rounded_bias(self, node: str, bias: Tensor) -> Tensor:
        """At steps of input scale x weight scale, as int32 has it; the gradient is the bias's own."""
        with torch.no_grad():
            entry = self._activations[self._integer_biases[node]]
            step = self._scale(entry) * self._scale(self._weights[node][0]).reshape(-1)
            error = torch.round(bias / step) * step - bias
        return bias + error

    def _value(self, learned: Learned) -> Tensor:
        return learned.start + learned.unit * self.displacements[learned.key]

    def _scale(self, rounding: Rounding) -> Tensor:
        return rounding.start * self.displacements[rounding.key].exp() if rounding.key else rounding.start

    def _new(self, key: str, like: Tensor) -> str:
        self.displacements[key] = torch.zeros_like(like).requires_grad_()
        return key

    def _activation_roundings(self, plan: QuantPlan, roots: Mapping[str, str]) -> dict[str, Rounding]:
        found = {}
        for line in plan.activations:
            key = f"scale:{roots[line.tensor]}"
            start = scale_of(line.grid, 0, self._device)
            if key not in self.displacements:
                self._new(key, start)
            found[line.tensor] = Rounding(start, ends_of(line.grid, 0), key)
        return found

    def _read_constants(self, graph: ir.Graph) -> None:
        nodes = {topology.label(node): node for node in graph}
        grids = {line.tensor: line.grid for line in self._draft.plan.activations}
        for line in self._draft.plan.weights:
            node = nodes[line.node]
            value = self._executor.constant(line.tensor)
            start = scale_of(line.grid, value.ndim, self._device)
            ends = ends_of(line.grid, value.ndim, self._device)
            if not _alone(graph, node.inputs[1]):
                self._weights[line.node] = Rounding(start, ends, ""), None
                continue
            largest = start * torch.maximum(*(torch.as_tensor(end, device=self._device).abs() for end in ends))
            weight = Learned(value, largest, self._new(f"weight:{line.node}", value))
            self._weights[line.node] = Rounding(start, ends, self._new(f"step:{line.node}", start)), weight
            self._tensors[line.node] = line.tensor
            self._read_bias(graph, node, grids)

    def _read_bias(self, graph: ir.Graph, node: ir.Node, grids: Mapping[str, Grid]) -> None:
        unit = topology.unit(node)
        holder = unit[1] if node.op_type == "MatMul" and len(unit) > 1 and unit[1].op_type == "Add" else node
        slots = [slot for slot, value in enumerate(holder.inputs) if topology.constant(value) is not None]
        slots = [slot for slot in slots if holder is not node or slot == 2]
        if not slots or not _alone(graph, holder.inputs[slots[0]]):
            return
        name = topology.name_of(holder.inputs[slots[0]])  # type: ignore[arg-type]
        value = self._executor.constant(name)
        grid = grids.get(unit[-1].outputs[0].name or "")
        span = float(value.abs().max()) if grid is None else grid.scale[0] * (grid.format.qmax - grid.format.qmin)
        size = torch.tensor(span or 1.0, dtype=torch.float32, device=self._device)
        self._biases[topology.label(holder), slots[0]] = Learned(value, size, self._new(f"bias:{name}", value))

    def assign(self, displacements: Mapping[str, Tensor]) -> None:
        """Take over what was learned elsewhere."""
        with torch.no_grad():
            for key, tensor in self.displacements.items():
                tensor.copy_(displacements[key])

    def draft(self, out: Path) -> Draft:
        """The draft as it has been learned: weights on their grids, biases, and the plan's grids.

        Args:
            out: the file to write the graph to.
        """
        with torch.no_grad():
            activations = {
                line.tensor: replace(line.grid, scale=_floats(self._scale(self._activations[line.tensor])))
                for line in self._draft.plan.activations
            }
            weights = {
                line.node: replace(line.grid, scale=_floats(self._scale(self._weights[line.node][0])))
                for line in self._draft.plan.weights
            }
            biases = {
                learned.key.removeprefix("bias:"): self._value(learned).cpu().numpy()
                for learned in self._biases.values()
            }
            values = {
                self._tensors[node]: self._value(learned).cpu().numpy()
                for node, (_, learned) in self._weights.items()
                if learned is not None
            }
        biased = with_constants(self._draft.model, biases, out)
        plan = with_grids(biased, self._draft.plan, weights=weights, activations=activations)
        for line in plan.weights:
            if line.tensor in values:
                values[line.tensor] = line.grid.dequantize(line.grid.quantize(values[line.tensor]))
        return replace(self._draft, model=with_constants(biased, values, out), plan=plan)


def _alone(graph: ir.Graph, value: ir.Value | None) -> bool:
    """Whether a value is an initializer that one node reads, once."""
    return value is not None and value.name in graph.initializers and len(tuple(value.uses())) == 1


def _floats(scale: Tensor) -> tuple[float, ...]:
    found: list[float] = scale.reshape(-1).tolist()
    return tuple(found)
