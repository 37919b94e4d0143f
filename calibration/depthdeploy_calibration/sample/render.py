"""Photographs and exact depth of procedural scenes."""

from __future__ import annotations

from typing import Final

import numpy as np

from depthdeploy_calibration.sample.cast import camera_rays, cast, edges, make_rays
from depthdeploy_calibration.sample.compose import compose_scene
from depthdeploy_calibration.sample.develop import develop
from depthdeploy_calibration.sample.scene import RenderedScene, Scene
from depthdeploy_calibration.sample.shade import shade, visibility

_SUBSAMPLES: Final = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))


def render_scene(seed: int, *, height: int, width: int) -> RenderedScene:
    """The photograph and depth map that belong to a seed.

    The scene depends on the seed alone; equal seed and size give equal bytes on the same numpy build.

    Args:
        seed: Not negative.
        height: Rows, 8 or more.
        width: Columns, 8 or more.

    Returns:
        The rendered scene.

    Raises:
        ValueError: If the seed is negative or a side is under 8 pixels.
    """
    if seed < 0:
        raise ValueError(f"the seed must not be negative, got {seed}")
    if height < 8 or width < 8:
        raise ValueError(f"both sides must be 8 pixels or more, got {height}x{width}")
    return render(compose_scene(seed), height=height, width=width, seed=seed)


def render(scene: Scene, *, height: int, width: int, seed: int = 0) -> RenderedScene:
    """The photograph and depth map of a scene.

    Args:
        scene: What to render.
        height: Rows.
        width: Columns.
        seed: Seed of exposure, tint and sensor noise.

    Returns:
        The rendered scene.
    """
    rays = camera_rays(scene.camera, height=height, width=width)
    hits = cast(scene, rays=rays)
    visible = visibility(scene, rays=rays, hits=hits, height=height, width=width)
    pixel = 2.0 * scene.camera.spread / width
    light = shade(scene, rays=rays, hits=hits, visible=visible, pixel=pixel)
    edge = np.flatnonzero(edges(hits, height=height, width=width))
    total = light[:, edge].copy()
    for shift_x, shift_y in _SUBSAMPLES:
        sub = make_rays(scene.camera, x=rays.x[edge] + shift_x * pixel, y=rays.y[edge] + shift_y * pixel)
        total += shade(scene, rays=sub, hits=cast(scene, rays=sub), visible=visible[:, edge], pixel=pixel)
    light[:, edge] = total / (1 + len(_SUBSAMPLES))
    measured = np.where(hits.depth <= scene.farthest, hits.depth, np.float32(0.0))
    image = develop(light.reshape(3, height, width), rng=np.random.default_rng([seed, 1]))
    return RenderedScene(image=image, depth=measured.reshape(height, width), kind=scene.kind)
