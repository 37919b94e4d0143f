r"""Channel mixing: where everything between two layers is linear, channels are exchanged for better mixtures of them.

Equalization scales the channels of a tensor; where no activation function keeps them apart, any invertible matrix will
do: the layers before give ``A x``, the layers behind take ``W A^{-1}``, and the function stays. The bottlenecks of
inverted residuals (Sandler et al. 2018) are such places, whole chains of additions among them.

On a tensor grid of step ``D``, rounding adds ``D^2 / 12`` to every channel and ``|W A^{-1}|^2 D^2 / 12`` behind. With
``S = E[x x^T]``, ``G = W^T W`` and channels of equal energy, ``D^2`` goes as ``tr(M S)``, ``M = A^T A``, and

    tr(G M^{-1}) tr(M S)  is least for  M S M = G,   M = S^{-1/2} (S^{1/2} G S^{1/2})^{1/2} S^{-1/2}

(set the derivative to 0; the solution is the geometric mean of ``S^{-1}`` and ``G``, Bhatia 2007, section 4.1). Then
``A`` is ``U M^{1/2}`` with any rotation ``U``: one that gives all channels the same energy, as transform coding has it
(Goyal 2001).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.grid import Grid
from depthdeploy.core.model import OnnxModel
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.graph_file import write_graph
from depthdeploy.inference import OnnxSession, threads
from depthdeploy.quantization import topology
from depthdeploy.quantization.channel_groups import ChannelGroup, channel_groups
from depthdeploy.quantization.channel_noise import attribute, rounding_error, weight_of
from depthdeploy.quantization.placement import place
from depthdeploy.quantization.projections import replace_constant
from depthdeploy.quantization.side_by_side import in_order
from depthdeploy.quantization.workbench import Prepared, Workbench

Matrix = NDArray[np.float64]

#: Operators through which a matrix on the channels passes unchanged: they are linear and the same for all channels.
_LINEAR = frozenset({"Add", "AveragePool", "GlobalAveragePool", "Identity", "Pad", "Resize"})

#: What is added to the energy of every direction, as a share of the mean: no direction is stretched without bound.
_FLOOR = 1e-3

#: Photographs that run side by side at most.
_MOST_WORKERS = 4


@dataclass(frozen=True, slots=True)
class ChannelMixing:
    """Mix the channels of every linear group that gains by it.

    Attributes:
        images: how many photographs are observed.
        positions: drawn from each of them, for one tensor.
        gain: the noise must fall to less than this share of what it was.
    """

    images: int = 16
    positions: int = 256
    gain: float = 0.95

    def __call__(self, model: OnnxModel, bench: Workbench) -> Prepared:
        """Choose and apply the matrices.

        Raises:
            QuantizationError: an activation is NaN or infinite.
        """
        stored = topology.load(model)
        on_grids = {topology.name_of(value) for value in place(stored.graph, bench.scheme).tensors}
        groups = [group for group in channel_groups(stored.graph) if _linear(group)]
        named = [[name for value in group.tensors if (name := topology.name_of(value)) in on_grids] for group in groups]
        drawn = self._drawn(stored, [name for names in named for name in names], model, bench)
        changed = 0
        for done, (group, names) in enumerate(zip(groups, named, strict=True)):
            matrix = self._best(group, [drawn[name] for name in names], bench) if names else None
            if matrix is not None:
                _apply(group, matrix)
                changed += 1
            bench.progress(done + 1, len(groups))
        detail = f"channels of {changed} of {len(groups)} linear groups mixed"
        if not changed:
            return Prepared(model, detail)
        out = bench.folder / "mixed.onnx"
        return Prepared(replace(model, path=out, sha256=write_graph(stored, out)), detail)

    def _drawn(
        self, stored: ir.Model, names: Sequence[str], model: OnnxModel, bench: Workbench
    ) -> Mapping[str, NDArray[np.float32]]:
        """Tensor -> ``[channels, samples]``, the same positions for every run."""
        if not names:
            return {}
        with tempfile.TemporaryDirectory(prefix="depthdeploy-") as folder:
            path = Path(folder) / "tensors.onnx"
            _expose(topology.load(model), names, path)
            workers = min(threads(), _MOST_WORKERS)
            session = OnnxSession(path, intra_threads=max(1, threads() // workers))

            def read(work: tuple[int, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
                index, photo = work
                rng = np.random.default_rng([bench.seed, index])
                return [_columns(array, self.positions, rng) for array in session.run(photo, names)]

            photographs = enumerate(bench.photographs.first(self.images))
            parts = list(in_order(read, photographs, workers=workers))
        drawn = {name: np.concatenate([part[at] for part in parts], axis=1) for at, name in enumerate(names)}
        bad = [name for name, columns in drawn.items() if not np.isfinite(columns).all()]
        if bad:
            raise QuantizationError(
                f"The activation {bad[0]} is NaN or infinite on a calibration photograph.",
                "Look at the network's FP32 predictions.",
            )
        return drawn

    def _best(self, group: ChannelGroup, drawn: Sequence[NDArray[np.float32]], bench: Workbench) -> Matrix | None:
        """The candidate of the least noise; ``None`` when the channels as they are come close."""
        energy = np.asarray(np.sum([_second(columns) for columns in drawn], axis=0))
        gram = np.asarray(np.sum([_gram(node) for node in group.readers], axis=0))
        stretch = _stretch(energy, gram)
        rng = np.random.default_rng([bench.seed, group.channels])
        turn = np.linalg.qr(rng.standard_normal(stretch.shape))[0]
        candidates = [rotation @ stretch for rotation in (_levelling(stretch, energy), turn)]
        before = _noise(group, np.eye(group.channels), drawn, bench.scheme)
        costs = [_noise(group, matrix, drawn, bench.scheme) for matrix in candidates]
        least = int(np.argmin(costs))
        return candidates[least] if costs[least] < self.gain * before else None


def _linear(group: ChannelGroup) -> bool:
    """Whether nothing but additions and the like lies between writers that mix all channels and readers that do."""
    layers = (*group.writers, *group.readers)
    if any(attribute(node, "group", 1) != 1 for node in layers):
        return False
    made = [node for value in group.tensors if (node := value.producer()) is not None and node not in group.writers]
    used = [use.node for value in group.tensors for use in value.uses() if use.node not in group.readers]
    return all(node.op_type in _LINEAR for node in (*made, *used))


def _expose(stored: ir.Model, names: Sequence[str], path: Path) -> None:
    graph = stored.graph
    wanted = set(names)
    graph.outputs.extend(
        value for node in graph for value in node.outputs if value.name in wanted and not value.is_graph_output()
    )
    ir.save(stored, path, external_data=f"{path.name}.data")


def _columns(array: NDArray[np.generic], positions: int, rng: np.random.Generator) -> NDArray[np.float32]:
    columns = np.asarray(array, dtype=np.float32).reshape(array.shape[1], -1)
    drawn = rng.choice(columns.shape[1], min(positions, columns.shape[1]), replace=False)
    return columns[:, drawn]


def _by_input(node: ir.Node, weight: Matrix) -> Matrix:
    """A layer's weight as ``[in, everything else]``."""
    axis = 0 if node.op_type == "ConvTranspose" else 1
    return np.asarray(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1))


