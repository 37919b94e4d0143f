"""Solid shapes and their exact ray intersections, vectorised over rays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthdeploy_calibration.sample.textures import Material

Floats: TypeAlias = NDArray[np.float32]
ShapeKind: TypeAlias = Literal["plane", "box", "sphere", "cylinder", "cone", "frustum"]

NEAREST: Final = 1e-3
"""Smallest accepted ray parameter; keeps a shadow ray from hitting the surface it starts on."""

# Radius of the round shapes as a function of local height y in -1..1: radius = a + b * y.
_TAPER: Final[dict[str, tuple[float, float]]] = {
    "cylinder": (1.0, 0.0),
    "cone": (0.5, -0.5),
    "frustum": (0.8, -0.2),
}


@dataclass(frozen=True, slots=True)
class Primitive:
    """A unit shape placed in the world by a rotation, a per-axis scale and a centre.

    Attributes:
        kind: Unit shape; a plane is the square |x|, |z| <= 1 at y = 0, the others fill -1..1 per axis.
        centre: float32 [3], metres, world frame.
        axes: float32 [3, 3], rows are the local unit axes in world coordinates.
        scale: float32 [3], half extents along the local axes, metres, positive.
        material: Surface appearance.
        casts_shadow: False for surfaces that can only receive shadows.
    """

    kind: ShapeKind
    centre: Floats
    axes: Floats
    scale: Floats
    material: Material
    casts_shadow: bool = True


def place(
    kind: ShapeKind,
    *,
    centre: tuple[float, float, float],
    scale: tuple[float, float, float],
    material: Material,
    yaw: float = 0.0,
    tilt: float = 0.0,
    casts_shadow: bool = True,
) -> Primitive:
    """A primitive tilted about its local x axis and then turned about the vertical (angles in radians)."""
    cos_yaw, sin_yaw, cos_tilt, sin_tilt = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    turn = np.array([[cos_yaw, 0.0, sin_yaw], [0.0, 1.0, 0.0], [-sin_yaw, 0.0, cos_yaw]])
    lean = np.array([[1.0, 0.0, 0.0], [0.0, cos_tilt, -sin_tilt], [0.0, sin_tilt, cos_tilt]])
    return Primitive(
        kind=kind,
        centre=np.array(centre, dtype=np.float32),
        axes=(turn @ lean).T.astype(np.float32),
        scale=np.array(scale, dtype=np.float32),
        material=material,
        casts_shadow=casts_shadow,
    )


def to_local(shape: Primitive, *, origins: Floats, directions: Floats) -> tuple[Floats, Floats]:
    """Rays in the unit-shape frame; the affine map keeps the ray parameter.

    Args:
        shape: The primitive.
        origins: float32 [3, N] or [3, 1], metres, world frame.
        directions: float32 [3, N] or [3, 1], world frame, any length.

    Returns:
        Origins and directions, float32, same shapes as given.
    """
    matrix = shape.axes / shape.scale[:, None]
    local_origins: Floats = (matrix @ (origins - shape.centre[:, None])).astype(np.float32, copy=False)
    local_directions: Floats = (matrix @ directions).astype(np.float32, copy=False)
    return local_origins, local_directions


def intersect(shape: Primitive, *, origins: Floats, directions: Floats) -> Floats:
    """Ray parameter of the first hit in front of each origin.

    Args:
        shape: The primitive.
        origins: float32 [3, N] or [3, 1], metres, world frame.
        directions: float32 [3, N] or [3, 1], world frame, any length.

    Returns:
        float32 [N], infinity where the ray misses.
    """
    origin, direction = to_local(shape, origins=origins, directions=directions)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if shape.kind == "plane":
            found = _hit_plane(origin, direction)
        elif shape.kind == "box":
            found = _hit_box(origin, direction)
        elif shape.kind == "sphere":
            found = _hit_sphere(origin, direction)
        else:
            found = _hit_round(origin, direction, *_TAPER[shape.kind])
    return found.astype(np.float32, copy=False)


def _hit_plane(origin: Floats, direction: Floats) -> Floats:
    t = -origin[1] / direction[1]
    inside = (np.abs(origin[0] + t * direction[0]) <= 1.0) & (np.abs(origin[2] + t * direction[2]) <= 1.0)
    return np.where(inside & (t > NEAREST), t, np.float32(np.inf))


def _hit_box(origin: Floats, direction: Floats) -> Floats:
    inverse = 1.0 / direction
    low, high = (-1.0 - origin) * inverse, (1.0 - origin) * inverse
    enter = np.minimum(low, high).max(axis=0)
    leave = np.maximum(low, high).min(axis=0)
    first = np.where(enter > NEAREST, enter, leave)
    return np.where((enter <= leave) & (first > NEAREST), first, np.float32(np.inf))


def _hit_sphere(origin: Floats, direction: Floats) -> Floats:
    a = np.sum(direction * direction, axis=0)
    b = np.sum(origin * direction, axis=0)
    c = np.sum(origin * origin, axis=0) - 1.0
    root = np.sqrt(b * b - a * c)
    near, far = (-b - root) / a, (-b + root) / a
    first = np.where(near > NEAREST, near, far)
    # A miss has a NaN root, and NaN compares false.
    return np.where(first > NEAREST, first, np.float32(np.inf))


def _hit_round(origin: Floats, direction: Floats, a: float, b: float) -> Floats:
    radius = a + b * origin[1]
    slope = b * direction[1]
    qa = direction[0] ** 2 + direction[2] ** 2 - slope**2
    qb = origin[0] * direction[0] + origin[2] * direction[2] - radius * slope
    qc = origin[0] ** 2 + origin[2] ** 2 - radius**2
    root = np.sqrt(qb * qb - qa * qc)
    best = np.full(root.shape, np.inf, dtype=np.float32)
    for t in ((-qb - root) / qa, (-qb + root) / qa):
        good = (t > NEAREST) & (np.abs(origin[1] + t * direction[1]) <= 1.0)
        best = np.where(good & (t < best), t, best)
    for cap in (-1.0, 1.0):
        t = (cap - origin[1]) / direction[1]
        across = (origin[0] + t * direction[0]) ** 2 + (origin[2] + t * direction[2]) ** 2
        good = (t > NEAREST) & (across <= (a + b * cap) ** 2)
        best = np.where(good & (t < best), t, best)
    return best


def surface(shape: Primitive, *, local: Floats) -> tuple[Floats, Floats, Floats]:
    """Normals and metric surface coordinates at points on the shape.

    Args:
        shape: The primitive.
        local: float32 [3, N], points on the unit shape, local frame.

    Returns:
        Outward unit normals in the world frame, float32 [3, N]; u and v along the surface, float32 [N], metres.
    """
    metric = local * shape.scale[:, None]
    if shape.kind == "plane":
        normal = np.zeros_like(local)
        normal[1] = 1.0
        u, v = metric[0], metric[2]
    elif shape.kind == "box":
        normal, u, v = _box_surface(local, metric)
    else:
        normal = local.copy()
        if shape.kind != "sphere":
            a, b = _TAPER[shape.kind]
            cap = np.abs(local[1]) > 1.0 - 1e-4
            normal[1] = np.where(cap, np.sign(local[1]), -b * (a + b * local[1]))
            normal[0] = np.where(cap, 0.0, local[0])
            normal[2] = np.where(cap, 0.0, local[2])
        u, v = np.arctan2(local[0], local[2]) * shape.scale[0], metric[1]
    world = shape.axes.T @ (normal / shape.scale[:, None])
    world /= np.maximum(np.sqrt(np.sum(world * world, axis=0)), 1e-12)
    return world, u, v


def _box_surface(local: Floats, metric: Floats) -> tuple[Floats, Floats, Floats]:
    face = np.argmax(np.abs(local), axis=0)
    normal = np.zeros_like(local)
    columns = np.arange(local.shape[1])
    normal[face, columns] = np.sign(local[face, columns])
    u = np.where(face == 0, metric[2], metric[0])
    v = np.where(face == 1, metric[2], metric[1])
    return normal, u, v
