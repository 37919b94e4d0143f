"""Every target of this distribution keeps the contract of targets."""

from __future__ import annotations

from depthdeploy.registry import targets
from depthdeploy.testing.target_contract import TargetContract


class TestHailo(TargetContract):
    target = "hailo"


class TestHorizon(TargetContract):
    target = "horizon"


class TestOnnxRuntime(TargetContract):
    target = "onnxruntime"


class TestOpenvino(TargetContract):
    target = "openvino"


class TestRknn(TargetContract):
    target = "rknn"


class TestTensorrt(TargetContract):
    target = "tensorrt"


def test_no_target_is_left_out() -> None:
    ours = {name for name in targets if targets.origin(name).startswith("depthdeploy ")}
    assert ours == {one.target for one in TargetContract.__subclasses__() if one.__module__ == __name__}
