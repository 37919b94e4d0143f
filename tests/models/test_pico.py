"""Pico: its plug-in, and the export of its graph."""

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from depthdeploy.errors import ModelError
from depthdeploy.plugin import WeightsFormat
from depthdeploy_calibration.sample.scene import MEASURING_RANGE
from depthdeploy_models.pico import plugin
from depthdeploy_models.pico.model import build

PACKAGED = Path(plugin.card.weights.packaged)
needs_graph = pytest.mark.skipif(not PACKAGED.is_file(), reason="pico has not been trained yet: no pico.onnx")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pico") / "pico.safetensors"
    save_file(build().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The export script, which is no part of any package."""
    path = Path(__file__).parents[2] / "models" / "export_pico.py"
    spec = importlib.util.spec_from_file_location("export_pico", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_parameters_are_those_of_the_card() -> None:
    count = sum(parameter.numel() for parameter in build().parameters())
    assert count == plugin.card.parameters == plugin.card.parameters_used


def test_the_graph_is_packaged_beside_the_card() -> None:
    assert plugin.card.weights.format is WeightsFormat.ONNX
    assert PACKAGED.name == "pico.onnx"
    assert (PACKAGED.parent / "card.toml").is_file()


def test_the_card_says_what_pico_is_not() -> None:
    assert "rendered scenes only" in plugin.card.notes


def test_given_weights_build_the_network(checkpoint: Path) -> None:
    network = plugin.build(checkpoint, plugin.card.input)
    with torch.no_grad():
        depth = network(torch.rand(1, 3, 64, 96))
    assert depth.shape == (1, 1, 64, 96)
    assert depth.min() >= 0


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stranger": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"unexpected \(stranger\)"):
        plugin.build(path, plugin.card.input)


def test_the_export_is_one_plain_graph_for_every_size(
    script: ModuleType, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pico.onnx"
    monkeypatch.setattr("sys.argv", ["export_pico.py", "--weights", str(checkpoint), "--out", str(path)])
    script.main()
    assert list(tmp_path.iterdir()) == [path]
    graph = onnx.load(path).graph
    assert {node.op_type for node in graph.node} == {"Conv", "Clip", "Add", "Resize", "Relu"}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (depth,) = session.run(["depth"], {"image": np.zeros((1, 3, 128, 96), np.float32)})
    assert np.asarray(depth).shape == (1, 1, 128, 96)


@needs_graph
def test_the_packaged_graph_is_that_of_the_packaged_weights() -> None:
    network = plugin.build(PACKAGED.with_suffix(".safetensors"), plugin.card.input)
    image = np.random.default_rng(0).standard_normal((1, 3, 192, 256), dtype=np.float32)
    session = onnxruntime.InferenceSession(PACKAGED, providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(["depth"], {"image": image})[0])
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=1e-3 * float(np.ptp(expected)))


def test_the_results_are_of_this_network_on_scenes_and_photographs() -> None:
    results = tomllib.loads((PACKAGED.parent / "results.toml").read_text())
    assert results["parameters"] == plugin.card.parameters
    assert {entry["farthest"] for entry in results["held_out_rendered_scenes"]} == {MEASURING_RANGE, 40.0}
    for entry in (*results["held_out_rendered_scenes"], results["real_photographs"]):
        assert 0 < entry["delta1_affine"] < 1
        assert 0 < entry["ordinal"] < 1
