"""Checkpoints: what is read, and what is refused and how."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from depthdeploy.errors import ModelError
from depthdeploy_models.checkpoint import load_strictly, read_state_dict


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))


def loaded(path: Path) -> nn.Sequential:
    with torch.device("meta"):
        network = small()
    load_strictly(network, read_state_dict(path), source=path)
    return network


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("wrapper", ["bare", "state_dict", "model", "model_state_dict", "module", "untracked"])
def test_pickled_state_dicts_are_read(tmp_path: Path, wrapper: str) -> None:
    network = small()
    state = dict(network.state_dict())
    if wrapper == "untracked":
        del state["1.num_batches_tracked"]
    if wrapper == "module":
        state = {f"module.{key}": value for key, value in state.items()}
    path = tmp_path / "weights.pth"
    torch.save({wrapper: state, "epoch": 3} if wrapper.endswith(("state_dict", "model")) else state, path)
    result = loaded(path)
    assert same_weights(result, network)
    assert not result.training
    assert not any(parameter.requires_grad for parameter in result.parameters())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_transformers_is_read(tmp_path: Path, name: str) -> None:
    network = small()
    state = network.state_dict()
    save_file(state, tmp_path / name) if name.endswith("safetensors") else torch.save(state, tmp_path / name)
    assert same_weights(loaded(tmp_path), network)


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: value.half() if value.dim() == 4 else value for key, value in small().state_dict().items()}, path)
    assert {parameter.dtype for parameter in loaded(path).parameters()} == {torch.float32}
    assert loaded(path).state_dict()["1.num_batches_tracked"].dtype == torch.int64


def test_keys_that_are_never_read_may_be_missing() -> None:
    network = small()
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("0.")}
    load_strictly(network, state, source=Path("weights.pt"), unused=("0.",))
    assert not network.state_dict()["0.weight"].any()


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"0.weight": torch.zeros(1, 2, 3, 3), "stranger": torch.zeros(1), "1.bias": torch.zeros(4)}, path)
    with pytest.raises(ModelError) as caught:
        loaded(path)
    for part in (
        str(path),
        "3 missing (1.running_mean, 1.running_var, 1.weight)",
        "1 unexpected (stranger)",
        "1 misshapen (0.weight [1, 2, 3, 3] instead of [4, 3, 1, 1])",
    ):
        assert part in str(caught.value)


class Whole:
    """Stands for a pickled module: its class is not among those that a safe reader takes."""


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("damaged.safetensors", b"\xff" * 64, "damaged"),
        ("damaged.pt", b"\xff" * 64, "holds more than tensors|damaged"),
        ("cut.pt", b"PK\x03\x04", "damaged"),
        ("empty.pt", b"", "damaged"),
        ("weights.onnx", b"", "--onnx"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, named: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=named):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ({"model": Whole()}, "would run the code inside it"),
        ({"epoch": 3}, "other things than tensors: epoch"),
        ([1, 2], "holds list"),
        ({}, "holds dict"),
    ],
)
def test_files_with_other_things_are_refused(tmp_path: Path, found: object, named: str) -> None:
    path = tmp_path / "weights.pt"
    torch.save(found, path)
    with pytest.raises(ModelError, match=named):
        read_state_dict(path)


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for name in ("missing.pt", "missing.safetensors"):
        with pytest.raises(ModelError, match="cannot be read"):
            read_state_dict(tmp_path / name)
    with pytest.raises(ModelError, match=r"holds none of model\.safetensors"):
        read_state_dict(tmp_path)
