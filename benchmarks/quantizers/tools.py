"""The quantizers under comparison, each a script in an environment of its own."""

from __future__ import annotations

from dataclasses import dataclass

from quantizers.rows import UsageError


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to quantize.

    Attributes:
        name: on the command line and in tables.
        module: the script, run as ``python -m``.
        environment: the name of its requirement file in ``peers``; empty for the project's own environment.
        recipe: what the script is asked for.
        images: how many calibration photographs; ``None`` for as many as the run has.
        options: ``key=value`` pairs for the script.
    """

    name: str
    module: str
    environment: str
    recipe: str
    images: int | None = None
    options: tuple[str, ...] = ()


#: Percentiles of ONNX Runtime keep every activation of every photograph in memory: 64 photographs need gigabytes.
PERCENTILE_IMAGES = 64

#: What AdaRound gets in minutes on two processors; its documentation recommends 10,000 iterations a layer.
ADAROUND = ("iterations=100", "adaround-images=32")

#: What ``--tools`` knows besides ``ours:RECIPE``.
PEERS = {
    tool.name: tool
    for tool in (
        Tool("ort-minmax", "peers.with_onnxruntime", "onnxruntime", "minmax"),
        Tool("ort-percentile", "peers.with_onnxruntime", "onnxruntime", "percentile", PERCENTILE_IMAGES),
        Tool("nncf", "peers.with_nncf", "nncf", "onnx-mixed"),
        Tool("nncf-performance", "peers.with_nncf", "nncf", "onnx-performance"),
        Tool("nncf-default", "peers.with_nncf", "nncf", "onnx-performance", None, ("overflow=first",)),
        Tool("nncf-overflow", "peers.with_nncf", "nncf", "onnx-mixed", None, ("overflow=all",)),
        Tool("nncf-tensor", "peers.with_nncf", "nncf", "onnx-mixed", None, ("activations=tensor",)),
        Tool("nncf-openvino", "peers.with_nncf", "nncf", "openvino-mixed"),
        Tool("nncf-best", "peers.with_nncf", "nncf", "onnx-best"),
        Tool("aimet", "peers.with_aimet", "aimet", "tfe"),
        Tool("aimet-minmax", "peers.with_aimet", "aimet", "minmax"),
        Tool("aimet-cle", "peers.with_aimet", "aimet", "tfe-cle"),
        Tool("aimet-adaround", "peers.with_aimet", "aimet", "minmax-adaround", None, ADAROUND),
    )
}


def tool(name: str) -> Tool:
    """A tool by name; ``ours:RECIPE`` is the project's quantizer.

    Raises:
        UsageError: there is none.
    """
    mine, _, recipe = name.partition(":")
    if mine == "ours" and recipe:
        return Tool(name, "peers.ours", "", recipe)
    if name not in PEERS:
        raise UsageError(f"there is no tool {name!r}; choose of ours:RECIPE, {', '.join(PEERS)}")
    return PEERS[name]
