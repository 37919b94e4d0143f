"""The constants of a graph as tensors, made when they are first read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.errors import QuantizationError
from depthdeploy.quantization import topology


class Constants:
    """Initializers and ``Constant`` nodes by name.

    Args:
        values: the graph's values that hold a tensor.
        device: where their tensors live; those read as numbers live in the host's memory.
    """

    def __init__(self, values: Mapping[str, ir.Value], device: torch.device) -> None:
        self.device = device
        self.names = values
        self._device: dict[str, Tensor] = {}
        self._host: dict[str, Tensor] = {}

    @classmethod
    def of(cls, graph: ir.Graph, device: torch.device) -> Constants:
        """Those of a graph."""
        values = {name: value for name, value in graph.initializers.items() if value.const_value is not None}
        for node in graph:
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                values[topology.name_of(node.outputs[0])] = node.outputs[0]
        return cls(values, device)

    def on_host(self, name: str) -> Tensor:
        """A constant in the host's memory."""
        if name not in self._host:
            self._host[name] = self._tensor(name)
        return self._host[name]

    def on_device(self, name: str) -> Tensor:
        """A constant on the device.

        Raises:
            QuantizationError: there is none of this name, or PyTorch has no such element type.
        """
        if name not in self._device:
            self._device[name] = self._tensor(name).to(self.device)
        return self._device[name]

    def _tensor(self, name: str) -> Tensor:
        value = self.names.get(name)
        stored = None if value is None else ir.convenience.get_const_tensor(value)
        if stored is None:
            raise QuantizationError(f"The graph has no constant {name}.", "Check the name.")
        array = stored.numpy()
        if stored.dtype == ir.DataType.BFLOAT16:
            return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
        try:
            return torch.from_numpy(_owned(array))
        except TypeError as cause:
            raise QuantizationError(
                f"The constant {name} is {stored.dtype.name}, which PyTorch does not compute with.",
                "Choose a recipe without learning.",
            ) from cause


def _owned(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A copy in memory of its own: what is learned must not write into the graph."""
    return np.array(array, order="C", copy=True)
