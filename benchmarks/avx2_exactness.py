"""Do integer kernels saturate? Weight formats against the exact emulation, on this processor or an emulated one.

Every case is one layer under the hardest input: bright images, and weights most of which are near the largest of their
channel and positive, so that sums of two products exceed 16 bits. The network is quantized as ``depthdeploy compile``
would, with each weight format in turn, compiled by the target's driver and run in a process of its own; the exact
emulation runs in the parent, outside an emulated processor. The table gives the largest difference in steps of the
output, 1/255 of its range: up to 1 is a rounding, more is saturation. ``float``: no integer kernel was made.

QEMU 7.2 or later emulates AVX2 (Debian: ``apt-get install qemu-user``). oneDNN, OpenVINO's kernel library, can be kept
to AVX2 without it; OpenVINO then fails to open MatMul and Gemm.

    python benchmarks/avx2_exactness.py --runner "qemu-x86_64 -cpu Haswell"
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/avx2_exactness.py --target openvino --only conv
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Settings of both drivers.
SETTINGS = {"precision": "int8", "threads": 1}

#: An emulated process sometimes never ends: OpenVINO above all, whose threads wait for one another.
SECONDS_PER_CASE = 60

#: Operators of both runtimes that are the layer under test, fused or not.
LAYERS = ("Conv", "Convolution", "GroupConvolution", "FullyConnected", "MatMul", "Gemm", "QLinear", "QGemm", "Subgraph")


@dataclass(frozen=True, slots=True)
class Case:
    """One layer.

    Attributes:
        kind: ``conv``, ``matmul`` or ``gemm``.
        channels: those of the input.
        filters: those of the output.
        kernel: the side of a convolution's window.
        group: a convolution's groups; as many as there are channels: depthwise.
        float_output: the layer gives the graph's output, unquantized.
    """

    kind: str
    channels: int
    filters: int
    kernel: int = 1
    group: int = 1
    float_output: bool = False

    def __str__(self) -> str:
        window = f" {self.kernel}x{self.kernel} group {self.group}" if self.kind == "conv" else ""
        return f"{self.kind} {self.channels}->{self.filters}{window}{' float output' if self.float_output else ''}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The input's."""
        return (1, self.channels, 8, 8) if self.kind == "conv" else (1, 1, 16, self.channels)


CASES = (
    *(Case("conv", *sizes) for sizes in (
        (3, 16, 3), (3, 8, 7), (16, 16, 1), (16, 32, 3), (37, 19, 3), (64, 64, 1), (256, 64, 1),
        (32, 32, 3, 4), (32, 48, 3, 2), (32, 64, 3, 32),
        (16, 16, 3, 16), (20, 20, 3, 20), (64, 64, 3, 64), (48, 48, 5, 48),
    )),
    *(Case(kind, channels, filters, float_output=free) for kind in ("matmul", "gemm") for free in (False, True)
      for channels, filters in ((16, 16), (37, 19), (64, 48), (384, 64))),
)  # fmt: skip


