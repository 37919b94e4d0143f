"""Hard variants of networks: the same function, with channels whose ranges differ by up to ``2^(2 span)``.

Two layers with nothing but positively homogeneous, channelwise operators between them may be rescaled channel by
channel without a change of the function: ``W2 f(W1 x) = (W2 S^-1) f((S W1) x)`` (Nagel et al. 2019, Data-Free
Quantization, section 4.1; there it is used the other way round, to equalize). A quantizer without equalization
loses most of its accuracy on the result, one with it loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

#: What cross-layer equalization passes in every tool that has it. ``Clip`` is not among them: its bounds would move.
ACTIVATIONS = frozenset({"Relu", "LeakyRelu"})

#: All that satisfies ``f(s x) = s f(x)`` for positive ``s``, channel by channel.
HOMOGENEOUS = ACTIVATIONS | {"Resize", "MaxPool", "AveragePool", "GlobalAveragePool"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two convolutions, the tensors from one to the other being read by nobody else.

    Attributes:
        first: its output channels are multiplied.
        second: its input channels are divided; depthwise, grouped or whole.
    """

    first: ir.Node
    second: ir.Node


def pairs(graph: ir.Graph, through: AbstractSet[str] = ACTIVATIONS) -> Iterator[Pair]:
    """Every pair of convolutions with at most operators of ``through`` between them, in the graph's order."""
    for node in graph:
        if node.op_type != "Conv" or not _owned(node):
            continue
        second = _only_reader(node)
        while second is not None and second.op_type in through:
            second = _only_reader(second)
        if second is not None and second.op_type == "Conv" and _owned(second):
            yield Pair(node, second)


def harden(model: ir.Model, *, seed: int = 0, span: float = 4.0, through: AbstractSet[str] = ACTIVATIONS) -> int:
    """Rescale every pair in place by ``s_c``, log-uniform in ``2^-span..2^span``.

    Args:
        model: float, with convolutions whose weights are initializers.
        seed: of the factors.
        span: the largest exponent.
        through: the operators that may stand between two convolutions; of ``HOMOGENEOUS``.

    Returns:
        How many pairs were rescaled.
    """
    random = np.random.default_rng(seed)
    done = 0
    for pair in pairs(model.graph, through):
        channels = _weight(pair.first).shape[0]
        factors = np.exp2(random.uniform(-span, span, channels))
        _multiply_outputs(pair.first, factors)
        _divide_inputs(pair.second, factors)
        done += 1
    return done


def _only_reader(node: ir.Node) -> ir.Node | None:
    """The node that alone reads a node's output, as its data."""
    out = node.outputs[0]
    uses = tuple(out.uses())
    if len(node.outputs) != 1 or out.is_graph_output() or len(uses) != 1 or uses[0].idx != 0:
        return None
    return uses[0].node


def _owned(node: ir.Node) -> bool:
    """Whether weight and bias are constants that no other node reads."""
    constants = [value for value in node.inputs[1:] if value is not None]
    return all(value.const_value is not None and len(tuple(value.uses())) == 1 for value in constants)


def _weight(node: ir.Node) -> NDArray[np.float64]:
    return _values(node.inputs[1])


def _values(value: ir.Value | None) -> NDArray[np.float64]:
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float64)


def _store(value: ir.Value | None, array: NDArray[np.float64]) -> None:
    assert value is not None
    value.const_value = ir.Tensor(array.astype(np.float32), name=value.name)


def _multiply_outputs(node: ir.Node, factors: NDArray[np.float64]) -> None:
    _store(node.inputs[1], _weight(node) * factors[:, None, None, None])
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        _store(node.inputs[2], _values(node.inputs[2]) * factors)


def _divide_inputs(node: ir.Node, factors: NDArray[np.float64]) -> None:
    """Output ``o`` of a convolution in ``g`` groups reads the inputs of group ``o // (O / g)``."""
    weight = _weight(node)
    outputs, per_group = weight.shape[:2]
    groups = factors.size // per_group
    group = np.arange(outputs) // (outputs // groups)
    read = group[:, None] * per_group + np.arange(per_group)[None, :]
    _store(node.inputs[1], weight / factors[read][:, :, None, None])
