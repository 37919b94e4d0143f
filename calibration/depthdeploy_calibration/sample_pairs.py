"""Point pairs drawn from exact depth, as an annotator would choose them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from depthdeploy.plugin import PointPair

_PAIRS: Final = 10
_RATIO: Final = 1.3
_CANDIDATES: Final = 400
_WINDOW: Final = 7
_FLAT: Final = 1.1


def drawn_pairs(depth: NDArray[np.float32], *, seed: int) -> tuple[PointPair, ...]:
    """Up to ten pairs of points with clearly different depths.

    Both points lie on measured surfaces whose 7x7 surroundings differ by less than 10 % in depth, so that no label
    hangs on a pixel of an outline, and their depths have a ratio of 1.3 or more.

    Args:
        depth: metres, ``[H, W]`` float32, 0 where there is none.
        seed: of the choice.
    """
    around = sliding_window_view(depth, (_WINDOW, _WINDOW))
    near, far = around.min(axis=(2, 3)), around.max(axis=(2, 3))
    rows, columns = np.nonzero((near > 0) & (far < near * _FLAT))
    if len(rows) < 2:
        return ()
    rng = np.random.default_rng([seed, 2])
    drawn = rng.integers(0, len(rows), (_CANDIDATES, 2))
    points = np.stack([rows[drawn], columns[drawn]], axis=2) + _WINDOW // 2
    depths = depth[points[..., 0], points[..., 1]]
    nearer = depths.argmin(axis=1)
    clear = depths.max(axis=1) >= depths.min(axis=1) * np.float32(_RATIO)
    return tuple(
        PointPair(_point(points[index, nearer[index]]), _point(points[index, 1 - nearer[index]]))
        for index in np.flatnonzero(clear)[:_PAIRS]
    )


def _point(values: NDArray[np.integer]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
