"""Every pass on every case that ONNX has for an operator: a right case stays right, valid and runnable."""

import functools
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.target import GraphPass
from depthdeploy.graph.canonicalize import PASSES, canonicalize
from depthdeploy.graph.opset_lowering import lower_opset


def _neighbour(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"graph_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


node_cases = _neighbour("node_cases")
discovered = _neighbour("discovered_passes")

#: Cases that no engine computes as ONNX says, by operator, and why: there the function cannot be compared.
UNJUDGED = {
    "Bernoulli": "drawn at random",
    "Adagrad": "the frame's operators are not imported by a graph of the training domain",
    "Adam": "the frame's operators are not imported by a graph of the training domain",
    "Momentum": "the frame's operators are not imported by a graph of the training domain",
    "Range": "ONNX's expansion of Range fits neither engine",
}

#: What is left out, with the release of ONNX that the tests are pinned to: repetitive expansions, sequences and text
#: in other forms than ONNX's, large cases in the forms of constants, and forms that no engine computes.
PINNED, FIGURES = "1.23.2", {"left out": 132, "not tensors": 55, "large": 319, "unjudged": 40}


def content(model: ir.Model) -> bytes:
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def parsed(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.ParseFromString(data)
    return model


def valid(model: onnx.ModelProto) -> str | None:
    """Why a model is not valid; ``None`` when it is."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as cause:
        return str(cause)
    return None


@dataclass(frozen=True)
class Fault:
    """What a pass did wrong to a case."""

    case: str
    rewrite: str
    what: str

    def __str__(self) -> str:
        return f"{self.case} after {self.rewrite}: {self.what[:1500]}"


def faults(case: object, base: bytes, passes: Sequence[GraphPass]) -> Iterator[Fault]:
    """What each pass, alone, does wrong to a model."""
    model, silent = ir.from_proto(parsed(base)), []
    for one in passes:
        if not one(model):
            silent.append(one)
            continue
        changed = content(model)  # those before say that they changed nothing, which is looked into below
        model = ir.from_proto(parsed(base))
        yield from judged(case, base, changed, discovered.identified(one))
    for one in silent:
        one(model)
    if silent and content(model) != base:
        names = ", ".join(discovered.identified(one) for one in silent)
        yield Fault(case.name, names, "one of them changed the graph and said that it did not")  # type: ignore[attr-defined]


def judged(case: object, base: bytes, changed: bytes, rewrite: str) -> Iterator[Fault]:
    """What is wrong with the bytes that a rewrite made of a model of this case."""
    name = case.name  # type: ignore[attr-defined]
    if changed == base:
        yield Fault(name, rewrite, "nothing is changed, and it says that something was")
        return
    after, before = parsed(changed), parsed(base)
    for part in ("input", "output"):
        ends = [[(v.name, v.type.tensor_type.elem_type) for v in getattr(m.graph, part)] for m in (before, after)]
        if ends[0] != ends[1]:
            yield Fault(name, rewrite, f"the {part}s were {ends[0]} and became {ends[1]}")
            return
    if valid(before) is None and (reason := valid(after)) is not None:
        yield Fault(name, rewrite, f"not valid any more: {reason}")
    engine = case.engine()  # type: ignore[attr-defined]
    if engine is not None and (reason := case.fault(after, engine)) is not None:  # type: ignore[attr-defined]
        yield Fault(name, rewrite, f"{engine}: {reason}\n{onnx.printer.to_text(after)}")


@functools.cache
def forms(operator: str) -> tuple[object, ...]:
    return tuple(form for case in node_cases.cases()[operator] for form in node_cases.forms(case))


def canonical(data: bytes) -> bytes:
    model = ir.from_proto(parsed(data))
    canonicalize(model)
    return content(model)


def stored(case: object) -> bytes:
    return content(ir.from_proto(case.model))  # type: ignore[attr-defined]


@pytest.mark.parametrize("operator", node_cases.cases())
def test_no_pass_breaks_a_node(operator: str) -> None:
    exact = discovered.exact_passes()
    found = [fault for case in forms(operator) for fault in faults(case, stored(case), exact)]
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("operator", node_cases.cases())
def test_the_fixpoint_breaks_no_node_and_later_passes_break_no_canonical_one(operator: str) -> None:
    others = [one for one in discovered.exact_passes() if one not in PASSES]
    found: list[Fault] = []
    for case in forms(operator):
        before = stored(case)
        after = canonical(before)
        if after != before:
            found += judged(case, before, after, "canonicalize")
        assert canonical(after) == after, f"{case.name}: a second run changes something"  # type: ignore[attr-defined]
        if case.name.endswith(":framed"):  # type: ignore[attr-defined]
            found += faults(case, after, others)
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("operator", sorted(set(node_cases.cases()) - {"RoiAlign"}))  # no engine runs its oldest form
def test_an_older_operator_set_says_the_same_or_refuses(operator: str) -> None:
    found: list[Fault] = []
    for case in forms(operator):
        if not case.name.endswith(":framed"):  # type: ignore[attr-defined]
            continue
        for version in (17, 13, 11):
            before = stored(case)
            model = ir.from_proto(parsed(before))
            refused = lower_opset(model, version)
            after = content(model)
            if refused and after != before:
                found.append(Fault(case.name, f"opset {version}", "is refused and changed"))  # type: ignore[attr-defined]
            elif after != before and case.fault(parsed(after), "onnxruntime"):  # type: ignore[attr-defined]
                found += judged(case, before, after, f"opset {version}")
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("one", discovered.approximate_passes(), ids=discovered.identified)
def test_an_approximate_pass_has_an_option_and_changes_something(one: GraphPass) -> None:
    assert re.fullmatch(r"[a-z0-9-]+=[a-z0-9_-]+", one.option)  # type: ignore[attr-defined]
    framed = (form for operator in node_cases.cases() for form in forms(operator) if form.name.endswith(":framed"))  # type: ignore[attr-defined]
    assert any(one(ir.from_proto(form.model)) for form in framed)  # type: ignore[attr-defined]


def test_every_case_of_onnx_is_sent_and_nearly_all_are_judged() -> None:
    listed = node_cases.cases()
    sent = [case for cases in listed.values() for case in cases]
    everything = [form for operator in listed for form in forms(operator)]
    shapes = Counter(form.name.rsplit(":", 1)[1] for form in everything)  # type: ignore[attr-defined]
    unjudged = [form for form in everything if form.engine() is None]  # type: ignore[attr-defined]
    assert {form.operator for form in unjudged} <= set(UNJUDGED)  # type: ignore[attr-defined]
    left_out = len(node_cases.collected()) - len(sent)
    not_tensors = sum(not node_cases.is_of_tensors(case) for case in sent)
    large = sum(node_cases.is_large(case) and node_cases.is_of_tensors(case) for case in sent)
    assert shapes["given"] == len(sent)
    assert shapes["framed"] == len(sent) - not_tensors
    assert shapes["frozen"] == len(sent) - not_tensors - large
    figures = {"left out": left_out, "not tensors": not_tensors, "large": large, "unjudged": len(unjudged)}
    if onnx.__version__ == PINNED:
        assert figures == FIGURES
    assert left_out < 0.1 * len(sent)
    assert not_tensors < 0.05 * len(sent)
    assert len(unjudged) < 0.01 * len(everything)


def test_every_pass_is_found() -> None:
    assert {one.name for one in PASSES} <= {one.name for one in discovered.exact_passes()}
    assert all(isinstance(one, GraphPass) for one in discovered.every_pass())
    identities = [discovered.identified(one) for one in discovered.every_pass()]
    assert len(set(identities)) == len(identities)


class _Wrong:
    """Passes that break the law: the harness must notice each."""

    name = "wrong"

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, model: ir.Model) -> bool:
        node = next(node for node in model.graph if node.op_type == "Relu")
        if self.how == "silent":
            node.doc_string = "changed"
            return False
        if self.how == "loud":
            return True
        node.op_type = {"another function": "Abs", "invalid": "Concat"}[self.how]
        return True


@pytest.mark.parametrize("how", ["silent", "loud", "another function", "invalid"])
def test_the_harness_notices_a_pass_that_breaks_the_law(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovered, "identified", lambda one: one.name)
    case = forms("Relu")[0]
    assert list(faults(case, stored(case), [_Wrong(how)]))
