"""Normalisations in older operators: ``LayerNormalization`` (opset 17), ``GroupNormalization`` (18), ``RMS`` (23)."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.edit import given
from depthdeploy.graph.emission import Emission
from depthdeploy.graph.opset.site import Site


def layer_norm(site: Site) -> None:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` over the last axes (Ba et al. 2016)."""
    x, parts = site.value(), site.emission()
    axes = _last_axes(site)
    wide = parts.cast(x, ir.DataType(site.whole("stash_type", 1)), "wide")
    mean = _mean(parts, wide, axes, "mean")
    away = parts.emit("Sub", wide, mean, what="deviation")
    root = _root(site, parts, away, axes)
    normal = parts.cast(parts.emit("Div", away, root, what="normalized"), site.dtype(x), "narrow")
    result = parts.emit("Mul", normal, site.value(1), what="gained")
    bias = given(site.node, 2)
    if bias is not None:
        result = parts.emit("Add", result, bias, what="shifted")
    statistics = [mean, parts.emit("Reciprocal", root, what="inverse")] if len(site.node.outputs) > 1 else []
    parts.finish_all([result, *statistics][: len(site.node.outputs)])


def rms_norm(site: Site) -> None:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` over the last axes (Zhang & Sennrich 2019), in ``stash_type``."""
    x, parts = site.value(), site.emission()
    wide = parts.cast(x, ir.DataType(site.whole("stash_type", 1)), "wide")
    normal = parts.emit("Div", wide, _root(site, parts, wide, _last_axes(site)), what="normalized")
    parts.finish(parts.emit("Mul", parts.cast(normal, site.dtype(x), "narrow"), site.value(1), what="gained"))


def _last_axes(site: Site) -> list[int]:
    rank = site.rank(site.value())
    return list(range(site.whole("axis", -1) % rank, rank))


def _mean(parts: Emission, x: ir.Value, axes: list[int], what: str) -> ir.Value:
    """The form of ``ReduceMean`` before opset 18, or since then; the sets between them differ in nothing else."""
    if parts.version >= 18:
        return parts.emit("ReduceMean", x, parts.whole(axes, f"{what}_axes"), what=what, keepdims=1)
    return parts.emit("ReduceMean", x, what=what, axes=axes, keepdims=1)


def _root(site: Site, parts: Emission, away: ir.Value, axes: list[int]) -> ir.Value:
    variance = _mean(parts, parts.emit("Mul", away, away, what="square"), axes, "variance")
    epsilon = parts.number(site.real("epsilon", 1e-5), "epsilon", like=away)
    return parts.emit("Sqrt", parts.emit("Add", variance, epsilon, what="variance_epsilon"), what="root")


def group_norm(site: Site) -> None:
    """Groups are the channels of an ``InstanceNormalization`` (Wu & He 2018); gain and bias follow, one a channel."""
    x = site.value()
    groups, shape = site.whole("num_groups", 1), site.shape(x)
    if site.whole("stash_type", 1) not in (1, site.dtype(x).value):
        raise site.refuse("has no stash_type in normalisations", "another one", "Export it in float32.")
    parts = site.emission()
    wide = parts.cast(x, ir.DataType(site.whole("stash_type", 1)), "wide")
    normal = parts.cast(_normal_groups(site, parts, wide, groups), site.dtype(x), "narrow")
    column = [shape[1]] + [1] * (len(shape) - 2)
    gain = parts.emit("Reshape", site.value(1), parts.whole(column, "column"), what="gain")
    bias = parts.emit("Reshape", site.value(2), parts.whole(column, "column"), what="bias")
    parts.finish(parts.emit("Add", parts.emit("Mul", normal, gain, what="gained"), bias, what="shifted"))


def group_norm_by_groups(site: Site) -> None:
    """The first form, of opset 18 to 20: gain and bias are one a group."""
    x, groups = site.value(), site.whole("num_groups", 1)
    each = site.shape(x)[1] // groups
    parts = site.emission()
    for index, what in ((1, "gain"), (2, "bias")):
        order = parts.constant(np.repeat(np.arange(groups, dtype=np.int64), each), "order")
        site.node.replace_input_with(index, parts.emit("Gather", site.value(index), order, what=what, axis=0))
    group_norm(site)


def _normal_groups(site: Site, parts: Emission, x: ir.Value, groups: int) -> ir.Value:
    shape = site.shape(x)
    flat = [shape[0], groups, math.prod(shape[1:]) // groups]
    kind = site.dtype(x).numpy()
    gain, bias = parts.constant(np.ones(groups, kind), "ones"), parts.constant(np.zeros(groups, kind), "zeros")
    rows = parts.emit("Reshape", x, parts.whole(flat, "rows"), what="grouped")
    normal = parts.emit(
        "InstanceNormalization", rows, gain, bias, what="normalized", epsilon=site.real("epsilon", 1e-5)
    )
    return parts.emit("Reshape", normal, parts.whole(shape, "shape"), what="ungrouped")
