"""PyTorch to ONNX: static shapes, one file, the same bytes for the same network."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from depthdeploy.core.depth import DepthContract, InputContract
from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import ModelError, ToolchainMissing
from depthdeploy.frontend.store_onnx import INPUT, OUTPUT, store

if TYPE_CHECKING:
    import torch

#: The version of the operator set: ``LayerNormalization`` (17) and ``Resize`` with its rules spelled out (18).
OPSET = 18


def export_torch(
    module: torch.nn.Module, *, name: str, contract: InputContract, depth: DepthContract, out: Path
) -> OnnxModel:
    """A network in evaluation mode as an ONNX file with input ``image`` and output ``depth``.

    Args:
        module: takes ``[1, 3, H, W]`` float32 and gives ``[1, 1, H, W]`` or ``[1, H, W]`` float32.
        name: the network's name in reports.
        contract: its size is the graph's.
        depth: what the output means.
        out: where to; replaced when all is written.

    Raises:
        ToolchainMissing: PyTorch is not installed.
        ModelError: the exporter refuses the network (its message is kept), or the output is no depth map.
        StorageError: the disk is full, or the folder cannot be written.
    """
    try:
        import torch
    except ImportError as cause:
        raise ToolchainMissing(
            f"{name} is a PyTorch network, and PyTorch is not installed.", 'pip install "depthdeploy[export]"'
        ) from cause
    example = torch.zeros(contract.shape, dtype=torch.float32)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as cause:
            reason = str(cause).strip().splitlines() or [type(cause).__name__]
            raise ModelError(
                f"PyTorch cannot export {name} at {contract.height}x{contract.width}: {reason[0]}",
                "Check that the network takes this size; the exporter's own report names the operator.",
            ) from cause
    if program is None:
        raise ModelError(f"PyTorch exported nothing for {name}.", "Check the installed version of PyTorch.")
    graph: ir.Model = program.model
    _check_ends(graph, name, contract)
    return store(graph, out, name=name, contract=contract, depth=depth)


def _check_ends(graph: ir.Model, name: str, contract: InputContract) -> None:
    """One input of the contract's shape, one depth map of the contract's size."""
    inputs = [(value.name, None if value.shape is None else tuple(value.shape)) for value in graph.graph.inputs]
    outputs = [(value.name, None if value.shape is None else tuple(value.shape)) for value in graph.graph.outputs]
    allowed = ((1, 1, contract.height, contract.width), (1, contract.height, contract.width))
    if inputs != [(INPUT, contract.shape)] or len(outputs) != 1 or outputs[0][1] not in allowed:
        raise ModelError(
            f"{name} was exported with inputs {inputs} and outputs {outputs}; expected {INPUT} {contract.shape} and "
            f"one depth map {allowed[0]}.",
            "Let the network return one float32 tensor of the input's size.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says to its own developers: deprecations inside PyTorch, absent optional packages."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for source in ("torch", "copyreg", "onnxscript", "onnx_ir"):  # copyreg: PyTorch's, while it copies a tree
                warnings.filterwarnings("ignore", module=source)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
