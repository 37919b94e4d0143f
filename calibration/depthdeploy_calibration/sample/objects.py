"""Objects close up, on a table or on the ground."""

from __future__ import annotations

import numpy as np

from depthdeploy_calibration.sample.furniture import trinket
from depthdeploy_calibration.sample.primitives import Primitive, place
from depthdeploy_calibration.sample.scene import (
    MEASURING_RANGE,
    Light,
    Scene,
    Sky,
    aim_camera,
    random_colour,
    random_material,
)
from depthdeploy_calibration.sample.textures import Pattern

_GROUND: tuple[Pattern, ...] = ("plain", "planks", "checker", "blotches", "bricks", "stripes")


def compose_objects(rng: np.random.Generator) -> Scene:
    """A handful of objects on a surface, with a backdrop behind them."""
    reach = float(rng.uniform(0.9, 2.2))
    pitch = float(rng.uniform(-0.7, -0.1))
    height = reach * float(np.tan(-pitch)) + 0.1
    camera = aim_camera(
        (0.0, height, 0.0),
        yaw=float(rng.normal(0.0, 0.1)),
        pitch=pitch + float(rng.normal(0.0, 0.05)),
        roll=float(rng.normal(0.0, 0.04)),
        field_of_view=float(np.radians(rng.uniform(40, 65))),
    )
    shapes = _surroundings(rng, reach)
    shapes += _arrange(rng, reach)
    return Scene(
        kind="objects",
        camera=camera,
        shapes=tuple(shapes),
        lights=tuple(_lights(rng, reach)),
        ambient=random_colour(rng, value=(0.15, 0.5), saturation=(0.0, 0.2)),
        sky=Sky(
            zenith=random_colour(rng, value=(0.2, 0.9)),
            horizon=random_colour(rng, value=(0.3, 1.0), saturation=(0.0, 0.3)),
            clouds=float(rng.uniform(0.0, 0.6)),
            haze_range=float("inf"),
        ),
        farthest=MEASURING_RANGE,
    )


def _surroundings(rng: np.random.Generator, reach: float) -> list[Primitive]:
    ground = random_material(rng, patterns=_GROUND, value=(0.1, 0.8), period=(0.08, 0.6), grain=(0.05, 0.4))
    wall = random_material(rng, patterns=("plain", "plain", "blotches", "bricks", "stripes", "books"),
                           value=(0.15, 0.9), period=(0.1, 0.5), grain=(0.02, 0.3), gloss=0.0)  # fmt: skip
    behind = reach * float(rng.uniform(1.5, 3.0)) + 0.3
    yaw = float(rng.normal(0.0, 0.25))
    back = place("plane", centre=(0, 0, behind), scale=(20, 1, 20), material=wall, yaw=yaw, tilt=np.pi / 2,
                 casts_shadow=False)  # fmt: skip
    if rng.random() < 0.45:
        # A table top above a floor: the depth steps at its edge.
        half = float(rng.uniform(0.6, 1.1)) * reach
        top = place("box", centre=(float(rng.normal(0, 0.1)), -0.02, reach), scale=(half, 0.02, half * 0.75),
                    material=ground, yaw=float(rng.normal(0, 0.2)))  # fmt: skip
        boards = random_material(rng, patterns=_GROUND, value=(0.1, 0.7), period=(0.2, 0.8))
        under = float(rng.uniform(0.4, 0.8))
        floor = place("plane", centre=(0, -under, 0), scale=(20, 1, 20), material=boards, casts_shadow=False)
        return [top, floor, back]
    return [place("plane", centre=(0, 0, 0), scale=(20, 1, 20), material=ground, casts_shadow=False), back]


def _arrange(rng: np.random.Generator, reach: float) -> list[Primitive]:
    """Objects at places that do not overlap much, never right in front of the lens."""
    pieces: list[Primitive] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(3, 12))):
        size = reach * float(rng.uniform(0.04, 0.16))
        x, z = float(rng.uniform(-0.5, 0.5)) * reach, reach * float(rng.uniform(0.65, 1.45))
        if any(np.hypot(x - u, z - w) < 0.9 * (size + s) for u, w, s in taken):
            continue
        taken.append((x, z, size))
        made = trinket(rng, spot=(x, 0.0, z), size=size)
        pieces += made
        if rng.random() < 0.15:
            pieces += trinket(rng, spot=(x, 2.0 * float(made[0].scale[1]), z), size=0.6 * size)
    return pieces


def _lights(rng: np.random.Generator, reach: float) -> list[Light]:
    around, up = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.5, 1.4))
    towards = np.array([np.cos(around) * np.cos(up), np.sin(up), np.sin(around) * np.cos(up)], dtype=np.float32)
    colour = random_colour(rng, value=(0.5, 1.2), saturation=(0.0, 0.25))
    if rng.random() < 0.4:
        return [Light(towards, colour, is_sun=True)]
    at = (towards * np.float32(2.0 * reach) + np.array([0, 0, reach], dtype=np.float32)).astype(np.float32)
    lamps = [Light(at, colour, is_sun=False, reach=2.0 * reach)]
    if rng.random() < 0.4:
        beside = np.array([-at[0], abs(at[1]) + 0.2, 0.3], dtype=np.float32)
        lamps.append(Light(beside, random_colour(rng, value=(0.1, 0.5)), is_sun=False, reach=2.0 * reach))
    return lamps