def layer(case: Case) -> tuple[str, str, NDArray[np.float32]]:
    """The case's nodes in ONNX's textual syntax, the output's shape, and the weight."""
    generator = np.random.default_rng(0)
    shape: tuple[int, ...] = (case.filters, case.channels // case.group, case.kernel, case.kernel)
    if case.kind == "conv":
        side, pad = case.kernel, case.kernel // 2
        window = f"kernel_shape=[{side},{side}], pads=[{pad},{pad},{pad},{pad}]"
        nodes = f"depth = Conv <group={case.group}, {window}> (image, w, b)"
        out = f"1,{case.filters},8,8"
    elif case.kind == "gemm":
        shape, out = (case.channels, case.filters), f"16,{case.filters}"
        nodes = "rows = Reshape (image, flat) depth = Gemm (rows, w, b)"
    else:
        shape, out = (case.channels, case.filters), f"1,1,16,{case.filters}"
        nodes = "depth = MatMul (image, w)"
    near_one = np.clip(generator.normal(0.7, 0.6, shape), -1, 1)
    uneven = generator.uniform(0.1, 10.0, case.filters)
    return nodes, out, (near_one * (uneven if len(shape) == 2 else uneven[:, None, None, None])).astype(np.float32)


def build(case: Case, path: Path) -> None:
    """Write the case as a float network."""
    import onnx

    nodes, out, weight = layer(case)
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
        layer (float[{",".join(map(str, case.shape))}] image) => (float[{out}] depth) {{ {nodes} }}"""
    model = onnx.parser.parse_model(text)
    bias = np.random.default_rng(1).normal(0, 1, case.filters).astype(np.float32)
    constants: dict[str, NDArray[np.generic]] = {
        "w": weight,
        "b": bias,
        "flat": np.array([16, case.channels], np.int64),
    }
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in constants.items() if n in used)
    for node in model.graph.node:
        node.name = node.output[0]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def bright(case: Case) -> Array:
    """An image of the 256 values that a byte has, most of them near the largest."""
    levels = np.rint(np.clip(np.random.default_rng(2).normal(0.8, 0.3, case.shape), 0, 1) * 255)
    levels.flat[:2] = 0, 255
    return (levels / 255).astype(np.float32)


def prepare(case: Case, target: str, folder: Path) -> Iterator[tuple[Path, Array]]:
    """The case under every weight format: the folder of its quantized graph, the exact emulation's output."""
    from depthdeploy.core.depth import DepthContract, DepthKind, InputContract
    from depthdeploy.core.digest import sha256_file
    from depthdeploy.core.grid import Granularity, NumberFormat
    from depthdeploy.core.model import LegalModel, OnnxModel
    from depthdeploy.core.support import Support
    from depthdeploy.core.tensor import TensorSpec
    from depthdeploy.inference import OnnxSession
    from depthdeploy.quantization.calibrate import observe
    from depthdeploy.quantization.observers import MinMax
    from depthdeploy.quantization.plan import make_plan
    from depthdeploy.quantization.qdq import apply_plan
    from depthdeploy.registry import targets

    path, image = folder / "float.onnx", bright(case)
    build(case, path)
    np.save(folder / "image.npy", image)
    ends = TensorSpec("image", "float32", case.shape), TensorSpec("depth", "float32", case.shape)
    contract, depth = InputContract(case.shape[2], case.shape[3]), DepthContract(DepthKind.INVERSE_DEPTH)
    model = OnnxModel(path, sha256_file(path), 18, *ends, contract, depth, "layer")
    legal = LegalModel(model, target, "cpu-avx2", Support(()))
    statistics = observe(model, [image], observer=MinMax(), calibration_digest="", images=1)
    theirs = targets[target].capabilities.variants["cpu-avx2"].schemes["int8"]
    base = replace(theirs, quantize_output=not case.float_output)
    for name, bits, signed in (("int8", 8, True), ("int7", 7, True), ("uint8", 8, False)):
        scheme = replace(base, weights=NumberFormat(bits, signed, symmetric=True, granularity=Granularity.CHANNEL))
        graph = folder / name / "model.onnx"
        graph.parent.mkdir()
        apply_plan(legal, make_plan(model, statistics, scheme), graph)
        yield graph.parent, OnnxSession(graph, exact=True).predict(image)


def execute(target: str, folder: Path) -> None:
    """In the process of the processor under test: compile and run a case's graphs by the target's driver."""
    driver = importlib.import_module(f"depthdeploy_{target}.driver")
    image = np.load(folder / "image.npy")
    for graph in sorted(folder.glob("*/model.onnx")):
        out = folder / f"artifact-{graph.parent.name}"
        out.mkdir()
        entry = driver.compile(str(graph), str(out), SETTINGS)["entry"]
        runner = driver.open_runner(str(out / entry), SETTINGS)
        np.save(graph.parent / "prediction.npy", runner.predict(image))
        kernels = [kernel for kernel in runner.profile(image) if kernel[1].startswith(LAYERS)]
        (graph.parent / "kernels.json").write_text(json.dumps(kernels))


def spawn(runner: str, target: str, folder: Path) -> str:
    """``execute`` in another process; what went wrong. An emulator needs the interpreter, not an environment's link."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    python = os.path.realpath(sys.executable) if runner else sys.executable
    command = [*shlex.split(runner), python, __file__, "--target", target, "--execute", str(folder)]
    try:
        done = subprocess.run(
            command, env=environment, check=False, stderr=subprocess.PIPE, text=True, timeout=SECONDS_PER_CASE
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {SECONDS_PER_CASE} seconds"
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def steps(exact: Array, prediction: Array) -> float:
    """The largest difference, in 1/255 of the exact output's range."""
    step = (max(float(exact.max()), 0.0) - min(float(exact.min()), 0.0)) / 255
    return float(np.abs(exact - prediction).max()) / step


def cell(folder: Path, exact: Array, worst: list[float]) -> str:
    """One figure of the table."""
    worst.append(steps(exact, np.load(folder / "prediction.npy")))
    kernels = json.loads((folder / "kernels.json").read_text())
    integer = any(precision == "int8" for _, _, precision in kernels)
    return f"  {folder.name} {worst[-1]:7.2f} {'' if integer else 'float':5}"


def measure(target: str, runner: str, only: str) -> None:
    """Print the table of one target."""
    worst: dict[str, list[float]] = {}
    for case in CASES:
        if not str(case).startswith(only):
            continue
        with tempfile.TemporaryDirectory() as work:
            exact = dict(prepare(case, target, Path(work)))
            failed = spawn(runner, target, Path(work))
            cells = [] if failed else [cell(f, out, worst.setdefault(f.name, [])) for f, out in exact.items()]
        print(f"{case!s:34}{failed or ''.join(cells)}", flush=True)
    print(f"{'largest':34}" + "".join(f"  {name} {max(found):7.2f} {'':5}" for name, found in worst.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="onnxruntime", choices=("onnxruntime", "openvino"))
    parser.add_argument("--runner", default="", help='what runs the interpreter: "qemu-x86_64 -cpu Haswell"')
    parser.add_argument("--only", default="", help="the cases whose names start so: conv, matmul, gemm")
    parser.add_argument("--execute", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.execute:
        execute(arguments.target, arguments.execute)
        return
    print(f"{arguments.target} under {arguments.runner or 'this processor'}: difference in steps of the output")
    measure(arguments.target, arguments.runner, arguments.only)


if __name__ == "__main__":
    main()
