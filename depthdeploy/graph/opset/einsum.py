"""``Einsum`` (opset 12) of one or two tensors as moves, a sum and a matrix product."""

from __future__ import annotations

import math

import onnx_ir as ir

from depthdeploy.graph.emission import Emission
from depthdeploy.graph.opset.site import Site

_REMEDY = "Write it as Transpose, Reshape and MatMul."


def einsum(site: Site) -> None:
    """Letters of both operands are batches if the result has them, sums otherwise; others are rows or columns."""
    terms, result = _parsed(site)
    operands = [site.value(index) for index in range(len(terms))]
    sizes = {
        letter: n
        for term, x in zip(terms, operands, strict=True)
        for letter, n in zip(term, site.shape(x), strict=True)
    }
    if (
        not operands
        or len(operands) > 2
        or any(len(set(term)) < len(term) for term in terms)
        or _broadcast(site, terms, sizes)
    ):
        raise site.refuse("has no Einsum", f"the equation {site.text('equation', '')}", _REMEDY)
    parts = site.emission()
    for index, term in enumerate(terms):
        others = result + "".join(other for at, other in enumerate(terms) if at != index)
        alone = [letter for letter in term if letter not in others]
        operands[index] = _summed(parts, operands[index], [term.index(letter) for letter in alone])
        terms[index] = "".join(letter for letter in term if letter not in alone)
    if len(operands) == 1:
        parts.finish(_moved(parts, operands[0], terms[0], result))
        return
    parts.finish(_product(parts, (operands[0], operands[1]), (terms[0], terms[1]), result, sizes))


def _product(
    parts: Emission, operands: tuple[ir.Value, ir.Value], terms: tuple[str, str], result: str, sizes: dict[str, int]
) -> ir.Value:
    left, right = terms
    batch = [letter for letter in result if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in batch]
    rows = [letter for letter in left if letter not in right]
    columns = [letter for letter in right if letter not in left]
    shape = [math.prod(sizes[letter] for letter in group) for group in (batch, rows, summed, columns)]
    first = _moved(parts, operands[0], left, "".join([*batch, *rows, *summed]))
    second = _moved(parts, operands[1], right, "".join([*batch, *summed, *columns]))
    first = parts.emit("Reshape", first, parts.whole(shape[:3], "rows"), what="left")
    second = parts.emit("Reshape", second, parts.whole([shape[0], *shape[2:]], "columns"), what="right")
    product = parts.emit("MatMul", first, second, what="product")
    order = [*batch, *rows, *columns]
    spread = parts.emit("Reshape", product, parts.whole([sizes[one] for one in order], "spread"), what="result")
    return _moved(parts, spread, "".join(order), result)


def _moved(parts: Emission, x: ir.Value, have: str, want: str) -> ir.Value:
    return parts.emit("Transpose", x, what="moved", perm=[have.index(letter) for letter in want]) if want else x


def _summed(parts: Emission, x: ir.Value, axes: list[int]) -> ir.Value:
    return parts.emit("ReduceSum", x, what="sum", axes=axes, keepdims=0) if axes else x


def _parsed(site: Site) -> tuple[list[str], str]:
    """The letters of operands and result; an ellipsis is given letters of its own, counted from the last."""
    equation = site.text("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    spare = [chr(code) for code in range(ord("A"), ord("z") + 1) if chr(code).isalpha() and chr(code) not in equation]
    dots = [
        site.rank(site.value(at)) - len(term.replace("...", "")) if "..." in term else 0
        for at, term in enumerate(terms)
    ]
    widest = max(dots)
    letters = "".join(spare[:widest])
    terms = [term.replace("...", letters[widest - count :]) for term, count in zip(terms, dots, strict=True)]
    if not arrow:
        every = "".join(terms)
        result = letters + "".join(sorted(one for one in set(every) - set(letters) if every.count(one) == 1))
    return terms, result.replace("...", letters)


def _broadcast(site: Site, terms: list[str], sizes: dict[str, int]) -> bool:
    """Whether a letter stands for different sizes: an ellipsis may stretch ones."""
    return any(
        sizes[letter] != n
        for at, term in enumerate(terms)
        for letter, n in zip(term, site.shape(site.value(at)), strict=True)
    )
