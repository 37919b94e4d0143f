"""A graph laid out as a strip of nodes that can be cut anywhere: what lies before a cut is computed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """The nodes of a graph in an order that keeps every unit together.

    Attributes:
        graph: the graph, its constants initializers.
        nodes: every node, in a topological order.
        opsets: domain -> version.
    """

    graph: ir.Graph
    nodes: tuple[ir.Node, ...]
    opsets: Mapping[str, int]

    @classmethod
    def of(cls, model: ir.Model) -> Strip:
        """Lay a graph out. Its ``Constant`` nodes become initializers in place."""
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        absorbed = topology.absorbed(model.graph)
        units = {unit[-1]: unit for unit in (topology.unit(node) for node in model.graph if node not in absorbed)}
        early = {member for unit in units.values() for member in unit[:-1]}
        order = [member for node in model.graph if node not in early for member in units.get(node, (node,))]
        return cls(model.graph, tuple(order), dict(model.graph.opset_imports))

    def frontier(self, at: int) -> tuple[str, ...]:
        """The tensors made before a cut that are read behind it, or that the graph gives."""
        made = {*self.graph.inputs, *(value for node in self.nodes[:at] for value in node.outputs)}
        read = (value for node in self.nodes[at:] for value in node.inputs if value is not None)
        return tuple(dict.fromkeys(topology.name_of(value) for value in (*read, *self.graph.outputs) if value in made))

    def session(
        self,
        start: int,
        stop: int,
        outputs: Iterable[str],
        constants: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> OnnxSession:
        """The nodes from ``start`` up to ``stop`` as a graph of their own.

        Args:
            start: the first node.
            stop: behind the last node.
            outputs: the tensors that it gives, made by these nodes.
            constants: initializer -> other values.

        Raises:
            ModelError: ONNX Runtime refuses the part.
        """
        nodes = self.nodes[start:stop]
        made = {value for node in nodes for value in node.outputs}
        read = dict.fromkeys(
            value for node in nodes for value in node.inputs if value is not None and value not in made
        )
        inputs = [_info(value) for value in read if not value.is_initializer()]
        tensors = [_tensor(value, constants or {}) for value in read if value.is_initializer()]
        wanted = set(outputs)
        given = [_info(value) for value in made if value.name in wanted]
        graph = onnx.helper.make_graph([ir.to_proto(node) for node in nodes], "part", inputs, given, tensors)
        opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        return OnnxSession(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR).SerializeToString())


#: The oldest format that every opset from 13 up to 21 may be written in.
_IR = 10


def fed(session: OnnxSession, tensors: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
    """Run a part on the tensors that it takes; further ones are left out."""
    taken = {name: tensors[name] for name in session.inputs}
    return dict(zip(outputs, session.run_with(taken, outputs), strict=True))


def _info(value: ir.Value) -> onnx.ValueInfoProto:
    kind = int(value.dtype or ir.DataType.FLOAT)
    shape = value.shape.numpy() if value.shape is not None and value.shape.is_static() else None
    return onnx.helper.make_tensor_value_info(topology.name_of(value), kind, shape)


def _tensor(value: ir.Value, others: Mapping[str, NDArray[np.float32]]) -> onnx.TensorProto:
    name = topology.name_of(value)
    if name in others:
        return onnx.numpy_helper.from_array(others[name], name)
    return onnx.numpy_helper.from_array(np.asarray(topology.constant(value)), name)
