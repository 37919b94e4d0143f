"""The light that arrives along rays: sky, materials, lamps, shadows and haze."""

from __future__ import annotations

from typing import Final

import numpy as np

from depthdeploy_calibration.sample.cast import Hits, Rays
from depthdeploy_calibration.sample.primitives import Floats, Primitive, intersect, surface, to_local
from depthdeploy_calibration.sample.scene import Light, Scene
from depthdeploy_calibration.sample.textures import albedo, noise

_SHADOW_STEP: Final = 2


def visibility(scene: Scene, *, rays: Rays, hits: Hits, height: int, width: int) -> Floats:
    """Share of each light that reaches the visible surfaces; float32 [lights, H * W], 0..1.

    Shadows are traced on every second pixel and interpolated, a quarter of the cost for a softer outline.
    """
    rows, columns = np.arange(0, height, _SHADOW_STEP), np.arange(0, width, _SHADOW_STEP)
    picked = (rows[:, None] * width + columns[None, :]).ravel()
    solid = picked[hits.index[picked] >= 0]
    # Pulling the point towards the camera keeps it out of the surface it lies on.
    points = scene.camera.position[:, None] + rays.directions[:, solid] * (hits.depth[solid] * np.float32(0.998))
    result = np.ones((len(scene.lights), height, width), dtype=np.float32)
    for number, light in enumerate(scene.lights):
        towards = np.broadcast_to(light.at[:, None], points.shape) if light.is_sun else light.at[:, None] - points
        limit = np.float32(np.inf) if light.is_sun else np.float32(1.0)
        lit = np.ones(solid.size, dtype=np.bool_)
        for shape in scene.shapes:
            if shape.casts_shadow:
                lit &= intersect(shape, origins=points, directions=towards) >= limit
        coarse = np.ones(height * width, dtype=np.float32)
        coarse[solid] = lit
        result[number] = _spread(coarse.reshape(height, width)[::_SHADOW_STEP, ::_SHADOW_STEP], height, width)
    return result.reshape(len(scene.lights), -1)


def _spread(coarse: Floats, height: int, width: int) -> Floats:
    """Bilinear doubling of every second sample to the full grid."""
    wide = np.repeat(coarse, _SHADOW_STEP, axis=1)[:, :width]
    wide[:, 1:-1:2] = 0.5 * (wide[:, 0:-2:2] + wide[:, 2::2])
    tall = np.repeat(wide, _SHADOW_STEP, axis=0)[:height]
    tall[1:-1:2] = 0.5 * (tall[0:-2:2] + tall[2::2])
    return tall


def shade(scene: Scene, *, rays: Rays, hits: Hits, visible: Floats, pixel: float) -> Floats:
    """Light that arrives along each ray.

    Args:
        scene: The scene.
        rays: N rays from the camera.
        hits: What they meet.
        visible: float32 [lights, N], share of each light that is not in shadow, 0..1.
        pixel: Side of a pixel at distance 1.

    Returns:
        float32 [3, N], linear RGB, not negative.
    """
    light = _sky_light(scene, rays)
    order = np.argsort(hits.index, kind="stable")
    bounds = np.searchsorted(hits.index[order], np.arange(len(scene.shapes) + 1))
    for number, shape in enumerate(scene.shapes):
        chosen = order[bounds[number] : bounds[number + 1]]
        if chosen.size:
            light[:, chosen] = _shade_shape(
                scene,
                shape,
                directions=rays.directions[:, chosen],
                depth=hits.depth[chosen],
                visible=visible[:, chosen],
                pixel=pixel,
            )
    distance = np.where(hits.index < 0, np.float32(0.0), hits.depth)
    haze = 1.0 - np.exp(-distance / np.float32(scene.sky.haze_range))
    horizon = np.array(scene.sky.horizon, dtype=np.float32)[:, None]
    return (light + (horizon - light) * haze).astype(np.float32, copy=False)


def _sky_light(scene: Scene, rays: Rays) -> Floats:
    direction = rays.directions
    length = np.sqrt(np.sum(direction * direction, axis=0))
    height = np.clip(direction[1] / length, 0.02, 1.0)
    ground, top = (np.array(c, dtype=np.float32)[:, None] for c in (scene.sky.horizon, scene.sky.zenith))
    colour = ground + (top - ground) * np.sqrt(height)
    spread = 0.06 / height / length
    clouds = noise(direction[0] * spread + 0.3, direction[2] * spread, footprint=spread * 0.01, rough=False)
    cover = np.clip((clouds - 0.45) * 4.0, 0.0, 1.0) * scene.sky.clouds * np.clip(height * 4.0, 0.0, 1.0)
    result: Floats = (colour + (1.0 - colour) * cover).astype(np.float32, copy=False)
    return result


def _shade_shape(
    scene: Scene, shape: Primitive, *, directions: Floats, depth: Floats, visible: Floats, pixel: float
) -> Floats:
    """Light from one shape's visible points; float32 [3, N]."""
    origin, local = to_local(shape, origins=scene.camera.position[:, None], directions=directions)
    normal, u, v = surface(shape, local=origin + local * depth)
    facing = np.sum(normal * directions, axis=0)
    normal = np.where(facing > 0.0, -normal, normal)
    length = np.sqrt(np.sum(directions * directions, axis=0))
    slant = np.maximum(np.abs(facing) / length, 0.08)
    material = shape.material
    colour = albedo(material, u=u, v=v, footprint=depth * pixel / np.sqrt(slant))
    # Surfaces that look up receive more of the light from everywhere.
    arriving = np.array(scene.ambient, dtype=np.float32)[:, None] * (0.8 + 0.2 * normal[1])
    shine = np.zeros_like(depth)
    points = scene.camera.position[:, None] + directions * depth
    for light, reaches in zip(scene.lights, visible, strict=True):
        strength, highlight = _from_light(light, points, normal, directions / length, material.gloss)
        arriving = arriving + np.array(light.colour, dtype=np.float32)[:, None] * (strength * reaches)
        shine += highlight * reaches
    result: Floats = (colour * (arriving + material.glow) + shine).astype(np.float32, copy=False)
    return result


def _from_light(light: Light, points: Floats, normal: Floats, view: Floats, gloss: float) -> tuple[Floats, Floats]:
    """Diffuse and mirror-like strength of one unshadowed light per point."""
    if light.is_sun:
        towards, fade = np.broadcast_to(light.at[:, None], points.shape), np.float32(1.0)
    else:
        towards = light.at[:, None] - points
        distance = np.sqrt(np.sum(towards * towards, axis=0)) + np.float32(1e-6)
        towards, fade = towards / distance, 1.0 / (1.0 + (distance / light.reach) ** 2)
    cosine = np.maximum(np.sum(towards * normal, axis=0), 0.0)
    if gloss == 0.0:
        return cosine * fade, np.zeros_like(cosine)
    half = towards - view
    half = half / np.maximum(np.sqrt(np.sum(half * half, axis=0)), 1e-6)
    mirrored = np.maximum(np.sum(half * normal, axis=0), 0.0) ** 40
    return cosine * fade, gloss * mirrored * fade * (cosine > 0.0)
