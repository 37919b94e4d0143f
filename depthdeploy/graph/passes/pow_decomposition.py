"""Powers by small constants are products, roots and reciprocals: accelerators have no ``Pow``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from depthdeploy.graph.edit import main_nodes, scalar, static_shape
from depthdeploy.graph.emission import Emission

_FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True)
class PowDecomposition:
    """``Pow`` by 1, 2, 3, 4, 1/2, -1/2, -1 or -2 becomes ``Mul``, ``Sqrt`` and ``Reciprocal``."""

    name: str = "pow-decomposition"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        changed = False
        for node in main_nodes(model, "Pow"):
            x, exponent = node.inputs[0], scalar(node.inputs[1])
            power = None if exponent is None else _POWERS.get(exponent)
            shape = static_shape(x)
            if power is None or x is None or x.dtype not in _FLOATS or shape != static_shape(node.outputs[0]):
                continue
            if shape is not None:
                parts = Emission(model, node)
                parts.finish(power(parts, x))
                changed = True
        return changed


def _same(parts: Emission, x: ir.Value) -> ir.Value:
    return x


def _square(parts: Emission, x: ir.Value) -> ir.Value:
    return parts.emit("Mul", x, x, what="square")


def _cube(parts: Emission, x: ir.Value) -> ir.Value:
    return parts.emit("Mul", _square(parts, x), x, what="cube")


def _fourth(parts: Emission, x: ir.Value) -> ir.Value:
    square = _square(parts, x)
    return parts.emit("Mul", square, square, what="fourth")


def _root(parts: Emission, x: ir.Value) -> ir.Value:
    return parts.emit("Sqrt", x, what="root")


def _inverse(parts: Emission, x: ir.Value) -> ir.Value:
    return parts.emit("Reciprocal", x, what="inverse")


def _inverse_root(parts: Emission, x: ir.Value) -> ir.Value:
    return _inverse(parts, _root(parts, x))


def _inverse_square(parts: Emission, x: ir.Value) -> ir.Value:
    return _inverse(parts, _square(parts, x))


_POWERS: Final[Mapping[float, Callable[[Emission, ir.Value], ir.Value]]] = {
    1.0: _same,
    2.0: _square,
    3.0: _cube,
    4.0: _fourth,
    0.5: _root,
    -0.5: _inverse_root,
    -1.0: _inverse,
    -2.0: _inverse_square,
}
