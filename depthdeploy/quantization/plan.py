"""The plan: every decision of the quantizer as printable values. Nothing here edits a graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from depthdeploy.core.grid import Granularity, Grid
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import ActivationGrid, BiasGrid, KeptFloat, QuantPlan, Statistics, WeightGrid
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.grids import parameters
from depthdeploy.quantization.placement import Placement, place, source
from depthdeploy.quantization.widths import ends_of, widened

Range = tuple[float, float]

#: How the reasons of nodes and tensors begin that a search took out of the scheme.
MIXED_PRECISION = "mixed precision"


def make_plan(
    model: OnnxModel | ir.Model,
    statistics: Statistics,
    scheme: Scheme,
    escapes: Mapping[str, Escape] | None = None,
) -> QuantPlan:
    """Decide every grid of a legal graph under a target's number formats.

    Args:
        model: the legal graph that was calibrated.
        statistics: the ranges of its activations.
        scheme: the target's number formats and operators.
        escapes: label of a node -> the wider form that it gets. A float one keeps the node out of the scheme; another
            gives its format to the tensors that the node reads and writes, and to all that share a grid with them.
            Where two meet in a tensor the wider format wins. A node that no scheme puts on integers stays as it is.

    Raises:
        QuantizationError: the activation format is not one that Q/DQ nodes express, a tensor that needs a grid was not
            observed, a weight is not finite, the graph has Q/DQ nodes already, nothing in it can be quantized, an
            escape names a node that the graph has not, or two formats of equal width meet in one tensor.
        ModelError: the graph cannot be read.
    """
    escapes = escapes or {}
    _check_format(scheme)
    graph = topology.load(model).graph
    _check_float(graph)
    _check_escapes(graph, escapes)
    floating = {node: f"{MIXED_PRECISION}: {one.name}" for node, one in escapes.items() if one.activations is None}
    placement = place(graph, scheme, floating)
    if not placement.nodes and not floating:
        raise QuantizationError(
            f"Scheme {scheme.name} has no integer form for any node of this graph.",
            f"Its operators are {', '.join(sorted(scheme.operators))}; compile at a float precision instead.",
        )
    activations = _activation_grids(placement, statistics, scheme, escapes)
    weights, biases, floats = _parameter_grids(placement, activations, scheme)
    return QuantPlan(scheme.name, tuple(activations.values()), weights, biases, (*placement.floats, *floats))


def touching(model: OnnxModel | ir.Model, statistics: Statistics, scheme: Scheme) -> Mapping[str, frozenset[str]]:
    """Tensor -> the computing nodes that keep it on a grid: those that read or write it or one that shares its grid.

    With all of them in float the tensor is float too; with one of them in a wider form it is wider too.

    Raises:
        QuantizationError: a tensor that needs a grid was not observed.
    """
    placement = place(topology.load(model).graph, scheme)
    groups = _groups(placement, _ranges(placement.tensors, statistics))
    found: dict[ir.Value, set[str]] = {value: set() for value in placement.tensors}
    for node in placement.nodes:
        for end in ends_of(node):
            for member in groups.get(end, ()):
                found[member].add(topology.label(node))
    return {topology.name_of(value): frozenset(nodes) for value, nodes in found.items()}


def _check_format(scheme: Scheme) -> None:
    chosen = scheme.activations
    if chosen.granularity is not Granularity.TENSOR or chosen.bits != chosen.container:
        raise QuantizationError(
            f"Scheme {scheme.name} asks for activations {chosen} in {chosen.container} bits.",
            "Activations have one scale per tensor and use their whole container.",
        )


def _check_escapes(graph: ir.Graph, escapes: Mapping[str, Escape]) -> None:
    unknown = sorted(set(escapes) - {topology.label(node) for node in graph})
    if unknown:
        raise QuantizationError(
            f"{len(unknown)} nodes with a wider form are not in the graph: {', '.join(unknown[:5])}.",
            "Name nodes of the graph that is quantized.",
        )


def _check_float(graph: ir.Graph) -> None:
    done = [topology.label(node) for node in graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    if done:
        raise QuantizationError(
            f"The graph is quantized already: it has {len(done)} Q/DQ nodes, the first is {done[0]}.",
            "Start from the float network.",
        )


def _activation_grids(
    placement: Placement, statistics: Statistics, scheme: Scheme, escapes: Mapping[str, Escape]
) -> Mapping[str, ActivationGrid]:
    ranges = _ranges(placement.tensors, statistics)
    lines: dict[str, ActivationGrid] = {}
    groups = _groups(placement, ranges)
    wide = widened(placement, groups, escapes)
    for value in placement.tensors:
        name = topology.name_of(value)
        members = groups[value]
        form = wide.get(value, scheme.activations)
        grid = Grid.covering(*_hull(ranges[member] for member in members), form)
        whys = [f"({MIXED_PRECISION})"] if form != scheme.activations else []
        if len(members) > 1:
            whys.append(f"(shared by {len(members)} tensors that hold the same values)")
        if name in statistics.constant:
            whys.append("(constant on every photograph)")
        lines[name] = ActivationGrid(name, grid, " ".join(whys))
    return lines


def _ranges(tensors: Iterable[ir.Value], statistics: Statistics) -> Mapping[ir.Value, Range]:
    """The range of every tensor: observed, or that of the tensors whose values it holds."""
    known: dict[ir.Value, Range] = {}
    missing: list[str] = []
    for value in tensors:
        found = _observed(value, statistics)
        if found is None:
            missing.append(topology.name_of(value))
        else:
            known[value] = found
    if missing:
        raise QuantizationError(
            f"{len(missing)} tensors were not observed: {', '.join(missing[:5])}.",
            "Calibrate the same graph that is quantized.",
        )
    return known


def _observed(value: ir.Value, statistics: Statistics) -> Range | None:
    observed = statistics.ranges.get(topology.name_of(value))
    if observed is not None:
        return observed.low, observed.high
    producer = value.producer()
    if producer is None or not (topology.preserves(producer)):
        return None
    origins = [_observed(origin, statistics) for origin in topology.activation_inputs(producer)]
    found = [origin for origin in origins if origin is not None]
    return _hull(found) if found and len(found) == len(origins) else None


def _hull(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def _groups(placement: Placement, ranges: Mapping[ir.Value, Range]) -> Mapping[ir.Value, tuple[ir.Value, ...]]:
    """Tensor -> the tensors it shares one grid with, itself among them: what moving nodes join.

    Moves with one input first, so that a ``Concat`` sees whole groups. It leaves out an input whose activation function
    ends a unit inside the common range: with a coarser grid the function could not be absorbed any more.
    """
    groups: dict[ir.Value, tuple[ir.Value, ...]] = {value: (value,) for value in placement.tensors}

    def join(values: Iterable[ir.Value]) -> None:
        together = tuple(dict.fromkeys(member for value in values for member in groups[value]))
        for member in together:
            groups[member] = together

    for node in sorted(placement.moving, key=lambda node: node.op_type == "Concat"):
        origins = [source(value) for value in topology.activation_inputs(node)]
        low, high = _hull(ranges[member] for origin in origins for member in groups[origin])
        fitting = [origin for origin in origins if len(origins) == 1 or _fits(groups[origin], low, high)]
        join([*fitting, *(value for value in node.outputs if value in groups)])
    return groups


def _fits(members: Iterable[ir.Value], low: float, high: float) -> bool:
    for member in members:
        producer = member.producer()
        least, most = (-math.inf, math.inf) if producer is None else topology.bounds(producer)
        if low < least or high > most:
            return False
    return True


def _parameter_grids(
    placement: Placement, activations: Mapping[str, ActivationGrid], scheme: Scheme
) -> tuple[tuple[WeightGrid, ...], tuple[BiasGrid, ...], tuple[KeptFloat, ...]]:
    weights: list[WeightGrid] = []
    biases: list[BiasGrid] = []
    floats: list[KeptFloat] = []
    for node in placement.nodes:
        first = node.inputs[0]
        if node.op_type not in topology.WEIGHTED or first is None:
            continue
        scale = activations[topology.name_of(source(first))].grid.scale[0]
        found = parameters(node, scheme.weights, scale)
        if found is None:
            continue
        weights.append(found.weight)
        if found.bias is not None:
            biases.append(found.bias)
        if found.float_bias:
            floats.append(KeptFloat(topology.label(node), topology.operator(node), found.float_bias))
    return tuple(weights), tuple(biases), tuple(floats)
