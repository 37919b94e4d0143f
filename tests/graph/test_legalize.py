"""The stage legalize: rewrites, approximations, hand-over, refusals; nothing is written that is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.support import Allowances, Effect, FallbackLimit, OpRule
from depthdeploy.core.target import Capabilities, GraphPass, Variant
from depthdeploy.errors import ModelError, UnsupportedGraph, UsageError
from depthdeploy.graph.legalize import legalize
from depthdeploy.testing.artifacts import store
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.graphs import residual_block

ALIGNED = """tiny (float[1,3,4,4] image) => (float[1,3,8,8] depth)
    <int64[4] sizes = {1, 3, 8, 8}> {
        depth = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (image, , , sizes)
    }"""


def able(*names: str, opset: tuple[int, int] = (13, 21)) -> Capabilities:
    return Capabilities(
        target="toy",
        title="Toy",
        variants={"only": Variant("only", "Only", {}, ("fp32",))},
        operators={name: OpRule(name, f"Do without {name}.", "the test", {}) for name in names},
        opset=opset,
        artifact=".onnx",
        driver="toy.driver",
        sdk="toy",
    )


@dataclass(frozen=True)
class Toy:
    capabilities: Capabilities
    passes: tuple[GraphPass, ...] = field(default=())

    def default_variant(self) -> str:
        return "only"

    def lowering(self, variant: str) -> Sequence[GraphPass]:
        return self.passes

    def settings(self, variant: str, precision: str) -> Mapping[str, str | int | float | bool]:
        return {}


@dataclass(frozen=True)
class Renaming:
    """A pass that gives the graph another name."""

    name: str = "renaming"
    to: str = "rewritten"

    def __call__(self, model: ir.Model) -> bool:
        changed = model.graph.name != self.to
        model.graph.name = self.to
        return changed


@pytest.fixture
def residual(tmp_path: Path) -> OnnxModel:
    return store(residual_block(), tmp_path / "residual.onnx")


def everything(model: OnnxModel) -> Capabilities:
    return able(*{node.op_type for node in onnx.load(model.path).graph.node})


def test_unchanged_graph_stays_the_same_file(residual: OnnxModel, tmp_path: Path) -> None:
    """Targets without rewrites share the digest, and with it the statistics."""
    toy = Toy(everything(residual), (Renaming(to=onnx.load(residual.path).graph.name),))
    legal = legalize(residual, toy, "only", tmp_path / "legal.onnx")
    assert legal.model == residual
    assert not (tmp_path / "legal.onnx").exists()
    assert (legal.target, legal.variant) == ("toy", "only")


def test_rewritten_graph_is_a_new_file(residual: OnnxModel, tmp_path: Path) -> None:
    legal = legalize(residual, Toy(everything(residual), (Renaming(),)), "only", tmp_path / "legal.onnx")
    assert legal.model.path == tmp_path / "legal.onnx"
    assert legal.model.sha256 != residual.sha256
    assert (legal.model.input, legal.model.output) == (residual.input, residual.output)


def test_refused_graph_writes_nothing(residual: OnnxModel, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGraph, match="Conv"):
        legalize(residual, Toy(able(), (Renaming(),)), "only", tmp_path / "legal.onnx")
    assert not (tmp_path / "legal.onnx").exists()


def test_file_that_is_gone(residual: OnnxModel, tmp_path: Path) -> None:
    residual.path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        legalize(residual, Toy(able()), "only", tmp_path / "legal.onnx")


def test_rewrites_are_told(residual: OnnxModel, tmp_path: Path) -> None:
    legal = legalize(residual, Toy(everything(residual), (Renaming(),)), "only", tmp_path / "legal.onnx")
    assert (legal.rewrites, legal.approximations, legal.handover) == (("renaming",), (), residual.opset)


def test_an_approximation_is_applied_where_it_is_asked_for_and_only_there(tmp_path: Path) -> None:
    model = store(build(ALIGNED), tmp_path / "aligned.onnx")
    toy = Toy(able("Resize"))
    assert legalize(model, toy, "only", tmp_path / "plain.onnx").model == model
    asked = Allowances(approximate=("resize=asymmetric",))
    legal = legalize(model, toy, "only", tmp_path / "legal.onnx", asked)
    assert legal.approximations == ("resize=asymmetric",)
    (node,) = ir.load(legal.model.path).graph
    assert node.attributes["coordinate_transformation_mode"].as_string() == "asymmetric"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("resize=best",), "'resize=best' is not known"),
        (("resize=asymmetric", "resize=half_pixel"), "in two ways"),
        (("resize=asymmetric",), "changes nothing"),
    ],
)
def test_a_wrong_approximation_is_named(
    residual: OnnxModel, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        legalize(residual, Toy(everything(residual)), "only", tmp_path / "l.onnx", Allowances(approximate=options))


def test_a_fallback_needs_leave(residual: OnnxModel, tmp_path: Path) -> None:
    toy = Toy(replace(able("Conv"), host="the toy's CPU", unlisted=Effect.FALLBACK))
    with pytest.raises(UnsupportedGraph, match="would run on the toy's CPU"):
        legalize(residual, toy, "only", tmp_path / "legal.onnx")
    legal = legalize(residual, toy, "only", tmp_path / "legal.onnx", Allowances(fallback=FallbackLimit(nodes=20)))
    assert legal.support.fallback_nodes > 0
