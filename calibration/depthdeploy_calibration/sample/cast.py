"""Rays of a camera and the nearest surfaces they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthdeploy_calibration.sample.primitives import Floats, Primitive, intersect
from depthdeploy_calibration.sample.scene import Camera, Scene


@dataclass(frozen=True, slots=True)
class Rays:
    """Rays through image-plane points.

    Attributes:
        x: float32 [N], image-plane abscissa at distance 1, right is positive.
        y: float32 [N], image-plane ordinate at distance 1, up is positive.
        directions: float32 [3, N], world frame, scaled so that the ray parameter is the depth in metres.
    """

    x: Floats
    y: Floats
    directions: Floats


@dataclass(frozen=True, slots=True)
class Hits:
    """Nearest surfaces: depth float32 [N] in metres (infinity for none), index int64 [N] (-1 for none)."""

    depth: Floats
    index: NDArray[np.int64]


def camera_rays(camera: Camera, *, height: int, width: int) -> Rays:
    """The rays through the pixel centres, row by row."""
    scale = 2.0 * camera.spread / width
    columns = (np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2)) * np.float32(scale)
    rows = (np.arange(height, dtype=np.float32) + np.float32(0.5 - height / 2)) * np.float32(-scale)
    x, y = np.meshgrid(columns, rows)
    return make_rays(camera, x=x.ravel(), y=y.ravel())


def make_rays(camera: Camera, *, x: Floats, y: Floats) -> Rays:
    """The rays through image-plane points, float32 [N] each, at distance 1."""
    right, up, forward = camera.axes[:, :, None]
    directions = right * x + up * y + forward
    return Rays(x=x, y=y, directions=directions.astype(np.float32, copy=False))


def _window(camera: Camera, shape: Primitive, rays: Rays) -> NDArray[np.int64] | None:
    """Indices of the rays that can meet the shape, or None for all of them."""
    signs = np.array([[-1, 1] * 4, [-1, -1, 1, 1] * 2, [-1] * 4 + [1] * 4], dtype=np.float32)
    if shape.kind == "plane":
        signs[1] = 0.0
    corners = shape.centre[:, None] + shape.axes.T @ (signs * shape.scale[:, None])
    seen = camera.axes @ (corners - camera.position[:, None])
    if float(seen[2].max()) <= 0.0:
        return np.empty(0, dtype=np.int64)
    if float(seen[2].min()) < 0.05:
        return None
    across, along = seen[0] / seen[2], seen[1] / seen[2]
    inside = (rays.x >= across.min()) & (rays.x <= across.max())
    inside &= (rays.y >= along.min()) & (rays.y <= along.max())
    return np.flatnonzero(inside)


def cast(scene: Scene, *, rays: Rays) -> Hits:
    """The nearest surface along each ray."""
    depth = np.full(rays.x.shape, np.inf, dtype=np.float32)
    index = np.full(rays.x.shape, -1, dtype=np.int64)
    origin = scene.camera.position[:, None]
    for number, shape in enumerate(scene.shapes):
        window = _window(scene.camera, shape, rays)
        if window is None:
            found = intersect(shape, origins=origin, directions=rays.directions)
            nearer = np.flatnonzero(found < depth)
            depth[nearer], index[nearer] = found[nearer], number
        elif window.size:
            found = intersect(shape, origins=origin, directions=rays.directions[:, window])
            nearer = np.flatnonzero(found < depth[window])
            depth[window[nearer]], index[window[nearer]] = found[nearer], number
    return Hits(depth=depth, index=index)


def edges(hits: Hits, *, height: int, width: int) -> NDArray[np.bool_]:
    """Pixels beside a change of surface; bool [H * W]."""
    index = hits.index.reshape(height, width)
    edge = np.zeros((height, width), dtype=np.bool_)
    across, down = index[:, 1:] != index[:, :-1], index[1:] != index[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge.ravel()
