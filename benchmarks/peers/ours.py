"""The project's own quantizer, run as the peers are: a process, the same tensors, a recipe by name."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import onnx_ir as ir
from peers.common import QUANTIZED, Made, Task, main

from depthdeploy import registry
from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.digest import sha256_file
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.graph.legalize import legalize
from depthdeploy.graph_file import read_graph
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan

#: For whom: 8-bit weights, exact on processors with VNNI.
TARGET, VARIANT = "onnxruntime", "cpu-vnni"


def opened(path: Path) -> OnnxModel:
    """A canonical graph in a file; what its numbers mean is of no concern to a quantizer."""
    graph = read_graph(path)
    image, depth = (_spec(values[0]) for values in (graph.graph.inputs, graph.graph.outputs))
    contract = InputContract(image.shape[2], image.shape[3])
    meaning = DepthContract(DepthKind.INVERSE_DEPTH)
    opset = graph.opset_imports[""]
    return OnnxModel(path, sha256_file(path), opset, image, depth, contract, meaning, path.stem)


def _spec(value: ir.Value) -> TensorSpec:
    return TensorSpec(value.name or "", "float32", tuple(int(str(side)) for side in value.shape or ()))


def run_ours(recipe: str, legal: LegalModel, scheme: Scheme, task: Task) -> None:
    """Quantize by a recipe: an observer's name, as after ``--observer``."""
    statistics = observe(
        legal.model,
        task.batches(),
        observer=parse_observer(recipe),
        calibration_digest="",
        images=len(task.photographs),
    )
    apply_plan(legal, make_plan(legal.model, statistics, scheme), task.folder / QUANTIZED)


def quantize(task: Task) -> Made:
    """``recipe``: what :func:`run_ours` takes; ``target=NAME:VARIANT`` for other number formats."""
    name, _, variant = task.options.get("target", f"{TARGET}:{VARIANT}").partition(":")
    target = registry.targets[name]
    capabilities = target.capabilities
    legal = legalize(opened(task.model), target, variant, task.folder / "legal.onnx")
    scheme = capabilities.variants[variant].schemes["int8"]
    run_ours(task.recipe, legal, scheme, task)
    settings = f"{task.recipe}, {name} {variant}: weights {scheme.weights}, activations {scheme.activations}"
    return Made("depthdeploy", version("depthdeploy"), settings)


if __name__ == "__main__":
    main(quantize)
