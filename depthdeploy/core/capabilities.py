"""``capabilities.toml`` as a value: read strictly, so that a misspelt key is found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from depthdeploy.core.ends import TailRule
from depthdeploy.core.grid import Granularity, NumberFormat
from depthdeploy.core.operator_rules import read_rules
from depthdeploy.core.scheme import Escape, Scheme
from depthdeploy.core.support import Effect
from depthdeploy.core.target import CalibrationAdvice, Capabilities, Handover, Variant
from depthdeploy.core.toml_table import Table, read_toml

#: The oldest opset whose ``QuantizeLinear`` and ``DequantizeLinear`` know 16-bit integers.
WIDE_OPSET = 21


def load_capabilities(path: Path) -> Capabilities:
    """What a target can do, from its ``capabilities.toml``.

    Raises:
        PluginError: the file is missing, is not TOML, or has an unknown key, a missing key or a value of the wrong
            kind; the message names file, key, what was expected and what was found.
    """
    return _capabilities(read_toml(path))


def _capabilities(table: Table) -> Capabilities:
    schemes = table.tables("schemes", _scheme)
    variants = table.tables("variants", lambda inner, name: _variant(inner, name, schemes))
    rules = read_rules(table, variants)
    read = Capabilities(
        target=table.take("target", str),
        title=table.take("title", str),
        variants={name: replace(one, operators=rules.get(name, {})) for name, one in variants.items()},
        operators=rules.get("", {}),
        opset=_opset(table),
        artifact=table.take("artifact", str),
        driver=table.take("driver", str),
        sdk=table.take("sdk", str),
        runs_here=table.take("runs_here", bool),
        install=table.take("install", str),
        handover=table.choice("handover", Handover, Handover.QDQ),
        quantizer=table.take("quantizer", str, "depthdeploy"),
        host=table.take("host", str, ""),
        unlisted=table.choice("unlisted", Effect, Effect.REFUSE),
        calibration=_advice(table),
        host_tail=table.choice("host_tail", TailRule, TailRule.NONE),
    )
    if read.unlisted is Effect.FALLBACK and not read.host:
        raise table.error("host", "where nodes without a rule run", "nothing")
    _check_wide(table, read)
    _check_names(table, read)
    table.end()
    return read


def _opset(table: Table) -> tuple[int, int]:
    opset: list[object] = table.take("opset", list)
    if len(opset) != 2 or any(not isinstance(version, int) for version in opset):
        raise table.error("opset", "the oldest and the newest version", repr(opset))
    oldest, newest = (int(str(version)) for version in opset)
    return oldest, newest


def _check_wide(table: Table, able: Capabilities) -> None:
    """A compiler that reads our Q/DQ nodes must read them in 16 bits where a scheme has such an escape."""
    for name, variant in able.variants.items():
        if able.handover is not Handover.QDQ or able.opsets(name)[1] >= WIDE_OPSET:
            continue
        for scheme in variant.schemes.values():
            if any(escape.activations and escape.activations.container == 16 for escape in scheme.escapes):
                newest = f"{able.opsets(name)[1]}"
                raise table.error("opset", f"{WIDE_OPSET}, as the 16-bit escape of scheme {scheme.name} needs", newest)


def _check_names(table: Table, able: Capabilities) -> None:
    """A name or alias means one variant."""
    names = [name for one in able.variants.values() for name in (one.name, *one.aliases)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise table.error("variants", "every name and alias once", repr(twice))


def _advice(table: Table) -> CalibrationAdvice:
    if not table.has("calibration"):
        return CalibrationAdvice(0, "", "")
    inner = table.table("calibration")
    read = CalibrationAdvice(
        minimum=inner.take("minimum", int),
        typical=inner.take("typical", str),
        source=inner.take("source", str),
        uncertain=inner.take("uncertain", bool, default=False),
    )
    inner.end()
    return read


def _format(table: Table) -> NumberFormat:
    granularity = table.take("granularity", str)
    if granularity not in {choice.value for choice in Granularity}:
        raise table.error("granularity", "tensor or channel", repr(granularity))
    try:
        read = NumberFormat(
            bits=table.take("bits", int),
            signed=table.take("signed", bool),
            symmetric=table.take("symmetric", bool),
            granularity=Granularity(granularity),
            container=table.take("container", int, 8),
        )
    except ValueError as cause:
        raise table.error("", "a number format", str(cause)) from cause
    table.end()
    return read


def _scheme(table: Table, name: str) -> Scheme:
    scheme = Scheme(
        name=name,
        weights=_format(table.table("weights")),
        activations=_format(table.table("activations")),
        operators=frozenset(table.texts("operators")),
        quantize_output=table.take("quantize_output", bool),
        source=table.take("source", str),
        escapes=_escapes(table),
    )
    table.end()
    return scheme


def _escapes(table: Table) -> tuple[Escape, ...]:
    listed: list[object] = table.take("escapes", list, [])
    found = [_escape(Table(raw, table.path, f"{table.where}.escapes[{index}]")) for index, raw in enumerate(listed)]
    if len({escape.name for escape in found}) < len(found):
        raise table.error("escapes", "every name once", repr([escape.name for escape in found]))
    return tuple(sorted(found, key=lambda escape: escape.cost))


def _escape(table: Table) -> Escape:
    name, source = table.take("name", str), table.take("source", str)
    cost = table.number("cost")
    wide = _format(table.table("activations")) if table.has("activations") else None
    if wide is not None and wide.granularity is not Granularity.TENSOR:
        raise table.error("activations.granularity", "tensor", repr(wide.granularity.value))
    try:
        read = Escape(name, wide, cost, source)
    except ValueError as cause:
        raise table.error("cost", "a number above 1", repr(cost)) from cause
    table.end()
    return read


def _variant(table: Table, name: str, schemes: Mapping[str, Scheme]) -> Variant:
    precisions = table.texts("precisions")
    chosen: dict[str, Scheme] = {}
    for precision, scheme in table.table("schemes").rest().items():
        if scheme not in schemes or precision not in precisions:
            raise table.error(
                f"schemes.{precision}", f"a precision of {precisions}, a scheme of {[*schemes]}", repr(scheme)
            )
        chosen[precision] = schemes[str(scheme)]
    if not precisions:
        raise table.error("precisions", "at least one", repr(precisions))
    variant = Variant(
        name=name,
        title=table.take("title", str),
        schemes=chosen,
        precisions=precisions,
        cpu_flags=table.texts("cpu_flags", default=[]),
        opset=_opset(table) if table.has("opset") else None,
        aliases=table.texts("aliases", default=[]),
        device=table.take("device", str, ""),
        artifact=table.take("artifact", str, ""),
        uncertain=table.take("uncertain", bool, default=False),
    )
    table.end()
    return variant