def _second(columns: NDArray[np.floating]) -> Matrix:
    """``E[x x^T]`` over the columns."""
    product = np.asarray(columns @ columns.T, dtype=np.float64)
    return np.asarray(product / columns.shape[1])


def _gram(node: ir.Node) -> Matrix:
    rows = _by_input(node, weight_of(node))
    return rows @ rows.T


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """Of a symmetric matrix whose eigenvalues are not negative, raised from below by the floor."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.maximum(values, 0.0) + _FLOOR * max(float(values.mean()), 1e-30)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def _stretch(energy: Matrix, gram: Matrix) -> Matrix:
    """``M^{1/2}`` of the least noise."""
    root, inverse = _power(energy, 0.5), _power(energy, -0.5)
    return _power(inverse @ _power(root @ gram @ root, 0.5) @ inverse, 0.5)


def _levelling(stretch: Matrix, energy: Matrix) -> Matrix:
    """A rotation after which all channels have the same energy: plane rotations, each sets one channel to the mean."""
    size = len(stretch)
    rotation = np.eye(size)
    spread = stretch @ energy @ stretch.T
    target = float(np.trace(spread)) / size
    for _ in range(size - 1):
        diagonal = np.diag(spread)
        low, high = int(diagonal.argmin()), int(diagonal.argmax())
        if diagonal[high] - diagonal[low] < 1e-9 * target:
            break
        a, b, c = diagonal[low] - target, spread[low, high], diagonal[high] - target
        tangent = (-b + np.sqrt(max(b * b - a * c, 0.0))) / c  # a + 2 b t + c t^2 = 0: the low channel gets the mean
        cosine = 1 / np.sqrt(1 + tangent * tangent)
        plane = np.array([[cosine, tangent * cosine], [-tangent * cosine, cosine]])
        pair = [low, high]
        rotation[pair] = plane @ rotation[pair]
        spread[pair] = plane @ spread[pair]
        spread[:, pair] = spread[:, pair] @ plane.T
    return rotation


def _noise(group: ChannelGroup, matrix: Matrix, drawn: Sequence[NDArray[np.float32]], scheme: Scheme) -> float:
    """What rounding the mixed tensors and the readers' weights leaves, in squared units of the readers' outputs."""
    inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    mixed = [matrix @ columns for columns in drawn]
    second = np.mean([_second(columns) for columns in mixed], axis=0)
    felt, weights = 0.0, 0.0
    for node in group.readers:
        weight = _mixed_inputs(node, inverse)
        felt += float((weight**2).sum())
        error = _by_input(node, rounding_error(node, weight, scheme.weights))
        weights += float(np.einsum("ik,ij,jk->", error, second, error, optimize=True))
    steps = [Grid.covering(float(one.min()), float(one.max()), scheme.activations).scale[0] for one in mixed]
    return sum(step**2 / 12 for step in steps) * felt + weights


def _mixed_inputs(node: ir.Node, inverse: Matrix) -> Matrix:
    """The weight of a reader behind ``A x``."""
    axis = 0 if node.op_type == "ConvTranspose" else 1
    return np.moveaxis(np.tensordot(weight_of(node), inverse, axes=(axis, 0)), -1, axis)


def _apply(group: ChannelGroup, matrix: Matrix) -> None:
    inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    for node in group.writers:
        axis = 0 if node.op_type == "Conv" else 1
        replace_constant(node, 1, np.moveaxis(np.tensordot(matrix, weight_of(node), axes=(1, axis)), 0, axis))
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            replace_constant(node, 2, matrix @ np.asarray(topology.constant(node.inputs[2]), np.float64))
    for node in group.readers:
        replace_constant(node, 1, _mixed_inputs(node, inverse))
