"""The camera's part: exposure, tint, vignette, softness, sensor noise and gamma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthdeploy_calibration.sample.textures import Floats


def develop(light: Floats, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photograph of the light that arrives at the sensor.

    Args:
        light: float32 [3, H, W], linear RGB, not negative, any scale.
        rng: Source of exposure, tint and noise.

    Returns:
        uint8 [H, W, 3], RGB, gamma-encoded, 0..255.
    """
    _, height, width = light.shape
    middle = float(np.median(light)) + 0.3 * float(light.mean()) + 1e-3
    exposed = light * (float(np.exp(rng.normal(np.log(0.33), 0.3))) / middle)
    exposed = exposed * np.exp(rng.normal(0.0, 0.06, 3)).astype(np.float32)[:, None, None]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    vignette = 1.0 - float(rng.uniform(0.0, 0.25)) * (rows**2 + columns**2) / 2.0
    exposed = exposed * vignette.astype(np.float32)
    exposed = _soften(exposed, float(rng.uniform(0.0, 0.12)))
    # A shoulder instead of a hard clip, as cameras do.
    encoded = (exposed / (1.0 + 0.35 * exposed * exposed) ** 0.5) ** np.float32(1.0 / 2.2)
    grain = rng.standard_normal(encoded.shape, dtype=np.float32) * np.float32(rng.uniform(0.002, 0.015))
    encoded = np.clip((encoded + grain) * np.float32(255.0) + np.float32(0.5), 0.0, 255.0)
    return np.ascontiguousarray(encoded.transpose(1, 2, 0).astype(np.uint8))


def _soften(light: Floats, weight: float) -> Floats:
    """Each pixel mixed with its four neighbours, `weight` from each side of an axis."""
    kernel = np.float32(weight)
    across = light.copy()
    across[:, :, 1:-1] += kernel * (light[:, :, 2:] + light[:, :, :-2] - 2.0 * light[:, :, 1:-1])
    down = across.copy()
    down[:, 1:-1] += kernel * (across[:, 2:] + across[:, :-2] - 2.0 * across[:, 1:-1])
    return down
