"""Exports pico's packaged graph from its weights: any sides that are multiples of 32, the same bytes every time.

Run from the repository root, after training:

    python models/export_pico.py
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from torch.export import Dim

from depthdeploy_models.pico import plugin

_FOLDER = Path(__file__).parent / "depthdeploy_models" / "pico"
_OPSET = 18
#: Largest difference to PyTorch, as a part of the output's range.
_TOLERANCE = 1e-4
#: Where the graph is compared with PyTorch: the default size, and two that it was not traced at.
_SIZES = ((192, 256), (256, 192), (96, 320))


def main() -> None:
    """Export, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=_FOLDER / "pico.safetensors", help="the trained weights")
    parser.add_argument("--out", type=Path, default=_FOLDER / "pico.onnx", help="the graph")
    options = parser.parse_args()
    network = plugin.build(options.weights, plugin.card.input)
    model = exported(network)
    difference = max(_difference(network, model, size) for size in _SIZES)
    if not difference <= _TOLERANCE:
        raise SystemExit(f"the graph differs from PyTorch by {difference:.1e} of the output's range")
    temporary = options.out.with_suffix(".part")
    temporary.write_bytes(_serialized(model))
    temporary.replace(options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes, within {difference:.1e} of PyTorch")


def exported(network: torch.nn.Module) -> ir.Model:
    """The graph with input ``image`` ``[1, 3, height, width]`` and output ``depth`` ``[1, 1, height, width]``."""
    card = plugin.card
    image = torch.zeros(card.input.shape)
    multiple = card.input.multiple
    shape = {2: multiple * Dim("rows", min=2, max=64), 3: multiple * Dim("columns", min=2, max=64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own future
        program = torch.onnx.export(
            network,
            (image,),
            dynamic_shapes=(shape,),
            input_names=["image"],
            output_names=["depth"],
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise SystemExit("PyTorch exported nothing")
    model: ir.Model = program.model
    _strip(model)
    for value in (*model.graph.inputs, *model.graph.outputs):
        channels = 3 if value.name == "image" else 1
        value.shape = ir.Shape([1, channels, "height", "width"])
    return model


def _strip(model: ir.Model) -> None:
    """Drop what says where and by which version of PyTorch it was made, so that the bytes depend on the weights."""
    model.producer_name, model.producer_version, model.doc_string = "depthdeploy", None, None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None


def _serialized(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def _difference(network: torch.nn.Module, model: ir.Model, size: tuple[int, int]) -> float:
    """The largest difference between graph and network on noise of one size, as a part of the output's range."""
    image = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    session = onnxruntime.InferenceSession(_serialized(model), providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(None, {"image": image})[0])
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    span = float(expected.max() - expected.min()) or 1.0
    return float(np.abs(found - expected).max()) / span


if __name__ == "__main__":
    main()
