"""Graphs of the published figures, canonical as the pipeline hands them to a target; exported ones are kept."""

from __future__ import annotations

import re
from pathlib import Path

import onnx_ir as ir
from latency.networks import CLASSIFIERS

from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph_file import read_graph, write_graph

_SIZED = re.compile(r"(?P<network>.+)-(?P<height>\d+)x(?P<width>\d+)$")


def graph_of(name: str, folder: Path) -> ir.Model:
    """The graph of ``mobilenet-v2-224`` or ``depth-anything-v2-small-308x308``, from the folder when it lies there."""
    if name in CLASSIFIERS:
        return CLASSIFIERS[name]()
    path = folder / f"{name}.onnx"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _export(name, path)
    return read_graph(path)


def _export(name: str, path: Path) -> None:
    """Export a depth network with random weights: times depend on shapes alone."""
    import torch

    from depthdeploy import registry
    from depthdeploy_models import pico
    from depthdeploy_models.depth_anything_v2.model import architecture, sized
    from depthdeploy_models.midas_v21_small.model import MidasSmall

    found = _SIZED.match(name)
    if found is None:
        raise SystemExit(f"{name} is no network of this benchmark: give NAME-HEIGHTxWIDTH")
    card = registry.models[found["network"]].card
    contract = card.input.sized(int(found["height"]), int(found["width"]))
    exported = path.with_suffix(".exported.onnx")
    if card.id == "pico":  # comes with its weights
        source = Path(pico.__file__).with_name("pico.onnx")
        import_onnx(source, out=exported, kind=card.output.kind, size=(contract.height, contract.width))
    else:
        torch.manual_seed(0)
        module = MidasSmall() if card.id == "midas-v21-small" else sized(architecture(card), contract)
        export_torch(module, name=card.id, contract=contract, depth=card.output, out=exported)
    graph = read_graph(exported)
    canonicalize(graph)
    write_graph(graph, path)
    exported.unlink()
