"""Gamma and beta of a layer normalization become part of the layers behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from depthdeploy.core.model import OnnxModel
from depthdeploy.graph_file import write_graph
from depthdeploy.quantization import topology
from depthdeploy.quantization.fan import Fan, affine, affine_inputs, norm_fans
from depthdeploy.quantization.projections import Projection, replace_constant
from depthdeploy.quantization.workbench import Prepared, Workbench


@dataclass(frozen=True, slots=True)
class LayerNormAbsorption:
    """Gamma and beta of every ``LayerNormalization`` that layers alone read go into their weights and biases.

    With ``y = x gamma + beta`` and a layer ``y W + b``, ``x (diag(gamma) W) + (b + beta W)`` is the same; gamma is 1
    and beta 0 afterwards. A layer without a bias gets one where beta is not 0.

    It helps where the outliers of the activations come from gamma and beta, as in trained vision transformers: the
    normalized values have one variance in every token. It harms where the gammas span decades, because the rows of the
    weights then do, and share one scale per output channel. Smoothing finds the balance between the two: its scales
    behind this step are those without it, divided by gamma, so that the gammas cancel (with beta 0, exactly); what this
    step adds to smoothing is that beta no longer shifts the range of the activations.
    """

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Rewrite the graph; its function stays, to rounding. A graph without such places is given back.

        Raises:
            ModelError: the graph cannot be read.
            StorageError: the folder cannot be written.
        """
        stored = topology.load(model)
        done = sum(_absorb(fan) for fan in norm_fans(stored.graph))
        if not done:
            return Prepared(model, "no normalization is read by layers alone")
        out = bench.folder / "layer_norm_absorption.onnx"
        detail = f"gamma and beta of {done} normalizations absorbed"
        return Prepared(replace(model, path=out, sha256=write_graph(stored, out)), detail)


def _absorb(fan: Fan) -> bool:
    """Empty one normalization; whether anything was changed."""
    norm = fan.source
    if isinstance(norm, Projection) or not fan.whole():
        return False
    gamma, *rest = (np.broadcast_to(affine(norm, index), fan.free.shape) for index in affine_inputs(norm))
    beta = rest[0] if rest else np.zeros_like(gamma)
    shifts = bool(beta.any())
    if (shifts and not all(_takes_shift(reader.layer) for reader in fan.readers)) or not (shifts or np.any(gamma != 1)):
        return False
    for reader in fan.readers:
        if shifts:
            reader.layer.add_bias(reader.layer.response(beta[reader.channels]))
        reader.layer.scale_inputs(gamma[reader.channels])
    for index, neutral in zip(affine_inputs(norm), (1.0, 0.0), strict=False):
        replace_constant(norm, index, np.full_like(affine(norm, index), neutral))
    return True


def _takes_shift(layer: Projection) -> bool:
    """Whether a bias stands for a shift of the input: zeros around an image do not shift with it."""
    return not layer.padded() and not layer.result.is_graph_output()
