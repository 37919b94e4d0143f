"""Activations that a parser does not know by name become the operators that define them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.opset.activations import DEFINITIONS, Definition
from depthdeploy.graph.replacement import opset

#: The oldest operator set that the new nodes are written for.
OLDEST: Final = 18

_FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True)
class ActivationDecomposition:
    """``Mish``, ``Softplus``, ``Elu`` and their kin become arithmetic, ``Relu``, ``Exp``, ``Log`` and ``Tanh``.

    ``Mish`` is made of ``Softplus``: where both are listed nothing of either is left.

    Attributes:
        operators: which are taken apart; ``Gelu`` and ``HardSwish`` have passes of their own.
    """

    operators: tuple[str, ...] = ("Celu", "Elu", "HardSigmoid", "Mish", "Selu", "Softplus", "Swish", "ThresholdedRelu")
    name: str = "activation-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        wanted = [operator for operator in self.operators if operator in DEFINITIONS]
        for operator in sorted(wanted):  # Mish before the Softplus that comes of it
            for node in main_nodes(model, operator):
                changed |= replace_by_definition(model, node, DEFINITIONS[operator])
        return changed


def replace_by_definition(model: ir.Model, node: ir.Node, definition: Definition) -> bool:
    """Put a definition in the place of an activation; whether that can be said of its type and operator set."""
    x = node.inputs[0]
    if x is None or x.dtype not in _FLOATS or opset(model) < OLDEST:
        return False
    parts = Emission(model, node)
    parts.finish(definition(parts, x))
    return True
