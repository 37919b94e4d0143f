"""Graphs on disk, their statistics, and schemes to quantize them with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.digest import sha256_file
from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.core.support import Support
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.workbench import Draft, Workbench

Store = Callable[[onnx.ModelProto], OnnxModel]
Schemes = Callable[..., Scheme]

OPERATORS = frozenset(
    {"Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Flatten", "Gemm", "GlobalAveragePool", "MatMul"}
    | {"MaxPool", "Pad", "Relu", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
    return TensorSpec(value.name, "float32", shape)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A graph as a stored model."""

    def stored(proto: onnx.ModelProto) -> OnnxModel:
        path = tmp_path / f"{proto.graph.name}.onnx"
        onnx.save(proto, path)
        entry, out = _spec(proto.graph.input[0]), _spec(proto.graph.output[0])
        contract = InputContract(entry.shape[2], entry.shape[3])
        depth = DepthContract(DepthKind.INVERSE_DEPTH)
        opset = proto.opset_import[0].version
        return OnnxModel(path, sha256_file(path), opset, entry, out, contract, depth, proto.graph.name)

    return stored


@pytest.fixture
def legal() -> Callable[[OnnxModel], LegalModel]:
    """A stored model as one that a target accepts."""
    return lambda model: LegalModel(model, "test", "any", Support(()))


@pytest.fixture
def photos() -> list[NDArray[np.float32]]:
    """Eight tensors in the place of photographs, of different contrast."""
    rng = np.random.default_rng(7)
    return [(rng.standard_normal((1, 3, 32, 32)) * (0.5 + 0.25 * index)).astype(np.float32) for index in range(8)]


@pytest.fixture
def scheme() -> Schemes:
    """uint8 activations and int8 per-channel weights, as CPUs have them, with exceptions by name."""

    def made(
        *,
        bits: int = 8,
        operators: frozenset[str] = OPERATORS,
        quantize_output: bool = False,
        activations: NumberFormat | None = None,
        granularity: Granularity = Granularity.CHANNEL,
    ) -> Scheme:
        weights = NumberFormat(bits, True, True, granularity)
        chosen = activations or NumberFormat(8, False, False, Granularity.TENSOR)
        return Scheme(f"u8s{bits}", weights, chosen, operators, quantize_output)

    return made


@dataclass(frozen=True)
class Listed:
    """Photographs in a list."""

    tensors: list[NDArray[np.float32]]
    digest: str = "listed"

    def __len__(self) -> int:
        return len(self.tensors)

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        return iter(self.tensors[:count])


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[Draft, Scheme, list[NDArray[np.float32]]], Workbench]:
    """A workbench for a draft."""

    def made(draft: Draft, scheme: Scheme, photos: list[NDArray[np.float32]]) -> Workbench:
        folder = tmp_path / "refined"
        folder.mkdir(exist_ok=True)
        return Workbench(draft.model, scheme, Listed(photos), folder)

    return made


@pytest.fixture
def preparing(tmp_path: Path, photos: list[NDArray[np.float32]]) -> Callable[..., Workbench]:
    """A workbench for a preparation of a graph: 8 bits, a grid per output channel and per activation."""
    weights = NumberFormat(8, True, True, Granularity.CHANNEL)
    activations = NumberFormat(8, False, False, Granularity.TENSOR)

    def made(
        model: OnnxModel, *further: str, seen: list[NDArray[np.float32]] | None = None, folder: str = "prepared"
    ) -> Workbench:
        scheme = Scheme("u8s8", weights, activations, frozenset({"Add", "Conv", "Pad", "Resize", *further}))
        return Workbench(model, scheme, Listed(seen or photos), tmp_path / folder)

    return made


@pytest.fixture
def sqnr(tmp_path: Path, photos: list[NDArray[np.float32]]) -> Callable[[OnnxModel, Workbench], float]:
    """SQNR in dB of a prepared graph with min-max ranges, executed exactly, against its bench's reference."""

    def measured(prepared: OnnxModel, bench: Workbench) -> float:
        statistics = observe(prepared, photos, observer=MinMax(), calibration_digest="", images=len(photos))
        plan = make_plan(prepared, statistics, bench.scheme)
        quantized = apply_plan(LegalModel(prepared, "test", "any", Support(())), plan, tmp_path / "quantized.onnx")
        reference, exact = OnnxSession(bench.reference.path), OnnxSession(quantized.model.path, exact=True)
        pairs = [(reference.predict(photo).astype(np.float64), exact.predict(photo)) for photo in photos]
        noise = sum(float(((wanted - found) ** 2).sum()) for wanted, found in pairs)
        return 10 * float(np.log10(sum(float((wanted**2).sum()) for wanted, _ in pairs) / noise))

    return measured
