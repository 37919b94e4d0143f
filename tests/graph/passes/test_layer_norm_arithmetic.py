"""Normalisation in genuine float16: what overflows by the plain rule is right by the guarded one."""

import math
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from depthdeploy.errors import UsageError
from depthdeploy.graph.passes.layer_norm_arithmetic import HalfRange
from depthdeploy.graph.passes.layer_norm_decomposition import LayerNormDecomposition
from depthdeploy.graph.passes.rms_norm_decomposition import RmsNormDecomposition

LARGEST = 65504.0
WIDTH = 384
Half = NDArray[np.float16]


class ReduceMean(OpRun):
    """ONNX's reference adds up in the type of its input; a chip that adds up in float32 stores float16 alone."""

    op_domain = ""

    def _run(
        self, data: Half, axes: NDArray[np.int64], keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> tuple[Half]:
        return (np.mean(data.astype(np.float32), axis=tuple(axes), keepdims=bool(keepdims)).astype(np.float16),)


def activations(scale: float, seed: int = 0) -> Half:
    """Normal values, as float16 holds them."""
    return (np.random.default_rng(seed).normal(size=(1, 4, WIDTH)) * scale).astype(np.float16)


def massive() -> Half:
    """Tokens of a vision transformer: a few channels of thousands among values of about 1."""
    image = activations(1.0)
    image[:, :, 7], image[:, :, 100] = 8000, -3000
    return image


def wide() -> Half:
    """Every channel of thousands: their squares overflow together where each by itself does not."""
    return np.clip(activations(6000.0), -16000, 16000)


def layer_norm(epsilon: float = 1e-6) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        half (float16[1,4,{WIDTH}] image, float16[{WIDTH}] gain, float16[{WIDTH}] shift)
            => (float16[1,4,{WIDTH}] depth)
        {{ depth = LayerNormalization <axis=-1, epsilon={epsilon:.12f}> (image, gain, shift) }}"""
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def in_half(proto: onnx.ModelProto, rule: LayerNormDecomposition, image: Half, *, half_sums: bool) -> Half:
    """The depth of a graph in which every value is float16 and the gain is one."""
    model = ir.from_proto(proto)
    assert rule(model)
    assert all(value.dtype == ir.DataType.FLOAT16 for node in model.graph for value in node.outputs)
    evaluator = ReferenceEvaluator(ir.to_proto(model), new_ops=None if half_sums else [ReduceMean])
    ones, zeros = np.ones(WIDTH, np.float16), np.zeros(WIDTH, np.float16)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        (found,) = evaluator.run(None, {"image": image, "gain": ones, "shift": zeros})
    return np.asarray(found)


def exact(image: Half, epsilon: float = 1e-6) -> NDArray[np.float64]:
    wide = image.astype(np.float64)
    deviation = wide - wide.mean(axis=-1, keepdims=True)
    return np.asarray(deviation / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + epsilon))


def plain(max_abs: float = 127.0, *, half_sums: bool = False) -> LayerNormDecomposition:
    """The factor is 1 for this bound, so that there is none."""
    assert HalfRange(max_abs).scale(1) == 1
    return LayerNormDecomposition(guard_fp16=True, max_abs=max_abs, half_sums=half_sums)


@pytest.mark.parametrize("image", [massive(), wide()], ids=["massive", "wide"])
def test_the_plain_rule_overflows_and_the_guarded_one_is_right(image: Half) -> None:
    assert np.abs(image).max() < 16384
    broken = in_half(layer_norm(), plain(), image, half_sums=False)
    assert (~np.isfinite(broken) | (broken == 0)).all()
    guarded = LayerNormDecomposition(guard_fp16=True, max_abs=16384.0)
    found = in_half(layer_norm(), guarded, image, half_sums=False)
    np.testing.assert_allclose(found, exact(image), rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize("image", [massive(), wide()], ids=["massive", "wide"])
def test_sums_in_half_need_a_smaller_factor(image: Half) -> None:
    one = LayerNormDecomposition(guard_fp16=True, max_abs=16384.0)
    both = LayerNormDecomposition(guard_fp16=True, max_abs=16384.0, half_sums=True)
    found = in_half(layer_norm(), both, image, half_sums=True)
    np.testing.assert_allclose(found, exact(image), rtol=1e-2, atol=1e-2)
    if np.abs(image).mean() > 1000:  # many large values, whose squares overflow together
        assert not np.allclose(in_half(layer_norm(), one, image, half_sums=True), exact(image), atol=1)


def test_small_rows_beside_large_ones_keep_their_digits() -> None:
    image = massive()
    image[:, 1] = activations(0.25)[:, 1]
    found = in_half(layer_norm(), LayerNormDecomposition(guard_fp16=True), image, half_sums=False)
    np.testing.assert_allclose(found, exact(image), rtol=2e-2, atol=2e-2)


def test_a_tight_bound_keeps_deviations_whose_squares_vanish_by_the_plain_rule() -> None:
    image = activations(2e-4, seed=1)
    assert not np.allclose(in_half(layer_norm(1e-12), plain(), image, half_sums=False), exact(image, 1e-12), atol=0.1)
    tight = LayerNormDecomposition(guard_fp16=True, max_abs=0.01)
    found = in_half(layer_norm(1e-12), tight, image, half_sums=False)
    np.testing.assert_allclose(found, exact(image, 1e-12), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-6])
def test_constant_rows_are_zero_and_not_undefined(epsilon: float) -> None:
    image = np.full((1, 4, WIDTH), 4096, np.float16)
    guarded = LayerNormDecomposition(guard_fp16=True, max_abs=16384.0)
    found = in_half(layer_norm(epsilon), guarded, image, half_sums=False)
    assert (found == 0).all()


@pytest.mark.parametrize("half_sums", [False, True])
@pytest.mark.parametrize("epsilon", [1e-5, 1e-6, 1e-12])
def test_by_row_every_size_is_right_at_once(epsilon: float, half_sums: bool) -> None:
    image = massive()
    image[:, 1], image[:, 2], image[:, 3] = wide()[:, 1], activations(0.01)[:, 2], 4096
    rule = LayerNormDecomposition(guard_fp16=True, max_abs=16384.0, by_row=True, half_sums=half_sums)
    found = in_half(layer_norm(epsilon), rule, image, half_sums=half_sums)
    np.testing.assert_allclose(found, exact(image, epsilon), rtol=2e-2, atol=2e-2)
    assert (found[:, 3] == 0).all()


@pytest.mark.parametrize(("max_abs", "half_sums"), [(1000.0, False), (65504.0, False), (65504.0, True)])
def test_by_row_only_what_passes_float16_by_itself_is_scaled(max_abs: float, half_sums: bool) -> None:
    scale = HalfRange(max_abs, half_sums, by_row=True).scale(WIDTH)
    assert scale == (1.0 if max_abs == 1000 else 0.5 if not half_sums else 2.0**-9)


@given(max_abs=st.floats(1e-3, LARGEST), count=st.integers(1, 1 << 17), centred=st.booleans(), half=st.booleans())
def test_the_factor_is_the_largest_power_of_two_that_is_safe(
    max_abs: float, count: int, centred: bool, half: bool
) -> None:
    scale = HalfRange(max_abs, half).scale(count, centred=centred)
    assert math.frexp(scale)[0] == 0.5
    together = count if half else 1

    def safe(factor: float) -> bool:
        square = ((2 if centred else 1) * max_abs * factor) ** 2
        return max(together * square, together * max_abs * factor) <= LARGEST * (1 + 1e-12)

    assert safe(scale)
    assert not safe(2 * scale)


@pytest.mark.parametrize("rule", [LayerNormDecomposition, RmsNormDecomposition])
@pytest.mark.parametrize("bound", [0.0, -1.0, 1e6, math.nan])
def test_bounds_that_are_none_are_refused(
    rule: type[LayerNormDecomposition] | type[RmsNormDecomposition], bound: float
) -> None:
    with pytest.raises(UsageError, match="Activations up to"):
        rule(guard_fp16=True, max_abs=bound)(ir.from_proto(layer_norm()))
