"""The support check and the stage legalize: every refusal at once, each with what was found and a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.support import OpRule
from depthdeploy.core.target import Capabilities, GraphPass, Variant
from depthdeploy.errors import ModelError, UnsupportedGraph
from depthdeploy.graph.legalize import legalize
from depthdeploy.graph.support import check_support, require_support
from depthdeploy.testing.artifacts import store
from depthdeploy.testing.graphs import build, residual_block


def rule(operator: str, max_rank: int | None = None, **attributes: tuple[str | int | float, ...]) -> OpRule:
    return OpRule(operator, f"Do without {operator}.", "the test", attributes, max_rank)


def able(*rules: OpRule, opset: tuple[int, int] = (13, 21)) -> Capabilities:
    return Capabilities(
        target="toy",
        title="Toy",
        variants={"only": Variant("only", "Only", {}, ("fp32",))},
        operators={one.operator: one for one in rules},
        opset=opset,
        artifact=".onnx",
        driver="toy.driver",
        sdk="toy",
    )


def graph(text: str, *, opset: int = 18) -> ir.Model:
    return ir.from_proto(build(text, opset=opset))


RESIZE = """tiny (float[1,3,4,4] image) => (float[1,3,8,8] depth)
    <int64[4] sizes = {1, 3, 8, 8}> { depth = Resize <mode="cubic"> (image, , , sizes) }"""


def test_accepted_graph_is_truthy() -> None:
    support = check_support(graph(RESIZE), able(rule("Resize")), "only")
    assert support
    assert support.nodes == 1


def test_every_refusal_at_once() -> None:
    model = graph("""tiny (float[1,3,4,4] image) => (float[1,3,4,4] depth) {
        a = Sin (image)
        b = Erf (a)
        depth = Sin (b)
    }""")
    refused = check_support(model, able(rule("Relu")), "only").rejections
    assert [(one.node, one.operator) for one in refused] == [("a", "Sin"), ("b", "Erf"), ("depth", "Sin")]
    assert all("depthdeploy targets toy" in one.remedy for one in refused)


def test_attribute_value() -> None:
    (one,) = check_support(graph(RESIZE), able(rule("Resize", mode=("nearest", "linear"))), "only").rejections
    assert (one.rule, one.found, one.remedy) == ("mode must be nearest or linear", "cubic", "Do without Resize.")


def test_default_of_an_attribute_counts() -> None:
    """``coordinate_transformation_mode`` is not written: the definition of the operator says half_pixel."""
    limited = able(rule("Resize", coordinate_transformation_mode=("align_corners",)))
    (one,) = check_support(graph(RESIZE), limited, "only").rejections
    assert one.found == "half_pixel"


def test_attribute_that_the_opset_does_not_have() -> None:
    """``antialias`` came with opset 18: an older Resize cannot ask for it."""
    model = graph(RESIZE, opset=13)
    assert check_support(model, able(rule("Resize", antialias=(0,))), "only")


def test_rank() -> None:
    model = graph("tiny (float[1,3,4,4] image) => (float[1,3,4,4] depth) { depth = Relu (image) }")
    refused = check_support(model, able(rule("Relu", 3)), "only").rejections
    assert {one.found for one in refused} == {"image with 4", "depth with 4"}
    assert check_support(model, able(rule("Relu", 4)), "only")


@pytest.mark.parametrize(("opset", "accepted"), [(13, True), (21, True), (12, False), (22, False)])
def test_opset(opset: int, accepted: bool) -> None:
    model = graph("tiny (float[1,3,4,4] image) => (float[1,3,4,4] depth) { depth = Relu (image) }", opset=opset)
    support = check_support(model, able(rule("Relu")), "only")
    assert bool(support) is accepted
    assert accepted or support.rejections[0].found == str(opset)


def test_dimension_that_is_not_fixed() -> None:
    proto = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 18]>
        tiny (float[N,3,4,4] image) => (float[N,3,4,4] depth) { depth = Relu (image) }""")
    refused = check_support(ir.from_proto(proto), able(rule("Relu")), "only").rejections
    assert len(refused) == 2, "the input and the node"
    assert all("N" in one.found and "--size" in one.remedy for one in refused)


def test_operator_of_another_domain_is_not_the_one_of_onnx() -> None:
    proto = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 18, "com.acme" : 1]>
        tiny (float[1,3,4,4] image) => (float[1,3,4,4] depth) { depth = com.acme.Relu (image) }""")
    (one,) = check_support(ir.from_proto(proto), able(rule("Relu")), "only").rejections
    assert one.operator == "com.acme.Relu"


def test_nodes_of_subgraphs_are_checked() -> None:
    proto = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 18]>
        tiny (float[1,3,4,4] image, bool c) => (float[1,3,4,4] depth) {
            depth = If (c) <then_branch = yes () => (float[1,3,4,4] y) { y = Sin (image) },
                            else_branch = no () => (float[1,3,4,4] z) { z = Relu (image) }>
        }""")
    refused = check_support(ir.from_proto(proto), able(rule("If"), rule("Relu")), "only").rejections
    assert [one.operator for one in refused] == ["Sin"]


def test_require_lists_them_all() -> None:
    with pytest.raises(UnsupportedGraph, match="Toy refuses 2") as caught:
        require_support(graph(RESIZE, opset=13), able(rule("Relu"), opset=(17, 21)), "only")
    assert "opset" in str(caught.value)
    assert "Resize" in str(caught.value)


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
    """A pass that changes ``Neg`` twice into nothing."""

    name: str = "double-negation"
    applies: bool = True

    def __call__(self, model: ir.Model) -> bool:
        if self.applies:
            model.graph.name = "rewritten"
        return self.applies


@pytest.fixture
def residual(tmp_path: Path) -> OnnxModel:
    return store(residual_block(), tmp_path / "residual.onnx")


def everything(model: OnnxModel) -> Capabilities:
    return able(*(rule(name) for name in {node.op_type for node in onnx.load(model.path).graph.node}))


def test_unchanged_graph_stays_the_same_file(residual: OnnxModel, tmp_path: Path) -> None:
    """Targets without rewrites share the digest, and with it the statistics."""
    toy = Toy(everything(residual), (Renaming(applies=False),))
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
