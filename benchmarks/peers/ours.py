"""The project's own quantizer, run as the peers are: a process, the same tensors, a recipe by name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from peers.common import QUANTIZED, Made, Task, main

from depthdeploy import registry
from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.digest import sha256_file
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.graph.legalize import legalize
from depthdeploy.graph_file import read_graph
from depthdeploy.quantization import engine
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.recipes import load_recipe
from depthdeploy.quantization.workbench import Workbench

#: For whom: 8-bit weights, exact on processors with VNNI.
TARGET, VARIANT = "onnxruntime", "cpu-vnni"

#: Of everything random.
SEED = 0


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


@dataclass(frozen=True, slots=True)
class Tensors:
    """The task's photographs as the engine reads them."""

    task: Task
    digest: str = ""

    def __len__(self) -> int:
        return len(self.task.photographs)

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        """The first ``count`` photographs, all by default."""
        return islice(self.task.batches(), count)


def run_ours(recipe: str, legal: LegalModel, scheme: Scheme, task: Task) -> None:
    """Quantize by a recipe of the project, or with an observer alone, as in ``observer:percentile``."""
    alone = recipe.removeprefix("observer:")
    if alone == recipe:
        bench = Workbench(legal.model, scheme, Tensors(task), task.folder / "steps", seed=SEED)
        made = engine.quantize(legal, load_recipe(recipe), bench)
        shutil.copyfile(made.model.path, task.folder / QUANTIZED)
        return
    statistics = observe(
        legal.model,
        task.batches(),
        observer=parse_observer(alone),
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
