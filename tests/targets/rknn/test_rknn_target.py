"""RKNN's rules say what its compiler was seen to do, and the rewrites bring what they can to the NPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.graph.legalize import make_legal
from depthdeploy.graph.support import check_support
from depthdeploy.registry import targets
from depthdeploy.testing.graph_text import build

PLACEMENT = Path(__file__).parents[3] / "benchmarks" / "results" / "rknn_placement.json"
SEEN = json.loads(PLACEMENT.read_text("utf-8"))
CHIPS = ("rk3588", "rk3576", "rk3566", "rk3568", "rk3562")

SHAPES: dict[str, tuple[int, ...]] = {
    "channels": (1, 16, 1, 1), "gains": (16,), "shifts": (16,), "wide_gains": (384,), "wide_shifts": (384,),
    "square": (384, 384), "weights": (16, 16, 1, 1),
}  # fmt: skip
NUMBERS = {"one": 1.0, "root": 2**0.5, "twice": 2.0, "half": 0.5}
WHOLES: dict[str, list[int]] = {
    "zero": [0], "eight": [8], "sixteen": [16], "first": [1], "steps": [2], "heads": [1, 65, 6, 64],
    "pads": [0, 0, 1, 1, 0, 0, 1, 1], **{f"to_{side}": [1, 16, side, side] for side in (8, 24, 31, 32, 64)},
}  # fmt: skip


def graph(text: str) -> ir.Model:
    """A case as the benchmark builds it."""
    proto = onnx.parser.parse_model(text)
    read = {name for node in proto.graph.node for name in node.input}
    arrays = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    arrays |= {name: np.array(value, np.float32) for name, value in NUMBERS.items()}
    constants = arrays | {name: np.array(value, np.int64) for name, value in WHOLES.items()}
    for name in sorted(read & set(constants)):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(constants[name], name))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("case", SEEN["cases"], ids=lambda case: case["case"])
def test_the_rules_are_what_the_compiler_does(case: dict[str, object], chip: str) -> None:
    units = case["units"]
    assert isinstance(units, dict)
    found = {unit for where, unit in units.items() if where.startswith(f"{chip} ")}
    support = check_support(graph(str(case["graph"])), targets["rknn"].capabilities, chip)
    assert not support.rejections
    small = chip == "rk3562" and str(case["case"]).startswith("Resize linear")  # larger maps are placed on the CPU
    assert bool(support.fallbacks) is ("CPU" in found) or (small and support.fallbacks), (case["case"], found)


def test_the_release_that_was_asked_is_the_one_that_the_rules_name() -> None:
    assert SEEN["toolkit"] == "2.3.2"
    rules = targets["rknn"].capabilities.rules("rk3588")
    assert "2.3.2" in rules["Resize"].source


RESIZE = """g (float[1,{c},8,8] image) => (float[1,{c},16,16] depth)
    <int64[4] sizes = {{1, {c}, 16, 16}}>
    {{ depth = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (image, , , sizes) }}"""


@pytest.mark.parametrize(
    ("chip", "channels", "operators", "hosted"),
    [
        ("rk3588", 1024, ["MatMul", "MatMul"], 0),  # 1024 x 16 values are turned at once
        ("rk3588", 1025, ["Resize"], 1),
        ("rk3576", 1025, ["MatMul", "MatMul"], 0),
        ("rk3566", 8, ["Resize"], 1),
        ("rk3568", 8, ["Resize"], 1),
        ("rk3562", 1025, ["MatMul", "MatMul"], 0),
    ],
)
def test_a_factor_that_is_not_whole(chip: str, channels: int, operators: list[str], hosted: int) -> None:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(build(RESIZE.format(c=channels))))
    support = make_legal(model, targets["rknn"], chip).support
    assert [node.op_type for node in model.graph] == operators
    assert support.fallback_nodes == hosted
