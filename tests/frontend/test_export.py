"""PyTorch to ONNX: form, bytes, silence, parity, refusals."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
from depthdeploy.core.model import OnnxModel
from depthdeploy.errors import ModelError, ParityError
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.frontend.parity import Parity, check_parity

CONTRACT = InputContract(32, 48, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3))
DEPTH = DepthContract(DepthKind.METRIC_DEPTH, 0.1, 10.0)


class Tiny(nn.Module):
    def __init__(self, aligned: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 1, 3, padding=1)
        self.aligned = aligned

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norm(self.first(x)))
        x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=self.aligned)
        result: torch.Tensor = self.head(x)
        return result


def tiny(aligned: bool = True) -> Tiny:
    torch.manual_seed(0)
    return Tiny(aligned).eval()


def export(module: nn.Module, out: Path) -> OnnxModel:
    return export_torch(module, name="tiny", contract=CONTRACT, depth=DEPTH, out=out)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return export(tiny(), tmp_path_factory.mktemp("export") / "tiny.onnx")


def images(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=CONTRACT.shape).astype(np.float32) for _ in range(count)]


def test_the_graph_has_static_named_ends(exported: OnnxModel) -> None:
    proto = onnx.load(exported.path)
    onnx.checker.check_model(proto, full_check=True)
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["depth"]
    assert str(exported.input) == "image float32[1x3x32x48]"
    assert str(exported.output) == "depth float32[1x1x32x48]"
    assert exported.opset == proto.opset_import[0].version >= 18
    assert all(node.name for node in proto.graph.node)


def test_the_same_network_gives_the_same_bytes_without_host_paths(exported: OnnxModel, tmp_path: Path) -> None:
    again = export(tiny(), tmp_path / "other.onnx")
    assert again.sha256 == exported.sha256
    content = again.path.read_bytes()
    assert content == exported.path.read_bytes()
    here = (str(Path.cwd()), str(Path.home()), str(tmp_path), "site-packages", "Traceback", "stack_trace")
    assert [text for text in here if text.encode() in content] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.onnx"]


def test_the_exporter_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(tiny(), tmp_path / "tiny.onnx")
    assert capfd.readouterr() == ("", "")


def test_parity_is_measured_on_every_image(exported: OnnxModel) -> None:
    parity = check_parity(tiny(), exported, images(3))
    assert parity.images == 3
    assert parity.relative_max == pytest.approx(parity.max_abs / parity.range)
    assert parity.relative_max < 1e-5


def test_parity_prints_its_figures() -> None:
    assert str(Parity(1.2e-5, 3e-7, 9.8, 1.2e-6, 1e-3, 4)) == (
        "max 1.2e-05, mean 3.0e-07 of range 9.8 over 4 images (tolerance 1e-03 of the range)"
    )


def test_a_resize_at_other_coordinates_is_no_parity(exported: OnnxModel) -> None:
    with pytest.raises(ParityError, match=r"max .*of range .*over 2 images"):
        check_parity(tiny(aligned=False), exported, images(2))


def test_parity_of_no_image_is_an_error(exported: OnnxModel) -> None:
    with pytest.raises(ParityError, match="no input"):
        check_parity(tiny(), exported, [])


def test_parity_with_a_broken_network_is_an_error(exported: OnnxModel) -> None:
    broken = tiny()
    nn.init.constant_(broken.head.bias, float("nan")) if broken.head.bias is not None else None
    with pytest.raises(ParityError, match="not finite"):
        check_parity(broken, exported, images(1))


def test_what_is_exported_is_imported_without_options(exported: OnnxModel, tmp_path: Path) -> None:
    imported = import_onnx(exported.path, out=tmp_path / "again.onnx", name="tiny")
    assert imported.remarks == ()
    assert (imported.model.contract, imported.model.depth) == (CONTRACT, DEPTH)
    assert imported.model.output == exported.output


def test_an_output_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one depth map"):
        export(nn.Conv2d(3, 1, 3, stride=2), tmp_path / "half.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_does_not_take_the_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="32x48"):
        export(nn.Conv2d(4, 1, 3, padding=1), tmp_path / "four.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_pytorch_the_remedy_is_named(tmp_path: Path) -> None:
    """In a process of its own, in which PyTorch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from depthdeploy.core.depth import *\n"
        "from depthdeploy.errors import ToolchainMissing\n"
        "from depthdeploy.frontend.export import export_torch\n"
        "import depthdeploy.frontend.foreign, depthdeploy.frontend.parity, depthdeploy.graph.canonicalize\n"
        "try:\n"
        "    export_torch(None, name='n', contract=InputContract(8, 8), depth=DepthContract(DepthKind.INVERSE_DEPTH),"
        " out=Path('x.onnx'))\n"
        "except ToolchainMissing as missing:\n"
        "    print(missing.remedy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=dict(os.environ)
    )
    assert done.stdout.strip() == 'pip install "depthdeploy[export]"'
