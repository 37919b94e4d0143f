"""Channel mixing: the same function, finer grids where channels are alike, and nothing beyond linear groups."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.mixing import ChannelMixing, _levelling
from depthdeploy.quantization.observers import MinMax
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import apply_plan
from depthdeploy.quantization.workbench import Workbench
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import assert_same_function

Store = Callable[[onnx.ModelProto], OnnxModel]
Legal = Callable[[OnnxModel], LegalModel]
Tensor = NDArray[np.float32]

W8A8 = Scheme(
    "u8s8",
    NumberFormat(8, True, True, Granularity.CHANNEL),
    NumberFormat(8, False, False, Granularity.TENSOR),
    frozenset({"Add", "Conv", "Pad", "Resize"}),
)


@dataclass(frozen=True)
class Photographs:
    tensors: list[Tensor]
    digest: str = "drawn"

    def __len__(self) -> int:
        return len(self.tensors)

    def first(self, count: int | None = None) -> Iterator[Tensor]:
        return iter(self.tensors[:count])


@pytest.fixture
def bench(tmp_path: Path, photos: list[Tensor]) -> Callable[[OnnxModel], Workbench]:
    return lambda model: Workbench(model, W8A8, Photographs(photos), tmp_path / "bench")


def bottlenecks() -> onnx.ModelProto:
    """An inverted residual and a 3x3 reader of its sum; ``w1`` has channels much alike, as bottlenecks have."""
    proto = build(
        """
        bottlenecks (float[1,3,32,32] image) => (float[1,1,32,32] depth)
        <float[12,3,3,3] w1, float[12] b1, float[24,12,1,1] w2, float[24] b2, float[12,24,1,1] w3, float[12] b3,
         float[8,12,3,3] w4, float[8] b4, float[1,8,1,1] w5, float[1] b5>
        {
            stem = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (image, w1, b1)
            wide = Conv <kernel_shape=[1,1]> (stem, w2, b2)
            act = Relu (wide)
            narrow = Conv <kernel_shape=[1,1]> (act, w3, b3)
            sum = Add (narrow, stem)
            head = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (sum, w4, b4)
            live = Relu (head)
            depth = Conv <kernel_shape=[1,1]> (live, w5, b5)
        }"""
    )
    w1 = next(tensor for tensor in proto.graph.initializer if tensor.name == "w1")
    array = onnx.numpy_helper.to_array(w1)
    alike = (0.1 * array + array.mean(axis=0, keepdims=True)).astype(np.float32)
    w1.CopyFrom(onnx.numpy_helper.from_array(alike, "w1"))
    return proto


def loss(model: OnnxModel, prepared: OnnxModel, legal: LegalModel, photos: list[Tensor], out: Path) -> float:
    """Noise in the place of signal, of activations alone, dB."""
    statistics = observe(prepared, photos, observer=MinMax(), calibration_digest="drawn", images=len(photos))
    quantized = apply_plan(
        LegalModel(prepared, "test", "any", legal.support), make_plan(prepared, statistics, W8A8), out
    )
    reference, exact = OnnxSession(model.path), OnnxSession(quantized.model.path, exact=True)
    pairs = [(reference.predict(photo).astype(np.float64), exact.predict(photo)) for photo in photos]
    noise = sum(float(((wanted - found) ** 2).sum()) for wanted, found in pairs)
    return 10 * float(np.log10(noise / sum(float((wanted**2).sum()) for wanted, _ in pairs)))


def test_the_function_stays_and_the_loss_falls(
    store: Store, legal: Legal, bench: Callable[..., Workbench], photos: list[Tensor], tmp_path: Path
) -> None:
    model = store(bottlenecks())
    made = ChannelMixing()(model, bench(model))
    assert made.detail == "channels of 1 of 1 linear groups mixed"
    assert_same_function(onnx.load(model.path), onnx.load(made.model.path))
    before = loss(model, model, legal(model), photos, tmp_path / "before.onnx")
    after = loss(model, made.model, legal(model), photos, tmp_path / "after.onnx")
    assert after < before - 1


@pytest.mark.parametrize("name", ["residual_block", "conv_batch_norm_relu6", "concat_decoder"])
def test_behind_an_activation_function_nothing_is_mixed(
    name: str, store: Store, bench: Callable[..., Workbench]
) -> None:
    model = store(graphs.all_graphs()[name])
    assert ChannelMixing()(model, bench(model)).model is model


def test_the_same_bytes_every_time(store: Store, bench: Callable[..., Workbench]) -> None:
    model = store(bottlenecks())
    assert len({ChannelMixing()(model, bench(model)).model.sha256 for _ in range(2)}) == 1


def test_plane_rotations_level_the_channels() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((9, 9)) * 10.0 ** rng.uniform(-2, 2, 9)[:, None]
    rotation = _levelling(np.eye(9), root @ root.T)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(9), atol=1e-9)
    energies = np.diag(rotation @ root @ root.T @ rotation.T)
    np.testing.assert_allclose(energies, energies.mean(), rtol=1e-6)
