"""Compensated rounding: what rounding one weight breaks, the weights still to be rounded mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import with_constants, with_grids
from depthdeploy.quantization.layers import Layer, planned_layers
from depthdeploy.quantization.moments import Moments, patch_moments
from depthdeploy.quantization.patches import as_matrices, from_matrices, geometry
from depthdeploy.quantization.workbench import Draft, Refined, Workbench

Array = NDArray[np.float64]

#: Inputs that are rounded before their errors are carried over to the rest in one matrix product.
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class CompensatedRounding:
    r"""Weights are rounded one input at a time; those not yet rounded make up for the error.

    A layer gives ``W^T u`` for patches ``u``. With the covariance ``H`` of its patches, weights off by ``E`` cost it
    ``tr(E^T H E)``, the mean error being the bias's to correct. The inputs of largest variance are rounded first, and
    every error is carried into what is still to be rounded as the optimum of that quadratic form has it (Frantar et
    al. 2022, *Optimal Brain Compression*, section 5; Frantar et al. 2023, *GPTQ*, arXiv 2210.17323, with the order by
    activations). The factor ``R`` of ``H = R R^T`` gives the carried errors without an inverse, as in Babai's nearest
    plane (Chen et al. 2025, arXiv 2507.18553).

    Rounding the inputs adds ``step^2 / 12`` to every variance. A layer without a bias of its own has the mean errors
    weighed with the rest. Every output channel for which rounding to nearest costs less is rounded to nearest.

    Attributes:
        images: how many photographs are looked at.
        positions: drawn at most from one photograph, for one layer.
        damping: added to every variance, as a share of their mean.
        largest: layers with more weights per output are rounded to nearest: their cost grows with the third power.

    Raises:
        ValueError: a setting is outside its range.
    """

    images: int = 32
    positions: int = 64
    damping: float = 0.01
    largest: int = 1536

    def __post_init__(self) -> None:
        for name in ("images", "positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.damping > 0:
            raise ValueError(f"damping must be positive, got {self.damping}")

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """The draft with weights on their grids and biases corrected by what that shifts; all grids stay.

        Raises:
            QuantizationError: an activation is NaN or infinite.
            CalibrationError: there is no photograph.
            ModelError: the graph cannot be read.
            StorageError: the folder cannot be written.
        """
        stored = topology.load(draft.model)
        found = [(layer, geometry(layer)) for layer in planned_layers(stored.graph, draft.plan)]
        rough = [(layer, how) for layer, how in found if np.any(layer.rounding_error)]
        chosen = [(one, how) for one, how in rough if one.owned and how is not None and how.fan_in <= self.largest]
        left = f"; {len(rough) - len(chosen)} rounded to nearest" if len(rough) > len(chosen) else ""
        if not chosen:
            return Refined(draft, f"no layer's rounding is compensated{left}")
        moments = patch_moments(
            draft.model,
            bench.photographs.first(self.images),
            chosen,
            images=max(1, min(self.images, len(bench.photographs))),
            positions=self.positions,
            seed=bench.seed,
        )
        arrays: dict[str, NDArray[np.floating]] = {}
        costs: list[tuple[float, float]] = []
        for layer, _ in chosen:
            rounded = round_layer(layer, moments[layer.label], self.damping)
            arrays[layer.line.tensor] = rounded.weight
            costs.append((rounded.cost, rounded.nearest))
            if layer.bias:
                bias = np.asarray(topology.constant(stored.graph.initializers[layer.bias]), dtype=np.float64)
                arrays[layer.bias] = bias - rounded.shift.reshape(bias.shape)
        model = with_constants(draft.model, arrays, bench.folder / "compensated.onnx")
        better = replace(draft, model=model, plan=with_grids(model, draft.plan))
        return Refined(better, f"the rounding of {len(chosen)} layers compensated, {_gain(costs)}{left}")


def _gain(costs: Sequence[tuple[float, float]]) -> str:
    ratios = [cost / nearest for cost, nearest in costs if nearest > 0]
    gain = -10 * float(np.mean(np.log10(np.maximum(ratios, 1e-9)))) if ratios else 0.0
    return f"which takes {gain:.1f} dB off a layer's error"


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """What compensated rounding made of one layer.

    Attributes:
        weight: on the grid, float32, shaped as the layer's.
        shift: what the mean of every output channel gained, ``[channels]``.
        cost: the mean square error of the layer's outputs, summed over channels; without the mean where it has a bias.
        nearest: the same of rounding to nearest.
    """

    weight: NDArray[np.float32]
    shift: Array
    cost: float
    nearest: float


def round_layer(layer: Layer, moments: Moments, damping: float) -> Rounded:
    """Round one layer; see :class:`CompensatedRounding`."""
    grid = layer.line.grid
    weight = as_matrices(layer, layer.weight).astype(np.float64)
    scale, zero = (_per_row(layer, values) for values in (grid.scale, grid.zero_point))
    second = moments.covariance.copy()
    if not layer.bias:
        second += moments.mean[:, :, None] * moments.mean[:, None, :]
    if layer.grid is not None:
        diagonal = np.arange(second.shape[1])
        second[:, diagonal, diagonal] += layer.grid.scale[0] ** 2 / 12
    nearest = np.clip(np.rint(weight / scale) + zero, grid.format.qmin, grid.format.qmax)
    integers = _compensate(weight, second, (scale, zero), grid, damping)
    before = _costs(second, (nearest - zero) * scale - weight)
    after = before if integers is None else _costs(second, (integers - zero) * scale - weight)
    if integers is not None:
        nearest = np.where((after < before)[:, None, :], integers, nearest)
    stored = from_matrices(layer, nearest).astype(grid.format.dtype)
    rounded = grid.dequantize(stored)
    error = as_matrices(layer, rounded) - weight
    shift = np.einsum("gk,gkr->gr", moments.mean, error)
    return Rounded(rounded, _channels(layer, shift), float(np.minimum(before, after).sum()), float(before.sum()))


def _per_row(layer: Layer, values: Sequence[float]) -> Array:
    """Scales or zero points as ``[groups, 1, rows]``."""
    grid = layer.line.grid
    shape = [1] * layer.weight.ndim
    if grid.axis is not None:
        shape[grid.axis % layer.weight.ndim] = -1
    # as float32, as they are stored
    spread = np.broadcast_to(np.asarray(values, dtype=np.float32).reshape(shape), layer.weight.shape)
    return as_matrices(layer, spread)[:, :1, :].astype(np.float64)


def _channels(layer: Layer, shift: Array) -> Array:
    """Shifts of rows as shifts of output channels: a transposed convolution has a row per channel and tap."""
    if layer.node.op_type != "ConvTranspose":
        return shift.reshape(-1)
    return np.asarray(shift.reshape(layer.groups * layer.weight.shape[1], -1).mean(axis=1))


def _costs(second: Array, error: Array) -> Array:
    """``diag(E^T H E)`` of every group, ``[groups, rows]``."""
    return np.asarray(np.einsum("gkr,gkr->gr", error, second @ error))


def _compensate(weight: Array, second: Array, ends: tuple[Array, Array], grid: Grid, damping: float) -> Array | None:
    """The integers ``[groups, fan in, rows]``; ``None`` when the moments are singular even with damping."""
    variances = np.diagonal(second, axis1=1, axis2=2)
    order = np.argsort(-variances, axis=1, kind="stable")
    sorted_second = np.take_along_axis(np.take_along_axis(second, order[:, :, None], 1), order[:, None, :], 2)
    diagonal = np.arange(second.shape[1])
    sorted_second[:, diagonal, diagonal] += damping * variances.mean(axis=1, keepdims=True)
    try:
        # flipped both ways, the lower factor of the flipped matrix is the upper one
        factor = np.linalg.cholesky(sorted_second[:, ::-1, ::-1])[:, ::-1, ::-1]
    except np.linalg.LinAlgError:
        return None
    carried = factor / np.diagonal(factor, axis1=1, axis2=2)[:, None, :]
    wanted = np.take_along_axis(weight, order[:, :, None], 1)
    integers = _round_in_order(wanted, carried, ends, grid)
    found = np.empty_like(integers)
    np.put_along_axis(found, order[:, :, None], integers, 1)
    return found


def _round_in_order(wanted: Array, carried: Array, ends: tuple[Array, Array], grid: Grid) -> Array:
    scale, zero = ends[0][:, 0], ends[1][:, 0]
    low, high = grid.format.qmin, grid.format.qmax
    integers, errors = np.empty_like(wanted), np.empty_like(wanted)
    fan_in = wanted.shape[1]
    upward = np.ascontiguousarray(carried.transpose(0, 2, 1))
    for start in range(0, fan_in, _BLOCK):
        end = min(start + _BLOCK, fan_in)
        block = wanted[:, start:end] + upward[:, start:end, :start] @ errors[:, :start]
        for index in range(start, end):
            target = block[:, index - start]
            if index > start:
                target = target + (upward[:, index : index + 1, start:index] @ errors[:, start:index])[:, 0]
            found = np.clip(np.rint(target / scale) + zero, low, high)
            integers[:, index] = found
            errors[:, index] = wanted[:, index] - (found - zero) * scale
    return integers
