"""Where learning runs: what the user wants, as far as PyTorch has it."""

import pytest

from depthdeploy.core.recipe import Recipe, Step
from depthdeploy.errors import UsageError
from depthdeploy.quantization import algorithms

torch = pytest.importorskip("torch")

LEARNS = Recipe("learns", "x", refine=(Step("adaround"),))
PLAIN = Recipe("plain", "x")


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        (True, "auto", "cuda"),
        (True, "cpu", "cpu"),
        (True, "cuda", "cuda"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
)
def test_the_device(monkeypatch: pytest.MonkeyPatch, there: bool, wanted: str, found: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert algorithms.device(LEARNS, wanted) == found


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        algorithms.device(LEARNS, "cuda")
    assert algorithms.device(PLAIN, "cuda") == "cpu"  # nothing learns: nothing needs it


def test_the_device_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    assert algorithms.describe_device("cpu") == "cpu"
    assert algorithms.describe_device("cuda") == "the GPU cuda"
