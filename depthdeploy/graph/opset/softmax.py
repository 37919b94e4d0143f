"""``Softmax``, ``LogSoftmax`` and ``Hardmax`` work along one axis since opset 13, over all axes from one on before."""

from __future__ import annotations

import math

from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.opset.site import Site


def coerced(site: Site) -> None:
    """Where nothing lies behind the axis both mean the same; elsewhere the axis is moved to the end and back."""
    x = site.value()
    rank, shape = site.rank(x), static_shape(x)
    axis = site.whole("axis", -1) % max(rank, 1)
    behind = None if shape is None else math.prod(shape[axis + 1 :])
    if axis == rank - 1 or behind == 1:
        site.put("axis", axis)
        return
    order = [other for other in range(rank) if other != axis] + [axis]
    parts = site.emission()
    moved = parts.emit("Transpose", x, what="moved", perm=order)
    found = parts.emit(site.node.op_type, moved, what="last", axis=rank - 1)
    parts.finish(parts.emit("Transpose", found, what="back", perm=[order.index(one) for one in range(rank)]))
