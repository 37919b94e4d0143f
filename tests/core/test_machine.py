from __future__ import annotations

import pytest

from depthdeploy.core import machine
from depthdeploy.core.target import Capabilities, Variant
from depthdeploy.errors import UsageError

VARIANTS = {
    "fast": Variant("fast", "Fast", {}, ("fp32",), ("avx512_vnni", "avx_vnni")),
    "plain": Variant("plain", "Plain", {}, ("fp32",)),
}


def able(*names: str, runs_here: bool = True) -> Capabilities:
    variants = {name: VARIANTS[name] for name in names}
    return Capabilities("toy", "Toy", variants, {}, (13, 21), ".onnx", "toy.driver", "toy", runs_here)


def has(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))


@pytest.mark.parametrize(
    ("flags", "variant"),
    [(("avx2", "avx_vnni"), "fast"), (("avx512_vnni",), "fast"), (("avx2",), "plain"), (("asimd",), "plain")],
)
def test_variant_by_instructions(monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], variant: str) -> None:
    has(monkeypatch, *flags)
    assert machine.variant_for_this_cpu(able("fast", "plain")) == variant


def test_unknown_processor_makes_the_user_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch)
    with pytest.raises(UsageError, match="--target toy:fast or --target toy:plain"):
        machine.variant_for_this_cpu(able("fast", "plain"))


def test_no_variant_suits(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "avx2")
    with pytest.raises(UsageError, match="No variant of Toy suits this processor"):
        machine.variant_for_this_cpu(able("fast"))


def test_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "avx2")
    assert not machine.runs_here(able("fast", "plain"), "fast")
    assert machine.runs_here(able("fast", "plain"), "plain")
    assert not machine.runs_here(able("plain", runs_here=False), "plain")
    with pytest.raises(UsageError, match="no variant 'slow'"):
        machine.runs_here(able("fast", "plain"), "slow")


def test_what_needs_a_device_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It suits every processor, and is neither chosen nor run for one."""
    has(monkeypatch, "avx2")
    monkeypatch.setitem(VARIANTS, "npu", Variant("npu", "Npu", {}, ("fp16",), device="NPU"))
    assert not machine.runs_here(able("npu", "plain"), "npu")
    assert machine.variant_for_this_cpu(able("npu", "plain")) == "plain"


def test_this_processor_has_a_name() -> None:
    assert machine.cpu_name()
    assert all(flag == flag.lower().strip() for flag in machine.cpu_flags())
