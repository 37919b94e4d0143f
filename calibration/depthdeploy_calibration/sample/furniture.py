"""Things made of a few primitives, standing on a floor."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from depthdeploy_calibration.sample.primitives import Primitive, ShapeKind, place
from depthdeploy_calibration.sample.scene import random_material
from depthdeploy_calibration.sample.textures import Material

Spot: TypeAlias = tuple[float, float, float]


def part(
    kind: ShapeKind,
    material: Material,
    *,
    spot: Spot,
    yaw: float,
    at: tuple[float, float, float],
    size: tuple[float, float, float],
) -> Primitive:
    """A piece of a thing: `at` is its offset in the thing's own frame, `size` its half extents (metres)."""
    x = spot[0] + np.cos(yaw) * at[0] + np.sin(yaw) * at[2]
    z = spot[2] - np.sin(yaw) * at[0] + np.cos(yaw) * at[2]
    return place(kind, centre=(float(x), spot[1] + at[1], float(z)), scale=size, material=material, yaw=yaw)


def table(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A table: a top, four legs and a few things on it."""
    wood = random_material(rng, patterns=("plain", "planks", "blotches"), period=(0.8, 1.5), value=(0.15, 0.75))
    half_x, half_z, height = (float(rng.uniform(*r)) for r in ((0.4, 0.9), (0.3, 0.5), (0.45, 0.8)))
    pieces = [part("box", wood, spot=spot, yaw=yaw, at=(0, height - 0.025, 0), size=(half_x, 0.025, half_z))]
    for x in (-1, 1):
        for z in (-1, 1):
            at = (x * (half_x - 0.05), height / 2 - 0.025, z * (half_z - 0.05))
            pieces.append(part("box", wood, spot=spot, yaw=yaw, at=at, size=(0.03, height / 2 - 0.025, 0.03)))
    for _ in range(int(rng.integers(0, 4))):
        along = float(rng.uniform(-0.7, 0.7)) * half_x
        turned = (spot[0] + np.cos(yaw) * along, spot[1] + height, spot[2] - np.sin(yaw) * along)
        pieces += trinket(rng, spot=turned, size=float(rng.uniform(0.05, 0.2)))
    return pieces


def chair(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A chair: seat, back and four legs."""
    cloth = random_material(rng, patterns=("plain", "blotches", "stripes"), period=(0.03, 0.1))
    frame = random_material(rng, patterns=("plain",), value=(0.05, 0.6))
    seat, back = float(rng.uniform(0.4, 0.5)), float(rng.uniform(0.2, 0.35))
    pieces = [
        part("box", cloth, spot=spot, yaw=yaw, at=(0, seat, 0), size=(0.22, 0.03, 0.22)),
        part("box", cloth, spot=spot, yaw=yaw, at=(0, seat + back + 0.05, 0.2), size=(0.21, back, 0.02)),
    ]
    for x in (-0.2, 0.2):
        pieces += [
            part("cylinder", frame, spot=spot, yaw=yaw, at=(x, seat / 2, z), size=(0.02, seat / 2, 0.02))
            for z in (-0.2, 0.2)
        ]
    return pieces


def sofa(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A sofa or armchair: seat, back, two arms, sometimes cushions."""
    cloth = random_material(rng, patterns=("plain", "plain", "blotches", "checker"), period=(0.05, 0.2))
    pillow = random_material(rng, patterns=("plain", "stripes", "blotches", "checker"), period=(0.04, 0.1))
    half, seat = float(rng.uniform(0.4, 1.1)), float(rng.uniform(0.18, 0.23))
    back = float(rng.uniform(0.35, 0.45))
    pieces = [
        part("box", cloth, spot=spot, yaw=yaw, at=(0, seat, 0), size=(half, seat, 0.4)),
        part("box", cloth, spot=spot, yaw=yaw, at=(0, back, 0.35), size=(half, back, 0.1)),
    ]
    for side in (-1, 1):
        at = (side * (half + 0.08), 0.3, 0.0)
        pieces.append(part("box", cloth, spot=spot, yaw=yaw, at=at, size=(0.09, 0.3, 0.42)))
        if rng.random() < 0.5:
            at = (side * half * 0.6, 2 * seat + 0.16, 0.15)
            pieces.append(part("sphere", pillow, spot=spot, yaw=yaw, at=at, size=(0.2, 0.17, 0.09)))
    return pieces


def cupboard(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A cupboard, bookcase, chest, fridge or door-high box, sometimes with things on top."""
    low = rng.random() < 0.5
    half_x, half_y = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.35, 0.55) if low else rng.uniform(0.7, 1.1))
    look = random_material(
        rng, patterns=("plain", "books", "books", "planks", "blotches"), period=(0.03, 0.08), value=(0.1, 0.85)
    )
    shell = random_material(rng, patterns=("plain", "blotches"), value=(0.1, 0.8))
    front = part("box", look, spot=spot, yaw=yaw, at=(0, half_y, -0.03), size=(half_x - 0.03, half_y - 0.04, 0.2))
    pieces = [part("box", shell, spot=spot, yaw=yaw, at=(0, half_y, 0), size=(half_x, half_y, 0.2)), front]
    if low:
        above = (spot[0], spot[1] + 2 * half_y, spot[2])
        pieces += trinket(rng, spot=above, size=float(rng.uniform(0.1, 0.25)))
    return pieces


