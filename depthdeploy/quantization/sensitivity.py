"""The sensitivity analysis: which layers cost a network its accuracy, and where the loss has gathered."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.fidelity import similarity
from depthdeploy.core.findings import Sensitivity
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import QuantPlan
from depthdeploy.graph_file import write_graph
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization import topology
from depthdeploy.quantization.noise import LayerNoise, layer_noises
from depthdeploy.quantization.qdq import write_pairs
from depthdeploy.quantization.strip import Strip
from depthdeploy.quantization.workbench import Draft, Refined, Workbench

Tensor = NDArray[np.float32]
Photographs = Sequence[Tensor]

#: Bytes of activations that are held at once.
_BUDGET = 512 << 20


@dataclass(frozen=True, slots=True)
class SensitivityAnalysis:
    """Measure every layer alone, at the network's output, and what has gathered at its own output.

    It changes nothing. The float network that layers are compared with is the draft's: weights that have been learned
    onto their grids make no noise in it.

    Attributes:
        images: how many of the calibration photographs are looked at.
    """

    images: int = 8

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images is at least 1, got {self.images}")

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """Add the rows to the findings.

        Raises:
            ModelError: ONNX Runtime refuses a part of the graph.
        """
        photographs = list(bench.photographs.first(self.images))
        noises = layer_noises(Strip.of(topology.load(draft.model)), draft.plan, photographs, bench.progress)
        rows = sensitivity(draft.model, draft.plan, noises, photographs, bench.folder)
        worst = min(rows, key=lambda row: row.sqnr_alone_db)
        detail = (
            f"{len(rows)} layers on {len(photographs)} photographs; "
            f"{worst.node} is the most sensitive, {worst.sqnr_alone_db:.1f} dB"
        )
        return Refined(replace(draft, findings=replace(draft.findings, sensitivity=rows)), detail)


def sensitivity(
    model: OnnxModel, plan: QuantPlan, noises: Sequence[LayerNoise], photographs: Photographs, scratch: Path
) -> tuple[Sensitivity, ...]:
    """The rows of a report, in the graph's order.

    Args:
        model: the float graph.
        plan: its grids.
        noises: what every layer alone does.
        photographs: input tensors.
        scratch: a folder for graphs that are removed afterwards.
    """
    gathered = _gathered(model, plan, [noise.layer.output for noise in noises], photographs, scratch)
    return tuple(
        Sensitivity(
            noise.layer.node, noise.layer.operator, noise.sqnr_db, noise.cosine, *gathered[noise.layer.output],
            noise.layer.macs,
        )
        for noise in noises
    )  # fmt: skip


def _gathered(
    model: OnnxModel, plan: QuantPlan, names: Sequence[str], photographs: Photographs, scratch: Path
) -> dict[str, tuple[float, float]]:
    """SQNR and cosine of tensors of the quantized network against the float one, means over photographs."""
    outs = {value.name for value in topology.load(model).graph.outputs}
    inner = {line.tensor for line in plan.activations} - outs
    twins = {name: f"{name}_dequantized" if name in inner else name for name in names}
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        quantized = write_pairs(model, plan, Path(folder) / "quantized.onnx")
        ours = _exposed(model, names, Path(folder) / "ours.onnx", exact=False)
        theirs = _exposed(quantized, [*twins.values()], Path(folder) / "theirs.onnx", exact=True)
    for photo in photographs:
        for some in _rounds(model, names):
            expected = _read(ours, photo, some)
            found = _read(theirs, photo, [twins[name] for name in some])
            for name, left, right in zip(some, found, expected, strict=True):
                figures[name].append(similarity(left, right))
    return {name: _means(pairs) for name, pairs in figures.items()}


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    sqnr, cosine = np.mean(pairs, axis=0).tolist()
    return sqnr, cosine


def _exposed(model: OnnxModel, names: Sequence[str], out: Path, *, exact: bool) -> OnnxSession:
    """A graph that gives the named tensors too."""
    stored = topology.load(model)
    values = {value.name: value for node in stored.graph for value in node.outputs}
    for value in (values[name] for name in names if name in values):
        if value.type is None:
            value.type = ir.TensorType(ir.DataType.FLOAT)
        if not value.is_graph_output():
            stored.graph.outputs.append(value)
    write_graph(stored, out)
    return OnnxSession(out, exact=exact)


def _rounds(model: OnnxModel, names: Sequence[str]) -> list[list[str]]:
    """The tensors of one run each: together they would be too large to be held."""
    sizes = {value.name: _bytes(value) for node in topology.load(model).graph for value in node.outputs}
    rounds: list[list[str]] = [[]]
    held = 0
    for name in names:
        if rounds[-1] and held + sizes.get(name, 0) > _BUDGET:
            rounds.append([])
            held = 0
        rounds[-1].append(name)
        held += sizes.get(name, 0)
    return rounds


def _bytes(value: ir.Value) -> int:
    static = value.shape is not None and value.shape.is_static()
    return 4 * math.prod(value.shape.numpy()) if value.shape is not None and static else 0


def _read(session: OnnxSession, photo: Tensor, names: Sequence[str]) -> list[Tensor]:
    """The named tensors; a graph's input is the photograph itself."""
    wanted = [name for name in names if name not in session.inputs]
    arrays = dict(zip(wanted, session.run(photo, wanted), strict=True)) if wanted else {}
    return [np.asarray(arrays.get(name, photo), dtype=np.float32) for name in names]
