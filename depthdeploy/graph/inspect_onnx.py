"""What an ONNX file holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.digest import sha256_file
from depthdeploy.errors import ModelError
from depthdeploy.graph.count import parameters_of
from depthdeploy.graph.inspect_text import bytes_by_layer, counted, damaged, largest_rows, ordered, printable
from depthdeploy.graph.passes.shape_inference import ShapeInference
from depthdeploy.graph_file import read_graph
from depthdeploy.operations import macs_of


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """An ONNX file in figures.

    Attributes:
        path: the file.
        sha256: of the file's bytes, without external data.
        bytes: of the file and of its external data.
        ir_version: of the file format.
        opsets: domain -> version; the default domain is ``ai.onnx``.
        producer: name and version of what wrote it.
        inputs: ``name float32[1,3,H,W]`` each.
        outputs: likewise.
        nodes: operator -> how many.
        parameters: values in weights and biases.
        macs: multiply-accumulate operations of one inference; ``None`` where shapes are not static.
        precisions: element type of initializers -> values.
        quantize_nodes: ``QuantizeLinear`` nodes.
        dequantize_nodes: ``DequantizeLinear`` nodes.
        quantized: operator -> how many of its nodes read a dequantized value.
        layer_bytes: node, as in ``Conv name``, -> bytes of the constants it computes with, the largest first.
        metadata: of the file.
    """

    path: Path
    sha256: str
    bytes: int
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: Mapping[str, int]
    parameters: int
    macs: int | None
    precisions: Mapping[str, int]
    quantize_nodes: int
    dequantize_nodes: int
    quantized: Mapping[str, int]
    layer_bytes: Mapping[str, int]
    metadata: Mapping[str, str]

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, for a table."""
        listed = [
            ("format", f"ONNX, IR version {self.ir_version}, opset {counted(self.opsets)}"),
            ("producer", self.producer or "not stated"),
            *(("input", text) for text in self.inputs),
            *(("output", text) for text in self.outputs),
            ("size", f"{self.bytes:,} bytes"),
            ("parameters", f"{self.parameters:,}"),
            ("MACs", "shapes are not static" if self.macs is None else f"{self.macs:,}"),
            ("initializers", counted(self.precisions)),
            ("operators", f"{sum(self.nodes.values())}: {counted(self.nodes)}"),
        ]
        if self.quantize_nodes or self.dequantize_nodes:
            listed.append(("Q/DQ", f"{self.quantize_nodes} quantize, {self.dequantize_nodes} dequantize"))
            listed.append(("quantized operators", counted(self.quantized)))
        listed += largest_rows(self.layer_bytes)
        return [*listed, *sorted(self.metadata.items()), ("sha256", self.sha256)]


def inspect_onnx(path: Path) -> OnnxSummary:
    """Read an ONNX file; nothing is run.

    Raises:
        ModelError: the file is missing or is no ONNX graph.
    """
    model = read_graph(path)
    if not len(model.graph):
        raise ModelError(f"{path} holds no ONNX graph.", "Give an .onnx file, whole.")
    constants = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    for tensor in constants:
        if tensor.dtype is ir.DataType.UNDEFINED:
            raise damaged(path, f"initializer {tensor.name!r} has no element type")
    _infer(model)
    nodes = Counter(printable(node.op_type) for node in model.graph.all_nodes())
    precisions: Counter[str] = Counter()
    for tensor in constants:
        precisions[tensor.dtype.name.lower()] += tensor.size
    external = {Path(tensor.path) for tensor in constants if isinstance(tensor, ir.ExternalTensor)}
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return OnnxSummary(
        path=path,
        sha256=sha256_file(path),
        bytes=sum(file.stat().st_size for file in (path, *external) if file.is_file()),
        ir_version=model.ir_version,
        opsets={printable(domain) or "ai.onnx": version for domain, version in sorted(model.opset_imports.items())},
        producer=printable(" ".join(part for part in (model.producer_name, model.producer_version) if part)),
        inputs=tuple(map(_described, inputs)),
        outputs=tuple(map(_described, model.graph.outputs)),
        nodes=ordered(nodes),
        parameters=parameters_of(model),
        macs=_macs(model),
        precisions=ordered(precisions),
        quantize_nodes=nodes["QuantizeLinear"],
        dequantize_nodes=nodes["DequantizeLinear"],
        quantized=_quantized(model),
        layer_bytes=_layer_bytes(model),
        metadata={printable(key): printable(value) for key, value in model.metadata_props.items()},
    )


def _infer(model: ir.Model) -> None:
    """Shapes for the count of operations, of values alone that have none."""
    if any(value.shape is None for node in model.graph for value in node.outputs):
        ShapeInference()(model)


def _macs(model: ir.Model) -> int | None:
    try:
        return sum(macs_of(node) for node in model.graph.all_nodes())
    except (ModelError, LookupError, ArithmeticError):  # a summary says what can be said, of wrong graphs too
        return None


def _quantized(model: ir.Model) -> dict[str, int]:
    """Operators that read what a ``DequantizeLinear`` gives."""
    found: Counter[str] = Counter()
    for node in model.graph.all_nodes():
        makers = [value.producer() for value in node.inputs if value is not None]
        if node.op_type != "QuantizeLinear" and any(m is not None and m.op_type == "DequantizeLinear" for m in makers):
            found[printable(node.op_type)] += 1
    return ordered(found)


def _layer_bytes(model: ir.Model) -> dict[str, int]:
    """Bytes of initializers and of ``Constant`` nodes by the node that computes with them."""
    constants = {
        value.name: value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    }
    for node in model.graph.all_nodes():
        tensor = node.attributes.get_tensor("value", None) if node.op_type == "Constant" else None
        if tensor is not None:
            constants.update((value.name, tensor.nbytes) for value in node.outputs[:1])
    return bytes_by_layer(
        constants,
        (
            (
                printable(" ".join((node.op_type, node.name or next((str(v.name) for v in node.outputs), "")))),
                [value.name for value in node.inputs if value is not None],
                [value.name for value in node.outputs],
            )
            for node in model.graph.all_nodes()
            if node.op_type != "Constant"
        ),
    )


def _described(value: ir.Value) -> str:
    sizes: Sequence[object] = () if value.shape is None else tuple(value.shape)
    kind = "unknown" if value.dtype in (None, ir.DataType.UNDEFINED) else value.dtype.numpy().name
    return printable(f"{value.name} {kind}[{','.join(str(size) for size in sizes)}]")
