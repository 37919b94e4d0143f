"""The input of a network as it will be on a chip, in two steps around quantization.

Before anything is calibrated the network is made to take raw pixels in float32, in the artifact's colour order and as
``[1, 3, H, W]``: calibration, quantization and learning know float tensors of that layout alone. When the graph is
final its door is changed: bytes instead of floats, channels last instead of first.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from depthdeploy.core.depth import InputContract, InputForm, Layout, ResizeRule
from depthdeploy.core.preprocessing import preprocessing_of
from depthdeploy.graph.passes.color_order_reversal import ColorOrderReversal
from depthdeploy.graph.passes.input_bytes import InputBytes
from depthdeploy.graph.passes.input_layout import InputLayout
from depthdeploy.graph.passes.normalization_extraction import extract_normalization
from depthdeploy.graph.passes.normalization_folding import Borders, NormalizationFolding


def prepare_input(
    model: ir.Model, contract: InputContract, wanted: InputContract, *, borders: Borders = Borders.CHANNEL
) -> InputContract:
    """Take the first step, in place: photographs give the same depth under the new contract as under the old one.

    Args:
        model: the canonical graph.
        contract: what it takes.
        wanted: what the artifact is to take.
        borders: what becomes of padded convolutions when the normalisation goes into the network.

    Returns:
        What the graph takes now: channels first, in the wanted colour order, raw float32 pixels where bytes are wanted.
        The same contract when nothing is wanted that differs.
    """
    if wanted == contract:
        return contract
    if contract.layout is Layout.NHWC:
        InputLayout(Layout.NCHW)(model)
        contract = replace(contract, layout=Layout.NCHW)
    if wanted.color is not contract.color:
        ColorOrderReversal()(model)
        contract = contract.recolored(wanted.color)
    if wanted.form is not InputForm.NORMALIZED and contract.form is InputForm.NORMALIZED:
        if contract.resize is not ResizeRule.PAD:  # it fills with the contract's mean: that must not become another one
            contract = extract_normalization(model, contract)
        units = preprocessing_of(contract)
        NormalizationFolding(units.mean, units.std, borders)(model)
        contract = replace(contract, form=InputForm.RAW)
    return contract


def finish_input(model: ir.Model, contract: InputContract, wanted: InputContract) -> InputContract:
    """Take the second step, in place, on the float or Q/DQ graph; what the graph takes then."""
    if wanted.form is InputForm.UINT8 and contract.form is InputForm.RAW:
        InputBytes()(model)
        contract = replace(contract, form=InputForm.UINT8)
    if wanted.layout is not contract.layout:
        InputLayout(wanted.layout)(model)
        contract = replace(contract, layout=wanted.layout)
    return contract
