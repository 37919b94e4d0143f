"""In which order nodes leave a scheme: most noise per time first. Nothing here runs a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from depthdeploy.core.scheme import Escape
from depthdeploy.quantization.noise import LayerNoise

Nodes = frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSource:
    """A weight or a tensor on a grid.

    Attributes:
        power: the noise that it adds at the network's output, over the signal's power.
        nodes: of a weight its node; of a tensor the nodes that keep it on the grid.
        is_weight: which of the two it is.
    """

    power: float
    nodes: Nodes
    is_weight: bool


def sources(noises: Iterable[LayerNoise], touching: Mapping[str, Nodes]) -> tuple[NoiseSource, ...]:
    """What adds noise, from what was measured layer by layer.

    Args:
        noises: of every layer.
        touching: tensor -> the nodes that keep it on its grid.
    """
    found = []
    for noise in noises:
        if noise.layer.weight is not None and noise.weight_share > 0:
            found.append(NoiseSource(noise.power * noise.weight_share, frozenset({noise.layer.node}), is_weight=True))
        nodes = touching.get(noise.layer.output)
        if noise.layer.grid is not None and nodes:
            found.append(NoiseSource(noise.power * (1 - noise.weight_share), nodes, is_weight=False))
    return tuple(found)


def remaining(every: Iterable[NoiseSource], escaped: Nodes, escape: Escape, bits: int) -> float:
    """The noise that is left when nodes have left the scheme.

    In a float node no weight is rounded, and a tensor is free of its grid when every node that touches it is float. A
    node with wider activations keeps its weight and widens every tensor it touches: each bit more halves the step, and
    the noise of rounding is its square over 12 (Widrow and Kollár 2008, "Quantization Noise").

    Args:
        every: what adds noise.
        escaped: the nodes that have left.
        escape: their form.
        bits: of the scheme's activations.
    """
    wide = escape.activations
    if wide is None:
        return sum(one.power for one in every if not one.nodes <= escaped)
    finer = 0.25 ** (wide.bits - bits)
    return sum(one.power * (finer if not one.is_weight and one.nodes & escaped else 1.0) for one in every)


def ranking(every: Sequence[NoiseSource], work: Mapping[str, int], escape: Escape, bits: int) -> tuple[Nodes, ...]:
    """Sets of nodes in the order in which they should leave the scheme, greedily by noise removed per time added.

    A float escape takes all nodes around a tensor at once, since its grid stays as long as one of them is left.

    Args:
        every: what adds noise.
        work: label of a node -> its operations.
        escape: the form that nodes get.
        bits: of the scheme's activations.

    Returns:
        Sets without common nodes; the last one leaves no noise that can be removed.
    """
    single = escape.activations is not None
    moves = {frozenset({node}) for one in every for node in one.nodes} if single else {one.nodes for one in every}
    by_node: dict[str, list[NoiseSource]] = {}
    for one in every:
        for node in one.nodes:
            by_node.setdefault(node, []).append(one)
    order: list[Nodes] = []
    escaped: Nodes = frozenset()
    while moves:
        rated = []
        for move in moves:
            new = move - escaped
            near = list(dict.fromkeys(one for node in sorted(new) for one in by_node[node]))
            gain = remaining(near, escaped, escape, bits) - remaining(near, escaped | new, escape, bits)
            rated.append((gain / sum(work[node] for node in new), sorted(new), move))
        best, nodes, _ = max(rated, key=lambda entry: (entry[0], entry[1]))
        if best <= 0:
            break
        order.append(frozenset(nodes))
        escaped |= order[-1]
        moves = {move for move in moves if not move <= escaped}
    return tuple(order)
