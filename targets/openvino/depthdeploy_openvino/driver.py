"""The heavy half of OpenVINO: the only file that imports it. Standard library and numpy besides, Python 3.8."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

_PRECISIONS = {"u8": "int8", "i8": "int8", "f32": "fp32", "f16": "fp16"}
_CONVERSIONS = ("Reorder", "Convert", "FakeQuantize")
_NUMBERED = re.compile(r"([A-Za-z]+)_\d+")


def versions() -> dict[str, str]:
    """Package -> version."""
    return {"openvino": _version()}


def compile(model: str, out_dir: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Convert the graph to OpenVINO's IR and run it once, on zeros.

    Q/DQ pairs stay in the IR as ``FakeQuantize`` and integer constants; the CPU plug-in makes integer kernels of them
    on the machine that opens it. The bytes depend on the graph and on OpenVINO's version alone.
    """
    network = ov.convert_model(model)
    _name_by_position(network)
    if network.has_rt_info("conversion_parameters"):  # holds paths of this machine
        del network.rt_info["conversion_parameters"]
    path = Path(out_dir) / "model.xml"
    ov.save_model(network, str(path), compress_to_fp16=settings["precision"] == "fp16")
    compiled = _compiled(str(path), settings)
    taken = _description(compiled.input(0))
    compiled.create_infer_request().infer([np.zeros(taken[2], taken[1])])
    return {
        "entry": path.name,
        "input": taken,
        "output": _description(compiled.output(0)),
    }


def open_runner(artifact: str, settings: Mapping[str, object]) -> Runner:
    """The artifact, ready to run."""
    return Runner(artifact, settings)


class Runner:
    """An artifact on OpenVINO's CPU plug-in.

    Args:
        artifact: the IR's ``.xml``.
        settings: ``threads``: 0 or nothing: all processors.
    """

    def __init__(self, artifact: str, settings: Mapping[str, object]) -> None:
        self._artifact = artifact
        self._settings = settings
        self._compiled = _compiled(artifact, settings)
        self._request = self._compiled.create_infer_request()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The first output for one input, float32."""
        result = self._request.infer([np.ascontiguousarray(x)])
        return np.array(result[self._compiled.output(0)], dtype=np.float32)  # a copy: the request owns its buffer

    def profile(self, x: np.ndarray) -> list[tuple[str, str, str]]:
        """Name, operator and precision of every node that one run executed, by the plug-in's own counters.

        The precision is that of the kernel (``brgconv_avx512_u8``), which is not that of the stored weights.
        """
        request = _compiled(self._artifact, self._settings, counters=True).create_infer_request()
        request.infer([np.ascontiguousarray(x)])
        return [
            (info.node_name, info.node_type, _precision(info.node_type, info.exec_type))
            for info in request.profiling_info
            if info.status == ov.ProfilingInfo.Status.EXECUTED
        ]

    def describe(self) -> str:
        """The runtime, for reports."""
        threads = self._compiled.get_property("INFERENCE_NUM_THREADS")
        return f"openvino {_version()} CPU, {threads} threads"

    def close(self) -> None:
        """Free the compiled network."""
        del self._request
        del self._compiled


def _version() -> str:
    """As pip has it; OpenVINO appends its build, which the IR records."""
    return str(ov.get_version()).split("-", maxsplit=1)[0]


def _compiled(path: str, settings: Mapping[str, object], *, counters: bool = False) -> ov.CompiledModel:
    config = {
        "PERF_COUNT": "YES" if counters else "NO",
        "PERFORMANCE_HINT": "LATENCY",
        # Processors with AVX-512 BF16 or AMX would run float layers in bfloat16 (8 bits of mantissa) without a word.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    if settings.get("threads"):
        config["INFERENCE_NUM_THREADS"] = str(settings["threads"])
    compiled = ov.Core().compile_model(path, "CPU", config)
    devices = compiled.get_property("EXECUTION_DEVICES")
    if list(devices) != ["CPU"]:
        raise RuntimeError(f"OpenVINO would run the network on {devices}, not on the CPU")
    return compiled


def _name_by_position(network: ov.Model) -> None:
    """Nodes that were numbered by a counter of this process are numbered by their position instead."""
    for position, node in enumerate(network.get_ordered_ops()):
        numbered = _NUMBERED.fullmatch(node.get_friendly_name())
        if numbered:
            node.set_friendly_name(f"{numbered.group(1)}#{position}")


def _precision(operator: str, kernel: str) -> str:
    """Of an executed node: a kernel's name ends in the type it computes with."""
    suffix = kernel.rsplit("_", 1)[-1].lower()
    return "conversion" if operator in _CONVERSIONS else _PRECISIONS.get(suffix, suffix)


def _description(port: ov.ConstOutput) -> tuple[str, str, list[int]]:
    names = sorted(port.get_names())
    return names[0] if names else "", np.dtype(port.get_element_type().to_dtype()).name, list(port.get_shape())
