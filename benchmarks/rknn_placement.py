"""Which unit of a Rockchip chip runs an operator: each compiled alone, the unit read from the toolkit's layer table.

What is kept, in ``results/rknn_placement.json``, is what ``targets/rknn`` has its rules from, and a test compares them.
It is the compiler's plan: no board is asked. Run with the interpreter of a virtual environment that has RKNN-Toolkit2
2.3.2 (numpy below 2, onnx below 1.19); nothing of depthdeploy is imported:

    /path/to/rknn/bin/python benchmarks/rknn_placement.py rk3588 rk3576 rk3566 rk3568 rk3562
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

RESULTS = Path(__file__).parent / "results" / "rknn_placement.json"

#: A line of the layer table: number, type, element type, unit.
_ROW = re.compile(r"\]\s+\d+\s+(\S+)\s+\S+\s+(NPU|CPU|GPU)\s")
_ENDS = ("InputOperator", "OutputOperator")
#: What the toolkit puts around an operator to bring tensors to four dimensions.
_MOVES = ("Reshape", "Transpose")

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>\ncase (float[{before}] image) => (float[{after}] depth) {{ {body} }}'
_IMAGE = "1,16,16,16"
_TOKENS = "1,65,384"

_UNARY = """Relu Abs Neg Exp Log Sqrt Floor Sin Cos Erf Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Softplus
LogSoftmax Softmax GlobalAveragePool GlobalMaxPool Identity""".split()  # noqa: SIM905

_GELU = "a = Div(image, root) b = Erf(a) c = Add(b, one) "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chips", nargs="+")
    parser.add_argument("--one", metavar="PRECISION", help="compile for one chip here, and print its cases")
    chosen = parser.parse_args()
    if chosen.one:
        for name, text in cases():
            print(json.dumps({"case": name, **placement(text, chosen.chips[0], chosen.one)}), flush=True)
        return
    units: dict[str, dict[str, str]] = {name: {} for name, _ in cases()}
    for chip in chosen.chips:
        for precision in ("fp16", "int8"):
            # a process for each: the toolkit ends its process where it cannot go on
            done = subprocess.run(
                [sys.executable, __file__, chip, "--one", precision], capture_output=True, text=True, check=True
            )
            for line in done.stdout.splitlines():
                if line.startswith("{"):
                    read = json.loads(line)
                    units[read["case"]][f"{chip} {precision}"] = read["unit"]
            print(chip, precision, flush=True)
    texts = dict(cases())
    kept = [{"case": name, "graph": texts[name], "units": units[name]} for name in texts]
    result = {"toolkit": version("rknn-toolkit2"), "cases": kept}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def cases() -> Iterator[tuple[str, str]]:
    """Name and ONNX text of every case; an operator on images stands behind a convolution."""
    for operator in _UNARY:
        after = "1,16,1,1" if operator.startswith("Global") else _IMAGE
        yield operator, _text(f"depth = {operator}(image)", after=after)
    for operator in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"):
        yield f"{operator} by a number", _text(f"depth = {operator}(image, twice)")
        yield f"{operator} by channel", _text(f"depth = {operator}(image, channels)")
        yield f"{operator} of two", _text(f"depth = {operator}(image, image)")
    yield from _layers()
    yield from _moves()
    yield from _resizes()
    yield "Gelu in PyTorch's order", _text(_GELU + "d = Mul(image, c) depth = Mul(d, half)")
    yield "Gelu in canonical order", _text(_GELU + "d = Mul(image, half) depth = Mul(d, c)")


def _layers() -> Iterator[tuple[str, str]]:
    pool = "kernel_shape=[3,3], pads=[1,1,1,1]"
    yield "AveragePool without the padding", _text(f"depth = AveragePool <{pool}> (image)")
    yield "AveragePool with the padding", _text(f"depth = AveragePool <{pool}, count_include_pad=1> (image)")
    yield "MaxPool", _text(f"depth = MaxPool <{pool}> (image)")
    for axes, after in (("2,3", "1,16,1,1"), ("1", "1,1,16,16")):
        for operator in ("ReduceMean", "ReduceMax", "ReduceMin"):
            body = f"depth = {operator} <axes=[{axes}]> (image)"
            yield f"{operator} {axes}", _text(body, after=after)
    norm = "depth = InstanceNormalization(image, gains, shifts)"
    yield "InstanceNormalization", _text(norm)
    # without a written axis the toolkit ends with KeyError: 'LayerNormalization'
    tokens = (
        "x = MatMul(image, square) depth = LayerNormalization <axis=-1, epsilon=0.00001> (x, wide_gains, wide_shifts)"
    )
    yield "LayerNormalization", _text(tokens, before=_TOKENS, after=_TOKENS)
    yield "MatMul by weights", _text("depth = MatMul(image, square)", before=_TOKENS, after=_TOKENS)
    yield "MatMul of two", _text("depth = MatMul(image, image)")


def _moves() -> Iterator[tuple[str, str]]:
    yield "Softmax of attention", _text("depth = Softmax(image)", before="1,6,64,64", after="1,6,64,64")
    yield "Concat", _text("depth = Concat <axis=1> (image, image)", after="1,32,16,16")
    yield "Slice", _text("depth = Slice(image, zero, eight, first)", after="1,8,16,16")
    yield "Slice by steps", _text("depth = Slice(image, zero, sixteen, first, steps)", after="1,8,16,16")
    yield "Reshape to heads", _text("depth = Reshape(image, heads)", before=_TOKENS, after="1,65,6,64")
    heads = "depth = Transpose <perm=[0,2,1,3]> (image)"
    yield "Transpose of heads", _text(heads, before="1,65,6,64", after="1,6,65,64")
    yield "Pad", _text("depth = Pad(image, pads)", after="1,16,18,18")
    yield "DepthToSpace", _text("depth = DepthToSpace <blocksize=2> (image)", after="1,4,32,32")
    yield "SpaceToDepth", _text("depth = SpaceToDepth <blocksize=2> (image)", after="1,64,8,8")


def _resizes() -> Iterator[tuple[str, str]]:
    for rule in ("half_pixel", "asymmetric", "align_corners"):
        for mode in ("linear", "nearest"):
            for side in (8, 24, 31, 32, 64):
                attributes = f'mode="{mode}", coordinate_transformation_mode="{rule}"'
                body = f"depth = Resize <{attributes}> (image, , , to_{side})"
                yield f"Resize {mode} {rule} 16 to {side}", _text(body, after=f"1,16,{side},{side}")


def _text(body: str, before: str = _IMAGE, after: str = _IMAGE) -> str:
    if before == _IMAGE:
        body = "x = Conv(image, weights) " + re.sub(r"\bimage\b", "x", body)
    return _HEAD.format(before=before, after=after, body=body)


def constants() -> dict[str, np.ndarray]:
    """What the texts name besides the image."""
    draw = np.random.default_rng(0)
    floats = {
        "one": np.array(1.0), "root": np.array(2**0.5),
        "twice": np.array(2.0), "half": np.array(0.5),
        "channels": draw.uniform(1, 2, (1, 16, 1, 1)),
        "gains": np.ones(16), "shifts": np.zeros(16), "wide_gains": np.ones(384), "wide_shifts": np.zeros(384),
        "square": draw.normal(0, 0.05, (384, 384)), "weights": draw.uniform(0.1, 0.2, (16, 16, 1, 1)),
    }  # fmt: skip
    wholes = {
        "zero": [0], "eight": [8], "sixteen": [16], "first": [1], "steps": [2], "heads": [1, 65, 6, 64],
        "pads": [0, 0, 1, 1, 0, 0, 1, 1], **{f"to_{side}": [1, 16, side, side] for side in (8, 24, 31, 32, 64)},
    }  # fmt: skip
    found = {name: array.astype(np.float32) for name, array in floats.items()}
    return found | {name: np.array(values, dtype=np.int64) for name, values in wholes.items()}


def graph_of(text: str) -> onnx.ModelProto:
    """The model of a case, its constants drawn from a seed."""
    model = onnx.parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    for name, array in constants().items():
        if name in read:
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    for node in model.graph.node:
        node.name = node.output[0]
    return onnx.shape_inference.infer_shapes(model)


def placement(text: str, chip: str, precision: str) -> dict[str, object]:
    """The unit of the operator, ``NPU`` or ``CPU``, or ``refused``; and the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for row in _ROW.findall(_log(graph_of(text), chip, precision, Path(folder))) if row[0] not in _ENDS]
    own = [row for row in rows if row[0] not in _MOVES] if "Reshape(" not in text and "Transpose" not in text else rows
    unit = "refused" if not rows else "CPU" if any(where == "CPU" for _, where in own) else "NPU"
    return {"unit": unit, "rows": [f"{kind} {where}" for kind, where in rows]}


def _log(model: onnx.ModelProto, chip: str, precision: str, folder: Path) -> str:
    """What the toolkit prints, Python and native code alike, while it builds."""
    from rknn.api import RKNN

    onnx.save(model, folder / "case.onnx")
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    np.save(folder / "image.npy", np.random.default_rng(1).uniform(0.1, 1, shape).astype(np.float32))
    (folder / "dataset.txt").write_text(f"{folder / 'image.npy'}\n", encoding="utf-8")
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with (folder / "log").open("w+b") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            toolkit = RKNN(verbose=True)
            toolkit.config(target_platform=chip)
            toolkit.load_onnx(model=str(folder / "case.onnx"))
            toolkit.build(do_quantization=precision == "int8", dataset=str(folder / "dataset.txt"))
            toolkit.release()
        except Exception as refusal:  # the toolkit raises what it likes; no table is the answer then
            print(refusal)
        finally:
            sys.stdout.flush()
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)
        stream.seek(0)
        return stream.read().decode(errors="replace")


if __name__ == "__main__":
    main()
