"""An estimate in words: never without the word, the interval and what is not certain."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from depthdeploy.core.performance import Performance
from depthdeploy.estimate import estimate, layer_table, summary

Graph = Callable[[str], ir.Model]

TEXT = """
g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)
<float[4, 4, 3, 3] w>
{
    c = Conv <pads = [1, 1, 1, 1]> (x, w)
    r = Relu(c)
    y = Softmax(r)
}
"""


def test_the_first_line_is_labelled_and_has_the_interval(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8", concurrent=0.5)
    first = summary(made)[0]
    assert first.startswith("estimate: ")
    assert first.endswith("not measured")
    assert f"({made.lower_ms:.3g} to {made.upper_ms:.3g} ms)" in first
    assert "50% of the chip" in first


def test_the_budgets_answer_is_there_when_it_was_asked_for(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    assert not any(line.startswith("budget") for line in summary(made))
    assert any(line.startswith("budget 16 ms (62.5 frames/s): holds") for line in summary(made, 16.0))


def test_uncertain_figures_follow(graph: Graph, chip: Performance) -> None:
    assert summary(estimate(graph(TEXT), chip, "fp16"))[-1] == "note: peak in fp16: half"


def test_the_table_has_a_row_for_each_layer_the_slowest_first(graph: Graph, chip: Performance) -> None:
    made = estimate(graph(TEXT), chip, "int8")
    head, _, *rows = layer_table(made).splitlines()
    assert "estimate" in head
    assert [row.split("|")[1].strip() for row in rows] == [f"`{layer.name}`" for layer in made.slowest(15)]
    assert "Conv + Relu" in layer_table(made, None).splitlines()[2]
    assert len(layer_table(made, 1).splitlines()) == 3
