"""The choice of a scene from its seed."""

from __future__ import annotations

import numpy as np

from depthdeploy_calibration.sample.objects import compose_objects
from depthdeploy_calibration.sample.rooms import compose_room
from depthdeploy_calibration.sample.scene import Scene
from depthdeploy_calibration.sample.streets import compose_street


def compose_scene(seed: int) -> Scene:
    """The scene of a seed: a room (40 %), a street or open ground (32 %), or objects close up (28 %)."""
    rng = np.random.default_rng(seed)
    draw = rng.random()
    if draw < 0.40:
        return compose_room(rng)
    if draw < 0.72:
        return compose_street(rng)
    return compose_objects(rng)
