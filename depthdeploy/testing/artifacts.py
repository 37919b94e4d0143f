"""From a tiny graph to an artifact, for the tests of targets: handles, images, int8 graphs and their noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.digest import sha256_file
from depthdeploy.core.model import LegalModel, OnnxModel, QuantizedModel
from depthdeploy.core.target import Target
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan

Image = NDArray[np.float32]


def store(model: onnx.ModelProto, path: Path) -> OnnxModel:
    """A handle to a tiny graph with one image input and one depth output, written to ``path`` with every shape."""
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    ends = []
    for value in (model.graph.input[0], model.graph.output[0]):
        shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        ends.append(TensorSpec(value.name, "float32", shape))
    _, _, height, width = ends[0].shape
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    contract, depth = InputContract(height, width), DepthContract(DepthKind.INVERSE_DEPTH)
    return OnnxModel(path, sha256_file(path), opset, ends[0], ends[1], contract, depth, path.stem)


def images(model: OnnxModel, count: int, *, seed: int = 0) -> list[Image]:
    """Smooth images in 0..1, shaped as a graph's input: noise of an eighth of the size, enlarged."""
    generator = np.random.default_rng(seed)
    _, channels, height, width = model.input.shape
    small = generator.uniform(0, 1, (count, 1, channels, -(-height // 8), -(-width // 8)))
    large = small.repeat(8, axis=3).repeat(8, axis=4)[..., :height, :width]
    return list(large.astype(np.float32))


def sqnr_db(reference: Image, candidate: Image) -> float:
    """Signal to quantization noise ratio, decibels; at most 300, which stands for no noise at all."""
    signal = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(np.subtract(reference, candidate, dtype=np.float64)).sum())
    return float(10 * np.log10(signal / max(noise, 1e-30 * signal)))


def quantize(legal: LegalModel, target: Target, out: Path, precision: str = "int8") -> QuantizedModel:
    """A legal tiny graph in integers: ranges of eight images, no algorithm besides."""
    scheme = target.capabilities.variants[legal.variant].schemes[precision]
    seen = images(legal.model, 8, seed=1)
    statistics = observe(legal.model, seen, observer=MinMax(), calibration_digest="", images=len(seen))
    return apply_plan(legal, make_plan(legal.model, statistics, scheme), out)
