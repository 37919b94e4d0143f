"""Where the windows of convolutions and pools lie: strides, dilations and pads of every spatial axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from depthdeploy.quantization.learning.executor.registry import Attributes


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one node, a number for each spatial axis.

    Attributes:
        kernel: elements of a window.
        strides: steps between windows.
        dilations: steps between the elements of a window.
        begin: pads before the first element.
        end: pads after the last one.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """What a window spans with its dilation."""
        return tuple(step * (size - 1) + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    def counts(self, sizes: Sequence[int], *, ceil: bool) -> tuple[int, ...]:
        """How many windows there are. With ``ceil`` one may reach beyond the end, but must start before it."""
        found = []
        for size, begin, end, extent, stride in zip(
            sizes, self.begin, self.end, self.extent, self.strides, strict=True
        ):
            room = size + begin + end - extent
            count = (-(-room // stride) if ceil else room // stride) + 1
            found.append(count - 1 if ceil and (count - 1) * stride >= size + begin else count)
        return tuple(found)


def windows(attributes: Attributes, kernel: Sequence[int], sizes: Sequence[int]) -> Windows:
    """The windows that a node's attributes mean on an image of these sizes; ``auto_pad`` is worked out."""
    rank = len(kernel)
    strides = attributes.integers("strides", [1] * rank)
    dilations = attributes.integers("dilations", [1] * rank)
    pads = attributes.integers("pads", [0] * (2 * rank))
    automatic = attributes.text("auto_pad", "NOTSET")
    begin, end = pads[:rank], pads[rank:]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = _same(automatic, kernel, strides, dilations, sizes)
    elif automatic == "VALID":
        begin, end = [0] * rank, [0] * rank
    return Windows(tuple(kernel), tuple(strides), tuple(dilations), tuple(begin), tuple(end))


def _same(
    automatic: str, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], sizes: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Pads that give as many windows as the size divided by the stride, rounded up."""
    begin, end = [], []
    for size, elements, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + dilation * (elements - 1) + 1 - size)
        small, large = total // 2, total - total // 2
        begin.append(small if automatic == "SAME_UPPER" else large)
        end.append(large if automatic == "SAME_UPPER" else small)
    return begin, end


def flat_pads(begin: Sequence[int], end: Sequence[int]) -> list[int]:
    """Pads in PyTorch's order: the last axis first, before and after."""
    return [pad for pair in zip(reversed(begin), reversed(end), strict=True) for pad in pair]
