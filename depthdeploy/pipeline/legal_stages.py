"""The stage ``legalize``, once per target: the legal graph, and what approximations of it lose."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from pathlib import Path

from depthdeploy import inference
from depthdeploy.core.ends import EndOptions
from depthdeploy.core.metrics import Evaluation, Evidence
from depthdeploy.core.model import LegalModel
from depthdeploy.core.progress import Progress
from depthdeploy.core.support import Allowances
from depthdeploy.core.target import GraphPass
from depthdeploy.graph.legalize import legalize as make_legal
from depthdeploy.inference import OnnxSession
from depthdeploy.pipeline import scoring
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.ends import of_the_graph, open_ends, require_door
from depthdeploy.pipeline.model_stages import Network, require_same, versions_of
from depthdeploy.pipeline.photographs import Photographs
from depthdeploy.pipeline.run import Run
from depthdeploy.pipeline.target_stages import Emulated
from depthdeploy.pipeline.whole import Whole


def legalize(
    run: Run,
    network: Network,
    photographs: Photographs,
    goal: Destination,
    *,
    allowances: Allowances,
    options: EndOptions,
) -> LegalModel:
    """The graph that the target accepts whole: the accelerator's part of the network, its input opened.

    The target's rewrites are proven on a photograph to keep the function, unless it was asked to be changed.

    Raises:
        ModelError: a pass changed the function; this is a fault of the target's plug-in, and named as one.
        UnsupportedGraph: every refused node, with rule and remedy.
        UsageError: an approximation is unknown, or changes nothing; the network cannot be cut as was asked.
    """

    def make(folder: Path, _: Progress) -> LegalModel:
        opened = open_ends(network.model, goal, options, allowances.approximate, folder)
        inner = of_the_graph(allowances)
        legal = make_legal(opened, goal.target, goal.variant.name, folder / "model.onnx", inner)
        if not inner.approximate:
            reference = run.reference(network.exported.model)
            before = reference.predict if opened.meaning == network.model.meaning else OnnxSession(opened.path).predict
            require_same(before, opened, legal.model, photographs)
        require_door(legal.model, goal, options.shaped(network.model.contract), allowances)
        return replace(legal, approximations=allowances.approximate)

    depends = (
        network.model.meaning,
        goal.target.capabilities,
        goal.variant.name,
        [_settings(rewrite) for rewrite in goal.target.lowering(goal.variant.name)],
        allowances,
        options,
        versions_of("depthdeploy"),
    )
    return run.stage("legalize", LegalModel, depends=depends, make=make, describe=_describe_legal)


def _settings(rewrite: GraphPass) -> object:
    """A pass with the values of its fields: the same one with another limit gives another graph."""
    own = rewrite if is_dataclass(rewrite) and not isinstance(rewrite, type) else rewrite.name
    return type(rewrite).__qualname__, own


def _describe_legal(legal: LegalModel) -> tuple[None, str]:
    support = legal.support
    parts = [f"all {support.nodes} nodes accepted"]
    tail = legal.model.depth.tail
    if tail is not None:
        parts.append(f"the host computes {tail}")
    if legal.rewrites:
        parts.append(f"rewritten by {', '.join(legal.rewrites)}")
    if legal.approximations:
        parts.append(f"approximated: {', '.join(legal.approximations)}")
    if support.fallback_nodes:
        parts.append(f"{support.fallback_nodes} on the host")
    if support.slow:
        parts.append(f"{len({one.node for one in support.slow})} on a slower unit")
    if support.uncertain_nodes:
        parts.append(f"{support.uncertain_nodes} by uncertain rules")
    return None, "; ".join(parts)


def approximate(run: Run, network: Network, legal: LegalModel, photographs: Photographs) -> tuple[Evaluation, ...]:
    """What the approximations of a legal graph lose before anything is quantized; nothing where there are none."""
    if not legal.approximations:
        return ()

    def make(_: Path, progress: Progress) -> Emulated:
        session = inference.OnnxSession(legal.model.path)
        name = f"approximated FP32 ({', '.join(legal.approximations)})"
        reference = run.reference(network.exported.model)
        whole = Whole.of(legal.model.contract, session.predict, legal.model.tail)
        candidate = whole.candidate(name, inference.describe(), Evidence.APPROXIMATED, reference.model.contract)
        results = scoring.score(reference, candidate, photographs, gallery=False, progress=progress)
        return Emulated(tuple(one for result in results for one in result.evaluations), ())

    def describe(scored: Emulated) -> tuple[None, str]:
        return None, f"approximations alone: {scoring.loss_so_far(scored.evaluations, Evidence.APPROXIMATED)}"

    depends = (
        ("approximations", legal.approximations),
        network.exported.model.meaning,
        legal.model.sha256,
        scoring.sets_of(photographs),
        versions_of("onnxruntime", "pillow"),
    )
    return run.stage("legalize", Emulated, depends=depends, make=make, describe=describe).evaluations
