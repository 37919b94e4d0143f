"""Arithmetic of a graph as a polynomial: the graph and the polynomial give the same numbers."""

import math

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthdeploy.graph.polynomial import close, expand, results, sources
from depthdeploy.testing.graph_text import build
from depthdeploy.testing.laws import outputs


def graph(lines: list[str]) -> ir.Model:
    body = "\n".join(lines)
    return ir.from_proto(
        build(
            f"""g (float[8] image) => (float[8] depth)
            <float half = {{0.5}}, float[1] three = {{3}}, float two = {{2}}, float[2] pair, float zero = {{0}}>
            {{ x = Abs (image)\ny = Neg (x)\n{body} }}"""
        )
    )


def value(model: ir.Model, name: str) -> ir.Value:
    return next(value for node in model.graph for value in node.outputs if value.name == name)


@st.composite
def arithmetic(draw: st.DrawFn) -> list[str]:
    names, lines = ["x", "half", "three", "two"], []
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Pow", "Neg"]))
        first = draw(st.sampled_from(names))
        second = {"Div": ["half", "two"], "Pow": ["two", "three"]}.get(kind, names)
        inputs = first if kind == "Neg" else f"{first}, {draw(st.sampled_from(second))}"
        lines.append(f"v{index} = {kind} ({inputs})")
        names.append(f"v{index}")
    return [*lines, f"depth = Add (x, {names[-1]})"]


@settings(max_examples=60, deadline=None)
@given(lines=arithmetic())
def test_the_polynomial_gives_the_graphs_values(lines: list[str]) -> None:
    model = graph(lines)
    x, depth = value(model, "x"), value(model, "depth")
    found = expand(depth, [x])
    if found is None:  # of a high degree
        assert any("Mul" in line or "Pow" in line for line in lines)
        return
    image = np.linspace(0.1, 1.5, 8, dtype=np.float32)
    (expected,) = outputs(ir.to_proto(model), image)
    total = sum(factor * image.astype(np.float64) ** powers[0] for powers, factor in found.items())
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "line",
    [
        "depth = Div (half, x)", "depth = Mul (x, image)", "depth = Pow (x, half)", "depth = Exp (x)",
        "many = Pow (x, three)\ndepth = Mul (many, many)", "depth = Div (x, zero)", "depth = Pow (two, x)",
    ],
)  # fmt: skip
def test_what_is_no_polynomial_is_none(line: str) -> None:
    model = graph([line])
    assert expand(value(model, "depth"), [value(model, "x")]) is None


def test_two_symbols() -> None:
    model = graph(["t = Tanh (x)", "a = Mul (x, t)", "b = Add (a, x)", "c = Mul (b, half)", "depth = Sum (c, t, x)"])
    found = expand(value(model, "depth"), [value(model, "x"), value(model, "t")])
    assert close(found, {(1, 1): 0.5, (1, 0): 1.5, (0, 1): 1.0}, 1e-6)


def test_terms_that_cancel_are_not_there() -> None:
    model = graph(["a = Sub (x, x)", "depth = Add (a, half)"])
    assert close(expand(value(model, "depth"), [value(model, "x")]), {(0,): 0.5}, 0.0)


@pytest.mark.parametrize(("factor", "expected"), [(1 + 9e-7, True), (1 + 2e-6, False), (-1.0, False)])
def test_coefficients_are_close_up_to_a_share(factor: float, expected: bool) -> None:
    assert close({(1,): factor * math.pi}, {(1,): math.pi}, 1e-6) == expected
    assert not close(None, {(1,): 1.0}, 1.0)


def test_sources_and_results_are_arithmetic_alone() -> None:
    model = graph(["a = Mul (y, half)", "b = Tanh (a)", "c = Add (b, x)", "depth = Mul (c, two)"])
    assert [one.name for one in sources(value(model, "a"))] == ["a", "y", "x"]
    assert [node.op_type for node in results(value(model, "b"), 1)] == ["Add"]
    assert [node.op_type for node in results(value(model, "b"), 4)] == ["Add", "Mul"]
    assert [*results(value(model, "a"), 4)] == []
