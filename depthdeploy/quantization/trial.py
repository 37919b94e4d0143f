"""Plans with some nodes in a wider form, tried on photographs against the FP32 network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.core.fidelity import FloatMap, fidelity_alignment, fidelity_scores, similarity
from depthdeploy.core.findings import ParetoPoint
from depthdeploy.core.quant import QuantPlan
from depthdeploy.core.scheme import Escape
from depthdeploy.errors import EvaluationError
from depthdeploy.inference import OnnxSession
from depthdeploy.operations import work_of
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import carried
from depthdeploy.quantization.placement import place
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import write_pairs
from depthdeploy.quantization.workbench import Draft, Workbench

Nodes = frozenset[str]
Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """What every trial of a search has in common.

    Attributes:
        draft: the graph and the plan from which nodes leave.
        bench: where it works.
        escape: the wider form.
        graph: the draft's graph, read once.
        work: label of a node -> its operations.
        integers: the nodes on integers when none has left.
        photographs: input tensors.
        expected: the FP32 network's predictions.
    """

    draft: Draft
    bench: Workbench
    escape: Escape
    graph: ir.Model
    work: Mapping[str, int]
    integers: Nodes
    photographs: tuple[Tensor, ...]
    expected: tuple[Tensor, ...]

    @classmethod
    def of(cls, draft: Draft, bench: Workbench, escape: Escape, *, images: int) -> Trials:
        """Read the graph and predict the photographs in FP32.

        Raises:
            ModelError: the graph cannot be read, or a shape is not static.
        """
        graph = topology.load(draft.model)
        work = {topology.label(node): work_of(node) for node in topology.computing(graph.graph)}
        integers = frozenset(topology.label(node) for node in place(graph.graph, bench.scheme).nodes)
        reference = OnnxSession(bench.reference.path)
        photographs = tuple(bench.photographs.first(images))
        expected = tuple(reference.predict(photo) for photo in photographs)
        return cls(draft, bench, escape, graph, work, integers, photographs, expected)

    def plan(self, escaped: Nodes) -> QuantPlan:
        """The draft's plan with some nodes in the wider form; grids of the draft stay where their format stays."""
        if not escaped:
            return self.draft.plan
        forms = dict.fromkeys(escaped, self.escape)
        return carried(
            self.graph, make_plan(self.graph, self.draft.statistics, self.bench.scheme, forms), self.draft.plan
        )

    def measure(self, escaped: Nodes) -> ParetoPoint:
        """Execute a plan exactly on the photographs."""
        plan = self.plan(escaped)
        path = self.bench.folder / "trial.onnx"
        try:
            session = OnnxSession(write_pairs(self.draft.model, plan, path).path, exact=True)
        finally:
            path.unlink(missing_ok=True)
        alignment = fidelity_alignment(self.bench.reference.depth.kind)
        sqnr, delta1 = [], []
        for photo, expected in zip(self.photographs, self.expected, strict=True):
            found = session.predict(photo)
            sqnr.append(similarity(found, expected)[0])
            try:
                scores = fidelity_scores(found, FloatMap.of(expected), alignment=alignment)
                delta1.append(scores["delta1"])
            except EvaluationError:  # no scale brings the two together: no pixel is within any factor
                delta1.append(0.0)
        left = self.left(escaped, plan)
        figures = float(np.mean(sqnr)), float(np.mean(delta1))
        return ParetoPoint(tuple(sorted(left)), self.cost(left), *figures, chosen=False)

    def left(self, escaped: Nodes, plan: QuantPlan) -> Nodes:
        """The nodes that left the scheme, and those that had to follow: a sum with a float operand is float too."""
        before = {line.node for line in self.draft.plan.floats}
        return (escaped | ({line.node for line in plan.floats} - before)) & self.integers

    def cost(self, left: Nodes) -> float:
        """Time relative to the draft's plan, by operations."""
        base, extra = (sum(self.work[node] for node in nodes) for nodes in (self.integers, left))
        return 1.0 + (self.escape.cost - 1.0) * extra / base
