"""What is asked of a network's ends, and the contracts that follow."""

from dataclasses import replace

import pytest

from depthdeploy.core.depth import ColorOrder, DepthContract, DepthKind, InputContract, InputForm, Layout
from depthdeploy.core.ends import EndOptions, TailRule, Taken
from depthdeploy.core.host_tail import HostStep, HostTail
from depthdeploy.core.tensor import TensorSpec
from depthdeploy.errors import UsageError

CONTRACT = InputContract(32, 64, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))


def test_nothing_asked_is_the_networks_own_contract() -> None:
    assert EndOptions().shaped(CONTRACT) == CONTRACT


def test_bytes_keep_the_normalisation_that_is_inside() -> None:
    found = EndOptions(Taken.UINT8, Layout.NHWC, ColorOrder.BGR).shaped(CONTRACT)
    assert found.form is InputForm.UINT8
    assert found.form.dtype == "uint8"
    assert found.shape == (1, 32, 64, 3)
    assert (found.mean, found.std) == ((0.3, 0.2, 0.1), (3.0, 2.0, 1.0))


@pytest.mark.parametrize(
    ("mean", "scale", "fill"),
    [
        ((0.485, 0.456, 0.406), 1.0, (124, 116, 104)),
        ((104.0, 117.0, 123.0), 255.0, (104, 117, 123)),
        ((-1.0, 2.0, 0.0), 1.0, (0, 255, 0)),
    ],
)
def test_padding_is_filled_with_the_nearest_pixel(
    mean: tuple[float, float, float], scale: float, fill: tuple[int, int, int]
) -> None:
    assert replace(CONTRACT, mean=mean, scale=scale).fill == fill


def test_recolouring_twice_changes_nothing() -> None:
    assert CONTRACT.recolored(ColorOrder.BGR).recolored(ColorOrder.RGB) == CONTRACT


def test_two_cuts_contradict_one_another() -> None:
    with pytest.raises(UsageError, match="both say where the network is cut"):
        EndOptions(tail=TailRule.RESIZE, cut_at="head")
    with pytest.raises(UsageError, match="names nothing"):
        EndOptions(cut_at=" ")


def test_a_tail_in_words() -> None:
    spec = TensorSpec("x", "float32", (1, 1, 4, 4))
    tail = HostTail("tail.onnx", "0" * 64, spec, spec, (HostStep("a", "Exp", ""), HostStep("b", "Mul", "2")))
    assert str(tail) == "Exp, then Mul 2"
    assert DepthContract(DepthKind.RELATIVE_DEPTH, tail=tail).kind is DepthKind.RELATIVE_DEPTH
