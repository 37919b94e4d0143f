"""Taps: a graph with further outputs, through which calibration reads its activations while it runs at full speed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.inference import OnnxSession, threads
from depthdeploy.quantization.outlets import Outlet, Outlets, write_outlets

Array = NDArray[np.float32]

#: Bytes of activations that may be held at once over all photographs in flight.
_BUDGET = 256 << 20

#: Photographs that run side by side at most: beyond, little time is gained and memory is lost.
_MOST_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read of one tensor on one photograph.

    Attributes:
        values: all values, a sample of them, or the largest (per channel) and smallest where extremes suffice.
        low: the smallest of all values, or 0 where nothing is below it.
        high: the largest of all values.
        least: the smallest value that was read; equal to ``high`` where the tensor may be constant.
        finite: whether no value that was read is NaN or infinite.
    """

    values: Array
    low: float
    high: float
    least: float
    finite: bool


@dataclass(frozen=True, slots=True)
class Taps:
    """An open session and its outlets.

    Attributes:
        session: the graph with the outlets as outputs.
        input: the graph's input, which is tapped without the session.
        rounds: the outlets of one run each; together they are too large to be held, so a photograph takes several runs.
        workers: how many runs may be under way at once.
    """

    session: OnnxSession
    input: str
    rounds: tuple[Outlets, ...]
    workers: int

    def read(self, tensor: NDArray[np.generic], outlets: Outlets) -> dict[str, Sample]:
        """Run the graph on one photograph: tensor -> what was read of it, flattened."""
        outputs = (name for outlet in outlets.values() for name in (outlet.values, *outlet.extremes))
        wanted = [name for name in outputs if name not in ("", self.input)]
        arrays = dict(zip(wanted, self.session.run(tensor, wanted), strict=True))
        arrays[self.input] = tensor
        return {name: _sample(outlet, arrays) for name, outlet in outlets.items()}


def _sample(outlet: Outlet, arrays: Mapping[str, NDArray[np.generic]]) -> Sample:
    bounds = [np.asarray(arrays[name], dtype=np.float32).reshape(-1) for name in outlet.extremes]
    read = [np.asarray(arrays[outlet.values], dtype=np.float32).reshape(-1)] if outlet.values else bounds
    values = read[0] if len(read) == 1 else np.concatenate(read)
    parts = [values, *bounds] if outlet.values else [values]
    least, high = np.min([part.min() for part in parts]), np.max([part.max() for part in parts])  # NaN if there is one
    finite = bool(np.isfinite(least) and np.isfinite(high))
    return Sample(values, 0.0 if outlet.floored else float(least), float(high), float(least), finite)


@contextmanager
def tapped(
    model: OnnxModel, names: Sequence[str], *, extremes: bool, whole: bool = False, exact: bool = False
) -> Iterator[Taps]:
    """Open a graph with taps on the named tensors.

    Args:
        model: the graph.
        names: the tensors, the graph's input among them or not.
        extremes: read the smallest and largest value of every tensor in place of any others.
        whole: read every tensor whole, where large ones are sampled otherwise.
        exact: execute Q/DQ pairs in float, as :class:`OnnxSession` says.

    Raises:
        ModelError: the graph cannot be read, or ONNX Runtime refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="depthdeploy-") as folder:
        path = Path(folder) / "tapped.onnx"
        outlets, sizes = write_outlets(model, names, path, extremes=extremes, whole=whole)
        workers = max(1, min(threads(), _MOST_WORKERS, _BUDGET // max(sum(sizes.values()), 1)))
        session = OnnxSession(path, exact=exact, intra_threads=max(1, threads() // workers))
        yield Taps(session, model.input.name, _rounds(outlets, sizes), workers)


def _rounds(outlets: Outlets, sizes: Mapping[str, int]) -> tuple[Outlets, ...]:
    rounds: list[dict[str, Outlet]] = [{}]
    held = 0
    for name, outlet in outlets.items():
        if rounds[-1] and held + sizes[name] > _BUDGET:
            rounds.append({})
            held = 0
        rounds[-1][name] = outlet
        held += sizes[name]
    return tuple(rounds)
