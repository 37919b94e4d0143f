"""Feature maps that a quantized network can be compared by with the float network it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthdeploy.core.model import OnnxModel
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.groups import shared_grids
from depthdeploy.quantization.workbench import Draft

#: How far the scales of channels may be from those of the teacher, as a share of the map's energy.
_RESCALED = 0.01

#: How many activations are looked at for each that is wanted; all at once would take much memory.
_CANDIDATES = 4


def comparable(
    draft: Draft, reference: OnnxModel, photograph: NDArray[np.float32], count: int, *, device: str = "cpu"
) -> tuple[str, ...]:
    """Names of activations that mean the same in both networks, evenly spaced from the input to the output.

    Equalization gives channels other scales; a map whose channels have them is left out, so that nobody learns to undo
    it.

    Args:
        draft: its graph is run in float.
        reference: what FP32 means.
        photograph: ``[1, 3, H, W]`` float32, to compare both on.
        count: how many names there are at most.
        device: where to compute.
    """
    if count <= 0:
        return ()
    graph, original = topology.load(draft.model), topology.load(reference)
    student, teacher = Executor(graph, device=device), Executor(original, device=device)
    known = {value.name for node in original.graph for value in node.outputs}
    roots, ends = shared_grids(graph.graph, draft.plan), {*student.inputs, *student.outputs}
    shared = [name for name, root in roots.items() if name == root and name not in ends and name in known]
    wanted = _spread(shared, _CANDIDATES * count)
    if not wanted:
        return ()
    image = torch.from_numpy(photograph)
    with torch.no_grad():
        ours = student.run({student.inputs[0]: image}, wanted)
        theirs = teacher.run({teacher.inputs[0]: image}, wanted)
    same = [name for name in wanted if ours[name].shape == theirs[name].shape and _alike(ours[name], theirs[name])]
    return _spread(same, count)


def _spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """So many of the names, evenly spaced, without the ends."""
    if len(names) <= count:
        return tuple(names)
    places = np.linspace(0, len(names) - 1, count + 2)[1:-1]
    return tuple(dict.fromkeys(names[round(place)] for place in places))


def _alike(found: Tensor, wanted: Tensor) -> bool:
    """Whether the channels (axis 1) have the scales that they have in the teacher, to a tenth of their magnitude."""
    if found.ndim < 2 or not found.isfinite().all():
        return False
    p, t = (tensor.transpose(0, 1).flatten(1).double() for tensor in (found, wanted))
    energy = p.square().sum(1)
    factor = (p * t).sum(1) / energy.clamp_min(1e-30)
    return bool(((factor - 1).square() * energy).sum() <= _RESCALED * t.square().sum())
