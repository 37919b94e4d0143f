"""Streets and open ground."""

from __future__ import annotations

import numpy as np

from depthdeploy_calibration.sample.furniture import Spot, part, person
from depthdeploy_calibration.sample.primitives import Primitive, ShapeKind, place
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


def compose_street(rng: np.random.Generator) -> Scene:
    """A street between facades, or open ground with trees and hills, under a sky."""
    half = float(rng.uniform(3.0, 7.5))
    end = float(rng.uniform(16.0, 34.0))
    open_ground = rng.random() < 0.3
    camera = aim_camera(
        (float(rng.uniform(-0.6, 0.6)) * half, float(rng.uniform(1.1, 2.6)), 0.0),
        yaw=float(rng.normal(0.0, 0.3)),
        pitch=float(rng.uniform(-0.18, 0.12)),
        roll=float(rng.normal(0.0, 0.02)),
        field_of_view=float(np.radians(rng.uniform(50, 80))),
    )
    shapes = _ground(rng, half, open_ground)
    if open_ground:
        shapes += _hills(rng, end)
    else:
        shapes += _facades(rng, half, end)
    shapes += _things(rng, half, end, open_ground)
    sky = Sky(
        zenith=random_colour(rng, value=(0.4, 0.9), saturation=(0.2, 0.7), hue=(0.55, 0.63)),
        horizon=random_colour(rng, value=(0.7, 1.0), saturation=(0.0, 0.25), hue=(0.5, 0.66)),
        clouds=float(rng.uniform(0.0, 1.0)),
        haze_range=float(np.exp(rng.uniform(np.log(50), np.log(800)))),
    )
    return Scene(
        kind="street",
        camera=camera,
        shapes=tuple(shapes),
        lights=(_sun(rng),),
        ambient=random_colour(rng, value=(0.25, 0.6), saturation=(0.0, 0.25), hue=(0.55, 0.66)),
        sky=sky,
        farthest=MEASURING_RANGE,
    )


def _sun(rng: np.random.Generator) -> Light:
    around, up = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.35, 1.3))
    at = np.array([np.cos(around) * np.cos(up), np.sin(up), np.sin(around) * np.cos(up)], dtype=np.float32)
    overcast = rng.random() < 0.3
    return Light(at, random_colour(rng, value=(0.1, 0.3) if overcast else (0.6, 1.3), saturation=(0.0, 0.2),
                                   hue=(0.08, 0.15)), is_sun=True)  # fmt: skip


def _grass(rng: np.random.Generator) -> Material:
    return random_material(
        rng, patterns=("blotches", "plain"), hue=(0.15, 0.35), saturation=(0.3, 0.7), value=(0.1, 0.4),
        grain=(0.2, 0.6), period=(0.3, 1.0),
    )  # fmt: skip


def _ground(rng: np.random.Generator, half: float, open_ground: bool) -> list[Primitive]:
    road = random_material(
        rng, patterns=("plain", "plain", "bricks", "blotches"), saturation=(0.0, 0.2), value=(0.1, 0.45),
        grain=(0.05, 0.3), period=(0.2, 0.6), gloss=0.0,
    )  # fmt: skip
    base = _grass(rng) if open_ground else road
    pieces = [place("plane", centre=(0, 0, 60), scale=(90, 1, 90), material=base, casts_shadow=False)]
    if open_ground:
        if rng.random() < 0.6:
            pieces.append(
                place("plane", centre=(float(rng.normal(0, 1)), 0.01, 30), scale=(float(rng.uniform(0.6, 3)), 1, 60),
                      material=road, yaw=float(rng.normal(0, 0.15)), casts_shadow=False)
            )  # fmt: skip
        return pieces
    walk = random_material(rng, patterns=("bricks", "plain", "checker"), saturation=(0.0, 0.2), value=(0.2, 0.6))
    wide = float(rng.uniform(0.5, 1.0))
    pieces += [
        place("box", centre=(side * (half - wide), 0.06, 30), scale=(wide, 0.06, 60), material=walk,
              casts_shadow=False)
        for side in (-1, 1)
    ]  # fmt: skip
    if rng.random() < 0.6:
        paint = Material("stripes", road.base, (0.8, 0.8, 0.75), (2.0, 2.0))
        line = place("plane", centre=(0, 0.012, 30), scale=(60, 1, 0.08), material=paint, yaw=np.pi / 2,
                     casts_shadow=False)  # fmt: skip
        pieces.append(line)
    return pieces


