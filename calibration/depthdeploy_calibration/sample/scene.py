"""What a scene is made of: camera, lights, surroundings and primitives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthdeploy_calibration.sample.primitives import Floats, Primitive
from depthdeploy_calibration.sample.textures import Colour, Material, Pattern

SceneKind: TypeAlias = Literal["room", "street", "objects"]

#: Metres up to which the scenes' depth counts as measured, as with a stereo camera; 0 beyond.
MEASURING_RANGE: Final = 20.0


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """A rendered photograph and its exact depth.

    Attributes:
        image: uint8 [H, W, 3], RGB, gamma-encoded, 0..255.
        depth: float32 [H, W], distance along the optical axis at the pixel centre, metres; 0 = no measurement.
        kind: "room", "street" or "objects".
    """

    image: NDArray[np.uint8]
    depth: Floats
    kind: SceneKind


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera with square pixels.

    Attributes:
        position: float32 [3], metres, world frame (y is up).
        axes: float32 [3, 3], rows are right, up and forward as world unit vectors.
        spread: Half the image width at distance 1, i.e. tan(horizontal field of view / 2).
    """

    position: Floats
    axes: Floats
    spread: float


@dataclass(frozen=True, slots=True)
class Light:
    """A light source.

    Attributes:
        at: float32 [3]; position in metres, or for the sun the unit vector towards it.
        colour: Linear RGB strength.
        is_sun: True when the light is infinitely far away.
        reach: Distance in metres at which a lamp has lost half its strength; unused for the sun.
    """

    at: Floats
    colour: Colour
    is_sun: bool
    reach: float = 3.0


@dataclass(frozen=True, slots=True)
class Sky:
    """What is seen where no surface is, and the haze in front of what is far away.

    Attributes:
        zenith: Linear RGB overhead.
        horizon: Linear RGB at the horizon; also the haze colour.
        clouds: Share of cloud white, 0..1.
        haze_range: Distance in metres at which haze has taken 63 % of the contrast; infinity for none.
    """

    zenith: Colour
    horizon: Colour
    clouds: float
    haze_range: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything the renderer needs.

    Attributes:
        kind: Which composition the scene follows.
        camera: The camera.
        shapes: Primitives, at least one.
        lights: Lights, one or more.
        ambient: Linear RGB of the light from everywhere.
        sky: Background and haze.
        farthest: Depths beyond this many metres count as not measured.
    """

    kind: SceneKind
    camera: Camera
    shapes: tuple[Primitive, ...]
    lights: tuple[Light, ...]
    ambient: Colour
    sky: Sky
    farthest: float


def aim_camera(
    position: tuple[float, float, float], *, yaw: float, pitch: float, roll: float, field_of_view: float
) -> Camera:
    """A camera looking along +z, turned by yaw, pitch (up is positive) and roll, all in radians."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([sy * cp, sp, cy * cp])
    level = np.array([cy, 0.0, -sy])
    upward = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * upward
    up = np.cos(roll) * upward - np.sin(roll) * level
    axes = np.stack([right, up, forward]).astype(np.float32)
    return Camera(position=np.array(position, dtype=np.float32), axes=axes, spread=float(np.tan(field_of_view / 2.0)))


def random_colour(
    rng: np.random.Generator,
    *,
    value: tuple[float, float] = (0.1, 0.8),
    saturation: tuple[float, float] = (0.0, 0.6),
    hue: tuple[float, float] | None = None,
) -> Colour:
    """A linear RGB colour drawn in hue, saturation and value, each within its range in 0..1.

    Without a hue range the hue leans towards red to yellow, and muted colours are likelier than vivid ones, as
    among the things people build and photograph.
    """
    if hue is None:
        hue = (0.01, 0.16) if rng.random() < 0.6 else (0.0, 1.0)
    h = float(rng.uniform(*hue)) * 6.0
    s = saturation[0] + (saturation[1] - saturation[0]) * float(rng.random()) ** 1.7
    v = float(rng.uniform(*value))
    red, green, blue = (v * (1.0 - s * min(max(min((h + n) % 6, 4 - (h + n) % 6), 0.0), 1.0)) for n in (5, 3, 1))
    return red, green, blue


def random_material(
    rng: np.random.Generator,
    *,
    patterns: tuple[Pattern, ...],
    value: tuple[float, float] = (0.1, 0.8),
    saturation: tuple[float, float] = (0.0, 0.6),
    hue: tuple[float, float] | None = None,
    period: tuple[float, float] = (0.1, 0.6),
    grain: tuple[float, float] = (0.02, 0.3),
    gloss: float = 0.3,
) -> Material:
    """A material with a pattern out of `patterns` and everything else drawn within the given ranges."""
    pattern = patterns[int(rng.integers(len(patterns)))]
    size = float(np.exp(rng.uniform(np.log(period[0]), np.log(period[1]))))
    aspect = {"bricks": 0.35, "planks": 0.12, "windows": 1.2, "books": 6.0}.get(pattern, 1.0)
    extent = float(np.exp(rng.uniform(np.log(0.5), np.log(4.0)))) * max(size * 4.0, 0.3)
    base = random_colour(rng, value=value, saturation=saturation, hue=hue)
    if rng.random() < 0.5:
        factor = float(rng.uniform(0.3, 0.8))
        accent: Colour = (base[0] * factor, base[1] * factor, base[2] * factor)
    else:
        accent = random_colour(rng, value=value, saturation=saturation, hue=hue)
    return Material(
        pattern=pattern,
        base=base,
        accent=accent,
        period=(size, size * aspect),
        offset=(float(rng.uniform(0, 50)), float(rng.uniform(0, 50))),
        grain=float(rng.uniform(*grain)),
        grain_size=(extent, extent * float(rng.choice([0.25, 1.0, 1.0]))),
        rough=bool(rng.random() < 0.6),
        gloss=float(rng.uniform(0.0, gloss)) if rng.random() < 0.5 else 0.0,
    )
