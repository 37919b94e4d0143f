"""Furnished rooms."""

from __future__ import annotations

import numpy as np

from depthdeploy_calibration.sample import furniture
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
from depthdeploy_calibration.sample.textures import Material


def compose_room(rng: np.random.Generator) -> Scene:
    """A room with furniture, seen by a camera inside it."""
    half_x, length = float(rng.uniform(1.5, 3.6)), float(rng.uniform(2.8, 7.5))
    height = float(rng.uniform(2.3, 3.2))
    eye = (float(rng.uniform(-0.7, 0.7)) * (half_x - 0.5), float(rng.uniform(0.8, 1.8)), 0.0)
    camera = aim_camera(
        eye,
        yaw=float(rng.normal(0.0, 0.4)),
        pitch=float(rng.uniform(-0.45, 0.08)),
        roll=float(rng.normal(0.0, 0.03)),
        field_of_view=float(np.radians(rng.uniform(50, 80))),
    )
    shapes = _shell(rng, half_x, length, height)
    shapes += _wall_things(rng, half_x, length, height)
    shapes += _against_walls(rng, half_x, length)
    shapes += _free_standing(rng, half_x, length, eye)
    return Scene(
        kind="room",
        camera=camera,
        shapes=tuple(shapes),
        lights=tuple(_lamps(rng, half_x, length, height)),
        ambient=random_colour(rng, value=(0.15, 0.5), saturation=(0.0, 0.15)),
        sky=Sky(zenith=(0.5, 0.6, 0.8), horizon=(0.8, 0.8, 0.8), clouds=0.0, haze_range=float("inf")),
        farthest=MEASURING_RANGE,
    )


def _shell(rng: np.random.Generator, half_x: float, length: float, height: float) -> list[Primitive]:
    """Floor, ceiling and four walls; the wall behind the camera matters for light only."""
    paint = random_material(
        rng, patterns=("plain", "plain", "plain", "stripes", "blotches", "bricks"), value=(0.35, 0.9),
        saturation=(0.0, 0.35), period=(0.1, 0.4), grain=(0.01, 0.12), gloss=0.0,
    )  # fmt: skip
    other = paint if rng.random() < 0.7 else random_material(rng, patterns=("plain", "bricks"), value=(0.2, 0.8))
    floor = random_material(
        rng, patterns=("planks", "planks", "checker", "bricks", "plain", "blotches"), value=(0.1, 0.7),
        saturation=(0.0, 0.5), period=(0.25, 1.2), grain=(0.05, 0.3),
    )  # fmt: skip
    top = Material("plain", random_colour(rng, value=(0.6, 0.95), saturation=(0.0, 0.1)), grain=0.03)
    back, middle, half_z = -1.0, (length - 1.0) / 2, (length + 1.0) / 2
    quarter = np.pi / 2
    return [
        place("plane", centre=(0, 0, middle), scale=(half_x, 1, half_z), material=floor, casts_shadow=False),
        place("plane", centre=(0, height, middle), scale=(half_x, 1, half_z), material=top, casts_shadow=False),
        _wall((0, height / 2, length), 0.0, half_x, height, other),
        _wall((0, height / 2, back), 0.0, half_x, height, paint),
        _wall((-half_x, height / 2, middle), quarter, half_z, height, paint),
        _wall((half_x, height / 2, middle), quarter, half_z, height, paint),
    ]


def _wall(centre: tuple[float, float, float], yaw: float, half: float, height: float, material: Material) -> Primitive:
    scale = (half, 1.0, height / 2)
    return place("plane", centre=centre, scale=scale, material=material, yaw=yaw, tilt=np.pi / 2, casts_shadow=False)


