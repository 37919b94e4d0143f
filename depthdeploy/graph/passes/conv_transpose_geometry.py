"""Where a transposed convolution puts its result: padding by number. Source: ONNX's ``ConvTranspose``, opset 11."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.graph.edit import static_shape


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sides of a transposed convolution, one number an axis.

    Attributes:
        kernel: elements of the window.
        strides: by how much the map grows.
        dilations: distance of the window's elements.
        begins: rows cut away before the result; negative ones are added.
        ends: rows cut away behind it, after ``output_padding`` was added.
        padding: rows of zeros and bias that are added behind (``output_padding``).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    padding: tuple[int, ...]

    def full(self, size: int, axis: int) -> int:
        """The whole result before anything is cut: ``(size - 1) stride + (kernel - 1) dilation + 1``."""
        return (size - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis] + 1

    @property
    def pads(self) -> list[int]:
        """As the attribute has them."""
        return [*self.begins, *self.ends]


def geometry(node: ir.Node) -> Geometry | None:
    """The geometry of a ``ConvTranspose``; ``None`` where shapes that it hangs on are not static."""
    weight = static_shape(node.inputs[1])
    if weight is None:
        return None
    kernel, rank = weight[2:], len(weight) - 2
    strides, dilations = _numbers(node, "strides", [1] * rank), _numbers(node, "dilations", [1] * rank)
    padding, pads = _numbers(node, "output_padding", [0] * rank), _numbers(node, "pads", [0] * (2 * rank))
    rule = node.attributes.get_string("auto_pad", "NOTSET") or "NOTSET"
    target = node.attributes.get_ints("output_shape")
    bare = Geometry(kernel, strides, dilations, pads[:rank], pads[rank:], padding)
    if rule == "VALID":
        return Geometry(kernel, strides, dilations, (0,) * rank, (0,) * rank, padding)
    if rule == "NOTSET" and target is None:
        return bare
    shape = static_shape(node.inputs[0])
    if shape is None:
        return None
    wanted = [n * s for n, s in zip(shape[2:], strides, strict=True)] if target is None else list(target)[-rank:]
    return _fitted(bare, shape[2:], wanted, upper=rule == "SAME_UPPER")


def _fitted(bare: Geometry, sizes: Sequence[int], wanted: Sequence[int], *, upper: bool) -> Geometry:
    """Pads that lead to given sizes; the odd row is cut at the end for SAME_UPPER and at the beginning otherwise."""
    begins, ends, padding = [], [], []
    for axis, (size, target) in enumerate(zip(sizes, wanted, strict=True)):
        total = bare.full(size, axis) + bare.padding[axis] - target
        extra, total = max(-total, 0), max(total, 0)  # what is too small grows at the end
        smaller, larger = total // 2, total - total // 2
        begins.append(smaller if upper else larger)
        ends.append(larger if upper else smaller)
        padding.append(bare.padding[axis] + extra)
    return Geometry(bare.kernel, bare.strides, bare.dilations, tuple(begins), tuple(ends), tuple(padding))


def _numbers(node: ir.Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    found = node.attributes.get_ints(name)
    return tuple(default if found is None else found)


def make_pads_explicit(node: ir.Node) -> bool:
    """Write ``auto_pad`` and ``output_shape`` as ``pads`` and ``output_padding``; whether that is said now."""
    if node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET" and "output_shape" not in node.attributes:
        return True
    found = geometry(node)
    if found is None:
        return False
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    node.attributes.add(ir.AttrInt64s("pads", found.pads))
    node.attributes.add(ir.AttrInt64s("output_padding", found.padding))
    return True
