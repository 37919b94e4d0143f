"""A network's normalisation in the units of a camera's pixels: what SDKs take as their own preprocessing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from depthdeploy.core.depth import ColorOrder, InputContract, Layout

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """``normalised = (pixel - mean) / std`` for pixels in 0..255.

    Hailo's ``normalization(mean, std)``, Horizon's ``mean_value`` and ``std_value``, RKNN's ``mean_values`` and
    ``std_values`` and OpenVINO's ``preprocess().mean().scale()`` all mean this formula with these units.

    Attributes:
        mean: per channel, in ``color`` order.
        std: per channel, positive, in ``color`` order.
        color: the channel order of the pixels.
        layout: the dimension order of the pixels.
        dtype: numpy's name of the pixels' element type.
    """

    mean: Triple
    std: Triple
    color: ColorOrder = ColorOrder.RGB
    layout: Layout = Layout.NHWC
    dtype: str = "uint8"

    @property
    def scale(self) -> Triple:
        """``1 / std``: what SDKs multiply by that do not divide (Horizon's ``scale_value``)."""
        red, green, blue = self.std
        return 1 / red, 1 / green, 1 / blue

    @property
    def identity(self) -> bool:
        """Whether the network takes pixels as they are."""
        return self.mean == (0.0, 0.0, 0.0) and self.std == (1.0, 1.0, 1.0)


def preprocessing_of(
    contract: InputContract, *, color: ColorOrder | None = None, layout: Layout = Layout.NHWC
) -> Preprocessing:
    """What an SDK must do with camera pixels so that a network gets the tensor of its contract.

    The units are converted in decimal: 0.485 becomes 123.675 and not 123.67500000000001, so that scripts and reports
    show the figures of the vendors' own examples.

    Args:
        contract: how the network's tensor is normalised.
        color: the channel order of the pixels; the contract's own by default.
        layout: the dimension order of the pixels.
    """
    ordered = contract.recolored(color or contract.color)
    return Preprocessing(
        _in_pixels(ordered.mean, ordered.scale), _in_pixels(ordered.std, ordered.scale), ordered.color, layout
    )


def _in_pixels(values: Iterable[float], scale: float) -> Triple:
    factor = Decimal(255) / Decimal(repr(scale))
    red, green, blue = (float(Decimal(repr(value)) * factor) for value in values)
    return red, green, blue