def _facades(rng: np.random.Generator, half: float, end: float) -> list[Primitive]:
    pieces = []
    for side in (-1, 1):
        at = -6.0
        while at < end + 4.0:
            wide = float(rng.uniform(2.0, 6.0))
            if rng.random() < 0.85:
                tall, deep = float(rng.uniform(1.8, 8.0)), float(rng.uniform(1.0, 4.0))
                setback = float(rng.choice([0.0, 0.0, rng.uniform(0, 2.0)]))
                centre = (side * (half + deep + setback), tall, at + wide)
                pieces.append(place("box", centre=centre, scale=(deep, tall, wide), material=_facade(rng)))
            else:
                hedge = (side * (half + 0.4), 0.7, at + wide)
                pieces.append(place("box", centre=hedge, scale=(0.35, 0.7, wide), material=_grass(rng)))
            at += 2.0 * wide
    if rng.random() < 0.8:
        tall = float(rng.uniform(2.5, 9.0))
        centre = (float(rng.uniform(-3, 3)), tall, end + 3.0)
        pieces.append(place("box", centre=centre, scale=(half + 9.0, tall, 3.0), material=_facade(rng)))
    return pieces


def _facade(rng: np.random.Generator) -> Material:
    plain = random_material(rng, patterns=("windows", "windows", "windows", "bricks"), period=(1.5, 3.0),
                            saturation=(0.0, 0.5), value=(0.2, 0.8), grain=(0.05, 0.25))  # fmt: skip
    if plain.pattern == "bricks":
        return random_material(rng, patterns=("bricks",), period=(0.3, 0.6), hue=(0.0, 0.1), value=(0.2, 0.6))
    glass = random_colour(rng, value=(0.03, 0.3), saturation=(0.0, 0.4), hue=(0.5, 0.65))
    return Material("windows", plain.base, glass, plain.period, plain.offset, plain.grain, plain.grain_size)


def _hills(rng: np.random.Generator, end: float) -> list[Primitive]:
    pieces = []
    for _ in range(int(rng.integers(1, 4))):
        wide = float(rng.uniform(6.0, 16.0))
        centre = (float(rng.uniform(-22, 22)), -0.5, end + float(rng.uniform(0, 8)) + wide * 0.6)
        scale = (wide * 1.4, float(rng.uniform(2.0, 9.0)), wide * 0.7)
        pieces.append(place("sphere", centre=centre, scale=scale, material=_grass(rng)))
    return pieces


def _things(rng: np.random.Generator, half: float, end: float, open_ground: bool) -> list[Primitive]:
    pieces: list[Primitive] = []
    for _ in range(int(rng.integers(3, 9))):
        z = 3.5 + float(rng.uniform(0.0, 1.0)) ** 1.3 * (end - 5.0)
        side = float(rng.choice([-1.0, 1.0]))
        kerb = side * (half - 0.5)
        draw = rng.random()
        if open_ground:
            x = float(rng.uniform(-0.9, 0.9)) * max(half, 0.6 * z)
            pieces += _tree(rng, (x, 0.0, z)) if draw < 0.65 else _minor(rng, (x, 0.0, z))
        elif draw < 0.4:
            yaw = float(rng.normal(0.0, 0.05)) + (np.pi if rng.random() < 0.5 else 0.0)
            inner = max(half - 2.9, 0.5) * float(rng.uniform(0.6, 1.0))
            if abs(z) > 4.5:
                pieces += _car(rng, (side * inner, 0.0, z), yaw)
        elif draw < 0.6:
            pieces += _tree(rng, (kerb, 0.1, z))
        else:
            x = kerb if rng.random() < 0.6 else float(rng.uniform(-1, 1)) * half
            pieces += _minor(rng, (x, 0.05, z))
    return pieces


