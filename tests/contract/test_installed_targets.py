"""Every target of this distribution keeps the contract of targets."""

from __future__ import annotations

from depthdeploy.registry import targets
from depthdeploy.testing.target_contract import TargetContract


class TestOnnxRuntime(TargetContract):
    target = "onnxruntime"


class TestOpenvino(TargetContract):
    target = "openvino"


def test_no_target_is_left_out() -> None:
    ours = {name for name in targets if targets.origin(name).startswith("depthdeploy ")}
    assert ours == {TestOnnxRuntime.target, TestOpenvino.target}
