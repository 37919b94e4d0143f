"""The support check: every node of a graph against what a target can do, and every refusal with its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.support import Effect, FallbackLimit, OpRule, Rejection, Support
from depthdeploy.core.target import Capabilities
from depthdeploy.errors import ModelError, UnsupportedGraph
from depthdeploy.graph.attributes import attribute, opset_of
from depthdeploy.graph.checks.subject import Subject
from depthdeploy.graph.constraints import broken
from depthdeploy.graph.edit import constant, static_shape
from depthdeploy.graph_file import read_graph
from depthdeploy.operations import macs_of

_ONNX = ("", "ai.onnx")

#: The rule of conditions that hold for every node.
EVERY = "*"


@dataclass(frozen=True, slots=True)
class _Judge:
    """One variant of one target, and the operator set that the graph is written in."""

    able: Capabilities
    variant: str
    version: int
    rules: Mapping[str, OpRule]

    def complaints(self, node: ir.Node) -> Iterator[Rejection]:
        """All that is wrong with one node."""
        rule = self.rules.get(node.op_type) if node.domain in _ONNX else None
        if rule is None:
            yield self._unlisted(node)
            return
        if rule.on_host:
            yield self._complaint(node, rule, "runs on the accelerator", "the host's processor alone", Effect.FALLBACK)
            return
        for one in (rule, *([self.rules[EVERY]] if EVERY in self.rules else ())):
            yield from self._attributes(node, one)
            yield from self._tensors(node, one)
            yield from self._constraints(node, one)
        for value in node.outputs:
            if value.name and static_shape(value) is None:
                yield _dynamic(_name(node), node.op_type, value)

    def doubtful(self, node: ir.Node, complaints: Sequence[Rejection]) -> bool:
        """Whether what is said of a node, acceptance too, rests on uncertain sources."""
        rule = self.rules.get(node.op_type)
        return (rule is not None and rule.uncertain) or any(one.uncertain for one in complaints)

    def _unlisted(self, node: ir.Node) -> Rejection:
        operator = node.op_type if node.domain in _ONNX else f"{node.domain}.{node.op_type}"
        effect = self.able.unlisted if node.domain in _ONNX else Effect.REFUSE
        return Rejection(
            node=_name(node),
            operator=operator,
            rule=f"{self.able.title} runs {len(self.rules.keys() - {EVERY})} operators of ONNX",
            found="one that is not among them",
            remedy=f"Write it in operators that `depthdeploy targets {self.able.target}:{self.variant}` lists.",
            effect=effect,
        )

    def _complaint(self, node: ir.Node, rule: OpRule, says: str, found: str, effect: Effect) -> Rejection:
        return Rejection(_name(node), node.op_type, says, found, rule.remedy, effect, rule.source, rule.uncertain)

    def _attributes(self, node: ir.Node, rule: OpRule) -> Iterator[Rejection]:
        for name, accepted in rule.attributes.items():
            found = attribute(node, name, self.version)
            if found is not None and found not in accepted:
                choices = " or ".join(str(choice) for choice in accepted)
                yield self._complaint(node, rule, f"{name} must be {choices}", str(found), rule.effect)

    def _tensors(self, node: ir.Node, rule: OpRule) -> Iterator[Rejection]:
        for value in (*node.inputs, *node.outputs):
            if value is None or value.shape is None:
                continue
            rank = len(value.shape)
            if rule.max_rank is not None and rank > rule.max_rank:
                says = f"at most {rule.max_rank} dimensions"
                yield self._complaint(node, rule, says, f"{value.name} with {rank}", rule.effect)
        data = [value for value in (*node.inputs, *node.outputs) if value is not None and constant(value) is None]
        for value in data if rule.dtypes else ():
            dtype = "" if value.dtype is None else str(value.dtype.numpy())
            if dtype and dtype not in rule.dtypes:
                says = f"values are {' or '.join(rule.dtypes)}"
                yield self._complaint(node, rule, says, f"{value.name} {dtype}", rule.effect)

    def _constraints(self, node: ir.Node, rule: OpRule) -> Iterator[Rejection]:
        for one in rule.constraints:
            fault = broken(one, Subject(node, self.version))
            if fault is not None:
                says, found = fault
                remedy, source = one.remedy or rule.remedy, one.source or rule.source
                doubt = one.uncertain or rule.uncertain
                yield Rejection(_name(node), node.op_type, says, found, remedy, one.effect, source, doubt)


def check_support(model: OnnxModel | ir.Model, capabilities: Capabilities, variant: str) -> Support:
    """Check a whole graph; what is said of all nodes, in the graph's order.

    Refused are operators without a rule, operators of other domains, attribute values (also defaults) that a rule does
    not name, broken conditions, tensors of too high a rank or of another type, tensors whose shape is not static, and
    versions of ONNX outside the range. What the target runs on its host, or on a slower unit, is listed apart.

    Raises:
        ModelError: the file cannot be read.
        PluginError: a rule names a condition that there is not.
    """
    graph = model if isinstance(model, ir.Model) else read_graph(model.path)
    judge = _Judge(capabilities, variant, opset_of(graph), capabilities.rules(variant))
    said = [*_opset(judge), *_inputs(graph)]
    nodes, macs, uncertain, on_host = 0, 0, 0, {}
    for node in graph.graph.all_nodes():
        nodes += 1
        work = _work(node)
        macs += work
        complaints = list(judge.complaints(node))
        said.extend(complaints)
        uncertain += judge.doubtful(node, complaints)
        if any(one.effect is Effect.FALLBACK for one in complaints):
            on_host[_name(node)] = work
    hosted = bool(capabilities.host)
    return Support(
        rejections=tuple(one for one in said if one.effect is Effect.REFUSE or (_falls(one) and not hosted)),
        nodes=nodes,
        fallbacks=tuple(one for one in said if _falls(one) and hosted),
        slow=tuple(one for one in said if one.effect is Effect.SLOW),
        fallback_nodes=len(on_host) if hosted else 0,
        fallback_macs=sum(on_host.values()) / macs if hosted and macs else 0.0,
        uncertain_nodes=uncertain,
    )


def require_support(
    model: OnnxModel | ir.Model, capabilities: Capabilities, variant: str, allowed: FallbackLimit | None = None
) -> Support:
    """The support of a graph that is accepted whole, but for what may run on the host.

    Raises:
        UnsupportedGraph: one or more refusals, or more on the host than was allowed; all are listed.
    """
    support = check_support(model, capabilities, variant)
    error = refusal(support, capabilities, allowed)
    if error is not None:
        raise error
    return support


def refusal(support: Support, capabilities: Capabilities, allowed: FallbackLimit | None) -> UnsupportedGraph | None:
    """Why a graph is not taken, every reason listed; ``None`` where it is."""
    if support.rejections:
        count = len(support.rejections)
        return UnsupportedGraph(
            f"{capabilities.title} refuses {count} of the graph's {support.nodes} nodes or properties:\n"
            f"{_listing(support.rejections)}"
        )
    count, share = support.fallback_nodes, support.fallback_macs
    if count and (allowed is None or not allowed.allows(nodes=count, share=share)):
        limit = "none is allowed to" if allowed is None else f"{allowed} are allowed to"
        return UnsupportedGraph(
            f"{count} of the graph's {support.nodes} nodes, with {100 * share:.2f} % of its MACs, would run on "
            f"{capabilities.host}, and {limit}:\n{_listing(support.fallbacks)}",
            f"Follow the remedies, or allow it: --allow-fallback {count}.",
        )
    return None


def _listing(said: tuple[Rejection, ...]) -> str:
    return "\n".join(f"  {one}" for one in said)


def _falls(said: Rejection) -> bool:
    return said.effect is Effect.FALLBACK


def _name(node: ir.Node) -> str:
    return node.name or (node.outputs[0].name if node.outputs else None) or "without a name"


def _work(node: ir.Node) -> int:
    try:
        return macs_of(node)
    except ModelError:  # a shape is not static, which is refused by name
        return 0


def _opset(judge: _Judge) -> Iterator[Rejection]:
    oldest, newest = judge.able.opsets(judge.variant)
    if not oldest <= judge.version <= newest:
        yield Rejection(
            "the graph",
            "opset",
            f"{judge.able.title} reads ONNX opset {oldest} to {newest}",
            str(judge.version),
            f"Export it at opset {oldest} or later.",
        )


def _inputs(graph: ir.Model) -> Iterator[Rejection]:
    for value in graph.graph.inputs:
        if static_shape(value) is None:
            yield _dynamic("the graph", f"input {value.name}", value)


def _dynamic(name: str, operator: str, value: ir.Value) -> Rejection:
    return Rejection(
        name,
        operator,
        "every dimension is fixed",
        "unknown" if value.shape is None else str(value.shape),
        "Give the input's size: --size HEIGHTxWIDTH.",
    )