def _wall_things(rng: np.random.Generator, half_x: float, length: float, height: float) -> list[Primitive]:
    """Pictures, windows and doors on the three visible walls."""
    pieces = []
    for _ in range(int(rng.integers(1, 6))):
        look = random_material(
            rng, patterns=("blotches", "gradient", "checker", "stripes", "plain"), period=(0.1, 0.5),
            saturation=(0.0, 0.8), grain=(0.1, 0.7),
        )  # fmt: skip
        wide, tall = float(rng.uniform(0.15, 0.6)), float(rng.uniform(0.15, 0.5))
        up = float(rng.uniform(1.3, height - tall - 0.1)) if height - tall > 1.5 else 1.4
        draw = rng.random()
        if draw < 0.25:
            look = Material("windows", (0.7, 0.7, 0.7), (0.8, 0.9, 1.0), (0.5, 0.7), glow=float(rng.uniform(0.5, 2)))
            wide, tall = float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.4, 0.7))
        elif draw < 0.4:
            look = random_material(rng, patterns=("plain", "planks"), value=(0.2, 0.8), period=(0.6, 1.0))
            wide, tall, up = 0.42, 1.0, 1.0
        side = int(rng.integers(3))
        thick = 0.02
        if side == 0:
            x = float(rng.uniform(-1, 1)) * max(half_x - wide, 0.0)
            pieces.append(place("box", centre=(x, up, length), scale=(wide, tall, thick), material=look))
        else:
            x = half_x if side == 1 else -half_x
            z = float(rng.uniform(0.8, max(length - wide, 1.0)))
            pieces.append(place("box", centre=(x, up, z), scale=(thick, tall, wide), material=look))
    return pieces


def _against_walls(rng: np.random.Generator, half_x: float, length: float) -> list[Primitive]:
    pieces: list[Primitive] = []
    makers = (furniture.cupboard, furniture.cupboard, furniture.sofa, furniture.table, furniture.bed)
    for side in range(3):
        for _ in range(int(rng.integers(0, 3))):
            maker = makers[int(rng.integers(len(makers)))]
            deep = 1.05 if maker is furniture.bed else 0.45
            if side == 0:
                spot = (float(rng.uniform(-0.8, 0.8)) * half_x, 0.0, length - deep)
                pieces += maker(rng, spot=spot, yaw=0.0)
            else:
                sign = 1.0 if side == 1 else -1.0
                spot = (sign * (half_x - deep), 0.0, float(rng.uniform(min(1.8, length - 1), length - 0.6)))
                pieces += maker(rng, spot=spot, yaw=sign * np.pi / 2)
    return pieces


def _free_standing(
    rng: np.random.Generator, half_x: float, length: float, eye: tuple[float, float, float]
) -> list[Primitive]:
    pieces: list[Primitive] = []
    makers = (
        furniture.table, furniture.chair, furniture.chair, furniture.plant, furniture.lamp, furniture.sofa,
        furniture.person,
    )  # fmt: skip
    for _ in range(int(rng.integers(1, 5))):
        x, z = float(rng.uniform(-0.85, 0.85)) * half_x, float(rng.uniform(1.0, length - 0.6))
        if np.hypot(x - eye[0], z - eye[2]) < 1.2:
            continue
        maker = makers[int(rng.integers(len(makers)))]
        pieces += maker(rng, spot=(x, 0.0, z), yaw=float(rng.uniform(0, 2 * np.pi)))
    if rng.random() < 0.4:
        rug = random_material(rng, patterns=("blotches", "checker", "stripes", "plain"), saturation=(0.1, 0.8))
        spot = (float(rng.uniform(-0.4, 0.4)) * half_x, 0.006, float(rng.uniform(0.4, 0.8)) * length)
        scale = (float(rng.uniform(0.5, 1.2)), 0.006, float(rng.uniform(0.4, 0.9)))
        pieces.append(place("box", centre=spot, scale=scale, material=rug, casts_shadow=False))
    return pieces


def _lamps(rng: np.random.Generator, half_x: float, length: float, height: float) -> list[Light]:
    lamps = []
    for _ in range(int(rng.integers(1, 3))):
        at = (
            float(rng.uniform(-0.8, 0.8)) * half_x,
            height * float(rng.uniform(0.75, 0.97)),
            float(rng.uniform(-0.5, 0.9 * length)),
        )
        colour = random_colour(rng, value=(0.5, 1.2), saturation=(0.0, 0.25), hue=(0.05, 0.16))
        lamps.append(Light(np.array(at, dtype=np.float32), colour, is_sun=False, reach=float(rng.uniform(1.5, 4))))
    return lamps