def bed(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A bed: mattress, headboard, two pillows."""
    sheet = random_material(rng, patterns=("plain", "stripes", "checker", "blotches"), period=(0.06, 0.3))
    wood = random_material(rng, patterns=("plain", "blotches"), value=(0.1, 0.5))
    pale = random_material(rng, patterns=("plain",), value=(0.6, 0.9), saturation=(0.0, 0.2))
    half = float(rng.uniform(0.5, 0.95))
    pieces = [
        part("box", sheet, spot=spot, yaw=yaw, at=(0, 0.27, 0), size=(half, 0.27, 1.0)),
        part("box", wood, spot=spot, yaw=yaw, at=(0, 0.5, 1.03), size=(half, 0.5, 0.04)),
    ]
    for side in (-0.45, 0.45):
        at = (side * half, 0.6, 0.75)
        pieces.append(part("sphere", pale, spot=spot, yaw=yaw, at=at, size=(0.4 * half, 0.1, 0.2)))
    return pieces


def lamp(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A standing lamp with a glowing shade."""
    metal = random_material(rng, patterns=("plain",), value=(0.05, 0.5))
    shade = random_material(rng, patterns=("plain",), value=(0.7, 0.95), saturation=(0.0, 0.3))
    height = float(rng.uniform(1.1, 1.6))
    return [
        part("cylinder", metal, spot=spot, yaw=yaw, at=(0, height / 2, 0), size=(0.02, height / 2, 0.02)),
        part("cylinder", metal, spot=spot, yaw=yaw, at=(0, 0.015, 0), size=(0.14, 0.015, 0.14)),
        part("frustum", shade, spot=spot, yaw=yaw, at=(0, height + 0.1, 0), size=(0.2, 0.15, 0.2)),
    ]


def plant(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A potted plant with a few clumps of leaves."""
    pot = random_material(rng, patterns=("plain", "stripes"), value=(0.2, 0.8))
    leaf = random_material(
        rng, patterns=("blotches",), hue=(0.2, 0.42), saturation=(0.4, 0.8), value=(0.1, 0.4), grain=(0.4, 0.7)
    )
    size = float(rng.uniform(0.15, 0.4))
    pieces = [part("cylinder", pot, spot=spot, yaw=yaw, at=(0, 0.15, 0), size=(0.14, 0.15, 0.14))]
    for _ in range(int(rng.integers(2, 5))):
        shift = rng.uniform(-0.5, 0.5, 3) * size
        at = (float(shift[0]), 0.3 + size * 0.8 + float(shift[1]), float(shift[2]))
        pieces.append(part("sphere", leaf, spot=spot, yaw=yaw, at=at, size=(size * 0.5, size * 0.7, size * 0.5)))
    return pieces


def person(rng: np.random.Generator, *, spot: Spot, yaw: float) -> list[Primitive]:
    """A standing figure: two legs, trunk, two arms, head."""
    skin = random_material(rng, patterns=("plain",), hue=(0.03, 0.09), saturation=(0.3, 0.6), value=(0.15, 0.7))
    shirt = random_material(rng, patterns=("plain", "stripes", "checker", "blotches"), period=(0.03, 0.1))
    trousers = random_material(rng, patterns=("plain",), value=(0.03, 0.4))
    s = float(rng.uniform(0.85, 1.1))
    step = float(rng.uniform(0.0, 0.15))
    pieces = [
        part("sphere", skin, spot=spot, yaw=yaw, at=(0, 1.62 * s, 0), size=(0.085 * s, 0.125 * s, 0.1 * s)),
        part("sphere", shirt, spot=spot, yaw=yaw, at=(0, 1.17 * s, 0), size=(0.2 * s, 0.36 * s, 0.13 * s)),
    ]
    for side in (-1, 1):
        leg, arm = (side * 0.09 * s, 0.43 * s, side * step), (side * 0.23 * s, 1.12 * s, -side * step / 2)
        pieces.append(part("cylinder", trousers, spot=spot, yaw=yaw, at=leg, size=(0.075 * s, 0.43 * s, 0.08 * s)))
        pieces.append(part("sphere", shirt, spot=spot, yaw=yaw, at=arm, size=(0.05 * s, 0.33 * s, 0.06 * s)))
    return pieces


def trinket(rng: np.random.Generator, *, spot: Spot, size: float) -> list[Primitive]:
    """A single small thing of random shape standing at `spot`, about `size` metres in half extent."""
    look = random_material(
        rng,
        patterns=("plain", "checker", "stripes", "blotches", "gradient", "bricks"),
        period=(0.1 * size, 0.8 * size),
        saturation=(0.0, 0.9),
        gloss=0.8,
    )
    kinds: tuple[ShapeKind, ...] = ("box", "sphere", "cylinder", "cone", "frustum", "box")
    kind = kinds[int(rng.integers(len(kinds)))]
    extent = size * np.exp(rng.uniform(-0.5, 0.4, 3))
    if kind == "sphere" and rng.random() < 0.6:
        extent[:] = size
    if kind in ("cylinder", "cone", "frustum"):
        extent[2] = extent[0]
    half = (float(extent[0]), float(extent[1]), float(extent[2]))
    centre = (float(spot[0]), float(spot[1]) + half[1], float(spot[2]))
    return [place(kind, centre=centre, scale=half, material=look, yaw=float(rng.uniform(0, 6.3)))]
