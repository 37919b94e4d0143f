"""The picture is well-formed XML that says what it is, whatever the names are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import onnx_ir as ir

from depthdeploy.core.performance import Performance, Sourced
from depthdeploy.estimate import estimate, layer_chart

Graph = Callable[[str], ir.Model]
SVG = "{http://www.w3.org/2000/svg}"

TEXT = """
g (float[1, 16, 32, 32] x) => (float[1, 16, 32, 32] y)
<float[16, 16, 3, 3] w>
{
    a = Conv <pads = [1, 1, 1, 1]> (x, w)
    b = Softmax(a)
    y = Relu(b)
}
"""


def test_every_layer_is_a_dot_and_a_bar(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    root = ET.fromstring(layer_chart(made, "toy"))
    assert len(root.findall(f"{SVG}circle")) == len(made.layers) == 2
    assert sum(one.get("x") == "330.0" for one in root.findall(f"{SVG}rect")) == len(made.layers)


def test_it_says_that_it_is_an_estimate_and_of_what(graph: Graph, chip: Performance) -> None:
    title = ET.fromstring(layer_chart(estimate(graph(TEXT), chip, "int8"), "toy")).findtext(f"{SVG}title")
    assert title == "Estimate, not measured: toy on Toy One, int8"


def test_dots_lie_below_the_roof(graph: Graph, chip: Performance) -> None:
    root = ET.fromstring(layer_chart(estimate(graph(TEXT), chip, "int8")))
    line = root.find(f"{SVG}polyline")
    assert line is not None
    (x1, y1), (x2, y2), (x3, _) = [tuple(map(float, point.split(","))) for point in str(line.get("points")).split()]
    for dot in root.findall(f"{SVG}circle"):
        x, y = float(str(dot.get("cx"))), float(str(dot.get("cy")))
        roof = y2 if x >= x2 else y1 + (y2 - y1) * (x - x1) / (x2 - x1)
        assert x <= x3
        assert y >= roof - 0.2  # downwards is slower


def test_names_cannot_break_the_document(graph: Graph, chip: Performance) -> None:
    model = graph(TEXT)
    next(iter(model.graph)).name = '<script>"&amp;'
    text = layer_chart(estimate(model, replace(chip, title="A & B <c>"), "int8"), "x<y")
    assert "<script>" not in text
    shown = [node.text or "" for node in ET.fromstring(text).iter(f"{SVG}text")]
    assert any('<script>"&amp;' in one for one in shown)


def test_a_chip_that_moves_nothing_has_no_roofline_and_says_so(graph: Graph, chip: Performance) -> None:
    text = "g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { y = Sigmoid(x) }"
    made = estimate(graph(text), replace(chip, on_chip_mib=Sourced(1.0, "test")), "int8")
    document = layer_chart(made)
    assert "no roofline to draw" in document
    assert ET.fromstring(document).findall(f"{SVG}circle") == []


def test_it_is_a_pure_function_with_colors_for_both_backgrounds(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    assert layer_chart(made) == layer_chart(made)
    assert "prefers-color-scheme: dark" in layer_chart(made)
    assert not re.search(r"(nan|inf)[\" ,]", layer_chart(made))
