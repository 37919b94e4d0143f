"""Values of a graph as polynomials of others: one test for every way of writing the same arithmetic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import onnx_ir as ir

from depthdeploy.graph.edit import producer, scalar

#: Exponents of the symbols -> coefficient; what is not listed is 0.
Polynomial = Mapping[tuple[int, ...], float]

ARITHMETIC: Final = ("Add", "Div", "Mul", "Neg", "Pow", "Sub", "Sum")
#: Nodes between a value and its symbols; activations that are written out have at most eight.
_DEPTH: Final = 10
_DEGREE: Final = 4


def expand(value: ir.Value | None, symbols: Sequence[ir.Value], depth: int = _DEPTH) -> Polynomial | None:
    """A value as a polynomial of others; ``None`` when it is none, or one of a degree above 4."""
    if value is None or depth == 0:
        return None
    for index, symbol in enumerate(symbols):
        if value is symbol:
            return {tuple(int(position == index) for position in range(len(symbols))): 1.0}
    number = scalar(value)
    if number is not None:
        return {(0,) * len(symbols): number}
    node = producer(value, *ARITHMETIC)
    if node is None:
        return None
    if node.op_type == "Pow":
        return _power(expand(node.inputs[0], symbols, depth - 1), scalar(node.inputs[1]))
    terms = [expand(operand, symbols, depth - 1) for operand in node.inputs]
    known = [term for term in terms if term is not None]
    return _combine(node.op_type, known) if len(known) == len(terms) else None


def sources(value: ir.Value | None, depth: int = _DEPTH) -> Iterator[ir.Value]:
    """The values that are not constant which arithmetic makes a value of, itself first."""
    if value is None or depth == 0 or scalar(value) is not None:
        return
    yield value
    node = producer(value, *ARITHMETIC)
    for operand in () if node is None else node.inputs:
        yield from sources(operand, depth - 1)


def results(value: ir.Value, depth: int) -> Iterator[ir.Node]:
    """The arithmetic that reads a value, nearest first, at most ``depth`` nodes away."""
    front = [value]
    for _ in range(depth):
        readers = [node for one in front for node, _ in one.uses() if node.domain == "" and node.op_type in ARITHMETIC]
        yield from readers
        front = [node.outputs[0] for node in readers]


def close(found: Polynomial | None, wanted: Polynomial, tolerance: float) -> bool:
    """Whether every coefficient is the wanted one up to a share of it."""
    if found is None:
        return False
    present = {powers: factor for powers, factor in found.items() if factor != 0}
    return present.keys() == wanted.keys() and all(
        abs(factor - wanted[powers]) <= tolerance * abs(wanted[powers]) for powers, factor in present.items()
    )


def _combine(operator: str, terms: Sequence[Polynomial]) -> Polynomial | None:
    first = terms[0]
    match operator:
        case "Neg":
            return _weighted([(first, -1.0)])
        case "Sub":
            return _weighted([(first, 1.0), (terms[1], -1.0)])
        case "Mul":
            return _product(first, terms[1])
        case "Div":
            divisor = _number(terms[1])
            return None if not divisor else _weighted([(first, 1.0 / divisor)])
        case _:
            return _weighted([(term, 1.0) for term in terms])


def _number(term: Polynomial) -> float | None:
    """The one coefficient of a constant."""
    return next(iter(term.values())) if len(term) == 1 and not any(next(iter(term))) else None


def _weighted(terms: Sequence[tuple[Polynomial, float]]) -> Polynomial:
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for term, weight in terms:
        for powers, factor in term.items():
            total[powers] += weight * factor
    return dict(total)


def _product(left: Polynomial, right: Polynomial) -> Polynomial | None:
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for powers, factor in left.items():
        for others, second in right.items():
            total[tuple(a + b for a, b in zip(powers, others, strict=True))] += factor * second
    return dict(total) if all(sum(powers) <= _DEGREE for powers in total) else None


def _power(base: Polynomial | None, exponent: float | None) -> Polynomial | None:
    if base is None or exponent not in (1, 2, 3, 4):
        return None
    result: Polynomial | None = base
    for _ in range(int(exponent) - 1):
        result = None if result is None else _product(result, base)
    return result
