"""The support check: every refusal at once, each with what was found and a remedy."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.support import Constraint, Effect, FallbackLimit, OpRule
from depthdeploy.core.target import Capabilities, Variant
from depthdeploy.errors import UnsupportedGraph
from depthdeploy.graph.support import check_support, require_support
from depthdeploy.testing.graphs import build


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
    return ir.from_proto(onnx.shape_inference.infer_shapes(build(text, opset=opset)))


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


MIXED = """tiny (float[1,3,4,4] image) => (float[1,3,4,4] depth)
    <float[3,3,1,1] w, float[3,3,3,3] v> {
        a = Conv (image, w)
        b = Erf (a)
        c = Conv <pads = [1,1,1,1]> (b, v)
        depth = Relu (c)
    }"""


def hosted(*rules: OpRule, unlisted: Effect = Effect.FALLBACK) -> Capabilities:
    return replace(able(*rules), host="the toy's CPU", unlisted=unlisted)


def test_what_runs_on_the_host_is_counted_and_not_refused() -> None:
    """3x3 and 1x1 kernels on the same map: the larger one has nine tenths of the operations."""
    kernel = Constraint("max-kernel", {"limit": 1}, effect=Effect.FALLBACK)
    support = check_support(graph(MIXED), hosted(rule("Relu"), replace(rule("Conv"), constraints=(kernel,))), "only")
    assert support
    assert [one.node for one in support.fallbacks] == ["b", "c"]
    assert support.fallback_nodes == 2
    assert support.fallback_macs == pytest.approx(0.9)


def test_without_a_host_there_is_no_fallback() -> None:
    refused = check_support(graph(MIXED), replace(hosted(rule("Relu"), rule("Conv")), host=""), "only").rejections
    assert [one.operator for one in refused] == ["Erf"]


@pytest.mark.parametrize(
    ("allowed", "accepted"),
    [
        (None, False),
        (FallbackLimit(nodes=0), False),
        (FallbackLimit(nodes=1), True),
        (FallbackLimit(share=0.0), True),  # Erf has no multiply-accumulates
    ],
)
def test_a_fallback_is_never_silent(allowed: FallbackLimit | None, accepted: bool) -> None:
    toy = hosted(rule("Relu"), rule("Conv"))
    if accepted:
        assert require_support(graph(MIXED), toy, "only", allowed).fallback_nodes == 1
        return
    with pytest.raises(UnsupportedGraph, match=r"1 of the graph's 4 nodes.*would run on the toy's CPU") as caught:
        require_support(graph(MIXED), toy, "only", allowed)
    assert "b (Erf)" in str(caught.value)
    assert "--allow-fallback 1" in caught.value.remedy


def test_an_operator_that_only_the_host_has() -> None:
    toy = hosted(rule("Relu"), rule("Conv"), replace(rule("Erf"), on_host=True), unlisted=Effect.REFUSE)
    assert [one.node for one in check_support(graph(MIXED), toy, "only").fallbacks] == ["b"]


def test_a_slower_unit_is_remarked_on_and_accepted() -> None:
    scales = Constraint("integer-scales", effect=Effect.SLOW, remedy="Use half_pixel.", source="page 9", uncertain=True)
    support = check_support(graph(RESIZE.replace("8,8]", "9,9]").replace("8, 8}", "9, 9}")),
                            able(replace(rule("Resize"), constraints=(scales,))), "only")  # fmt: skip
    assert support
    (one,) = support.slow
    assert (one.found, one.remedy, one.source) == ("2.25 and 2.25", "Use half_pixel.", "page 9")
    assert "(uncertain)" in str(one)


def test_acceptance_by_an_uncertain_rule_is_doubtful_too() -> None:
    """Nobody complains of the two convolutions, and still nobody knows."""
    toy = able(rule("Relu"), replace(rule("Conv"), uncertain=True), rule("Erf"))
    support = check_support(graph(MIXED), toy, "only")
    assert support
    assert support.uncertain_nodes == 2
    inferred = replace(toy.variants["only"], uncertain=True)
    assert check_support(graph(MIXED), replace(toy, variants={"only": inferred}), "only").uncertain_nodes == 4


def test_conditions_of_every_node() -> None:
    batch = Constraint("max-dimension", {"limit": 3})
    refused = check_support(graph(MIXED), able(*(rule(name) for name in ("Relu", "Conv", "Erf")),
                                               replace(rule("*"), constraints=(batch,))), "only")  # fmt: skip
    assert [one.node for one in refused.rejections] == ["a", "b", "c", "depth"]


def test_element_types() -> None:
    refused = check_support(graph(MIXED), able(rule("Relu"), rule("Conv"), replace(rule("Erf"), dtypes=("float16",))),
                            "only").rejections  # fmt: skip
    assert [(one.rule, one.found) for one in refused] == [
        ("values are float16", "a float32"),
        ("values are float16", "b float32"),
    ]


def test_a_variants_own_rule_comes_first() -> None:
    toy = able(rule("Resize", mode=("nearest",)))
    own = Variant("other", "Other", {}, ("fp32",), operators={"Resize": rule("Resize", mode=("cubic",))})
    toy = replace(toy, variants={**toy.variants, "other": own})
    assert not check_support(graph(RESIZE), toy, "only")
    assert check_support(graph(RESIZE), toy, "other")


def test_a_variants_own_opset() -> None:
    toy = able(rule("Resize"))
    old = Variant("old", "Old", {}, ("fp32",), opset=(9, 11))
    toy = replace(toy, variants={**toy.variants, "old": old})
    assert check_support(graph(RESIZE), toy, "only")
    assert [one.operator for one in check_support(graph(RESIZE), toy, "old").rejections] == ["opset"]