def _minor(rng: np.random.Generator, spot: Spot) -> list[Primitive]:
    """A person, a lamp post, a sign, a boulder or a bin."""
    draw, yaw = rng.random(), float(rng.uniform(0, 6.3))
    if draw < 0.5:
        return person(rng, spot=spot, yaw=yaw)
    metal = random_material(rng, patterns=("plain",), value=(0.05, 0.5), saturation=(0.0, 0.3))
    if draw < 0.75:
        tall = float(rng.uniform(1.2, 2.8))
        post = part("cylinder", metal, spot=spot, yaw=0, at=(0, tall, 0), size=(0.06, tall, 0.06))
        sign = random_material(rng, patterns=("plain", "checker", "stripes"), saturation=(0.3, 0.9), value=(0.4, 0.9))
        wide = float(rng.uniform(0.15, 0.4))
        return [post, part("box", sign, spot=spot, yaw=yaw, at=(0, 2 * tall, 0), size=(wide, wide, 0.03))]
    rough = random_material(rng, patterns=("blotches", "plain", "stripes"), value=(0.1, 0.6), grain=(0.2, 0.5))
    kind: ShapeKind = "sphere" if draw < 0.88 else "cylinder"
    size = float(rng.uniform(0.25, 0.6))
    return [part(kind, rough, spot=spot, yaw=yaw, at=(0, size * 0.7, 0), size=(size, size * 0.8, size))]


def _tree(rng: np.random.Generator, spot: Spot) -> list[Primitive]:
    bark = random_material(rng, patterns=("plain", "blotches"), hue=(0.05, 0.12), saturation=(0.2, 0.5),
                           value=(0.05, 0.3), grain=(0.2, 0.5))  # fmt: skip
    leaf = random_material(rng, patterns=("blotches",), hue=(0.12, 0.4), saturation=(0.3, 0.8), value=(0.08, 0.4),
                           grain=(0.4, 0.9))  # fmt: skip
    trunk, crown = float(rng.uniform(0.7, 1.5)), float(rng.uniform(0.9, 2.2))
    thick = float(rng.uniform(0.07, 0.2))
    pieces = [part("cylinder", bark, spot=spot, yaw=0, at=(0, trunk, 0), size=(thick, trunk, thick))]
    if rng.random() < 0.3:
        at = (0.0, trunk + crown * 1.2, 0.0)
        return [*pieces, part("cone", leaf, spot=spot, yaw=0, at=at, size=(crown * 0.8, crown * 1.5, crown * 0.8))]
    for _ in range(int(rng.integers(2, 6))):
        shift = rng.normal(0.0, 0.35, 3) * crown
        at = (float(shift[0]), 2 * trunk + 0.6 * crown + float(shift[1]), float(shift[2]))
        size = crown * float(rng.uniform(0.5, 0.8))
        pieces.append(part("sphere", leaf, spot=spot, yaw=0, at=at, size=(size, size * 0.85, size)))
    return pieces


def _car(rng: np.random.Generator, spot: Spot, yaw: float) -> list[Primitive]:
    paint = random_material(rng, patterns=("plain",), saturation=(0.0, 0.9), value=(0.03, 0.9), grain=(0.0, 0.05),
                            gloss=0.9)  # fmt: skip
    glass = Material("plain", (0.05, 0.07, 0.09), gloss=0.5)
    rubber = Material("plain", (0.03, 0.03, 0.03))
    back, roof = float(rng.uniform(-0.5, 0.1)), float(rng.uniform(0.25, 0.5))
    pieces = [
        part("box", paint, spot=spot, yaw=yaw, at=(0, 0.58, 0), size=(0.85, 0.32, 2.0)),
        part("box", glass, spot=spot, yaw=yaw, at=(0, 0.9 + roof / 2, back), size=(0.72, roof / 2, 1.15)),
        part("box", paint, spot=spot, yaw=yaw, at=(0, 0.93 + roof, back), size=(0.74, 0.04, 1.1)),
    ]
    for x in (-0.78, 0.78):
        # The axle lies along the local x axis: a cylinder would stand upright, a flat ball looks the same.
        pieces += [
            part("sphere", rubber, spot=spot, yaw=yaw, at=(x, 0.32, z), size=(0.12, 0.32, 0.32)) for z in (-1.3, 1.3)
        ]
    return pieces
