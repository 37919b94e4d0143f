"""Conditions on the factors by which an image is resized."""

from __future__ import annotations

from depthdeploy.graph.attributes import attribute
from depthdeploy.graph.checks.subject import Arguments, Subject, limit_of

#: Rules of coordinates under which an even factor puts samples between pixels: the stencil is then twice as wide.
_CENTRED = ("half_pixel", "pytorch_half_pixel")


def _factors(subject: Subject) -> dict[int, float]:
    """Axis -> how much it grows, as the coordinate mode counts: ``(out - 1) / (in - 1)`` between aligned corners."""
    before, after = subject.shape, subject.result
    if before is None or after is None or len(before) != len(after):
        return {}
    aligned = attribute(subject.node, "coordinate_transformation_mode", subject.version) == "align_corners"
    sides = {at: (a, b) for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    return {at: (b - 1) / (a - 1) if aligned and a > 1 else b / a for at, (a, b) in sides.items()}


def _listed(factors: list[float]) -> str | None:
    return " and ".join(f"{factor:.4g}" for factor in factors) or None


def broken_factors(subject: Subject, _: Arguments) -> str | None:
    """Scales of a resize that are not whole numbers, or shrink."""
    return _listed([factor for factor in _factors(subject).values() if factor < 1 or factor != int(factor)])


def broken_ratios(subject: Subject, _: Arguments) -> str | None:
    """Scales that are neither whole numbers nor one divided by a whole number."""

    def whole(factor: float) -> bool:
        larger = max(factor, 1 / factor) if factor else 0.5
        return abs(larger - round(larger)) < 1e-9

    return _listed([factor for factor in _factors(subject).values() if not whole(factor)])


def odd_powers(subject: Subject, _: Arguments) -> str | None:
    """Scales that are no power of two, or of which the height's is above the width's."""
    factors = _factors(subject)
    powers = [float(2**exponent) for exponent in range(13)]
    broken = [factor for factor in factors.values() if factor not in powers]
    if broken:
        return _listed(broken)
    height, width = factors.get(2, 1.0), factors.get(3, 1.0)
    return None if height <= width else f"height by {height:g}, width by {width:g}"


def large_factors(subject: Subject, arguments: Arguments) -> str | None:
    """Scales of a resize above the limit."""
    limit = limit_of(arguments)
    return _listed([factor for factor in _factors(subject).values() if factor > limit])


def wide_stencils(subject: Subject, arguments: Arguments) -> str | None:
    """Stencils of an upsampling by whole factors that are wider than the limit.

    Bilinear interpolation as a convolution has as many taps as the factor, and twice as many at half pixels with an
    even factor.
    """
    rule, limit = attribute(subject.node, "coordinate_transformation_mode", subject.version), limit_of(arguments)
    widths = [f * 2 if rule in _CENTRED and f % 2 == 0 else f for f in _factors(subject).values()]
    wide = [width for width in widths if width > limit]
    return f"{max(wide):g} taps" if wide else None


def other_axes(subject: Subject, _: Arguments) -> str | None:
    """Axes of a resize other than height and width."""
    shape = subject.shape
    other = [str(axis) for axis in _factors(subject) if shape is not None and axis < len(shape) - 2]
    return f"axis {', '.join(other)}" if other else None
