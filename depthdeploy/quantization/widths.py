"""Which tensors touch which nodes, and which of them a wider form of a node widens."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from depthdeploy.core.grid import NumberFormat
from depthdeploy.core.scheme import Escape
from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.placement import Placement, source

#: Tensor -> the tensors that share its grid, itself among them.
Groups = Mapping[ir.Value, tuple[ir.Value, ...]]


def ends_of(node: ir.Node) -> tuple[ir.Value, ...]:
    """The tensors that carry the grids of a computing node: those it reads, and the one behind its unit."""
    read = (source(value) for value in topology.activation_inputs(node))
    return tuple(dict.fromkeys((*read, topology.unit(node)[-1].outputs[0])))


def widened(placement: Placement, groups: Groups, escapes: Mapping[str, Escape]) -> Mapping[ir.Value, NumberFormat]:
    """The tensors that get another format than the scheme's.

    Args:
        placement: the places of the plan.
        groups: which tensors share a grid.
        escapes: label of a node -> its wider form; float ones change no tensor.

    Raises:
        QuantizationError: two formats of equal width meet in one tensor.
    """
    wide: dict[ir.Value, NumberFormat] = {}
    for node in (*placement.nodes, *placement.moving):
        escape = escapes.get(topology.label(node))
        if escape is None or escape.activations is None:
            continue
        for end in ends_of(node):
            for member in groups.get(end, ()):
                wide[member] = _wider(member, wide.get(member), escape.activations)
    return wide


def _wider(value: ir.Value, present: NumberFormat | None, other: NumberFormat) -> NumberFormat:
    if present is None or other.bits > present.bits:
        return other
    if other.bits == present.bits and other != present:
        raise QuantizationError(
            f"The tensor {value.name} is asked for as {present} and as {other}.",
            "Choose one wider form for both nodes.",
        )
    return present
