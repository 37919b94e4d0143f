"""Makes the outlines of the zoo: every network's canonical graph at its card's size, without weights.

Run from the repository root after a network, the exporter or a canonical pass has changed:

    python models/outline_networks.py [MODEL ...]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import onnx_ir as ir

from depthdeploy.core.model import OutlinedNetwork
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.outline import write_outline
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.registry import models

_FOLDER = Path(__file__).parent / "depthdeploy_models" / "outlines"


def main() -> None:
    """Draw, export, canonicalize, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="default: every network whose graph is not packaged")
    names = parser.parse_args().models or [name for name in models if not models[name].card.weights.packaged]
    for name in names:
        out = _FOLDER / f"{name}.onnx.gz"
        write_outline(canonical_drawn(name), out)
        print(f"{out}: {out.stat().st_size:,} bytes")


def canonical_drawn(name: str) -> ir.Model:
    """The canonical graph of a network with freshly drawn weights, at its card's size."""
    plugin = models[name]
    if not isinstance(plugin, OutlinedNetwork):
        raise SystemExit(f"{name} cannot be built without weights: it has no drawn()")
    card = plugin.card
    with tempfile.TemporaryDirectory() as folder:
        module = plugin.drawn(card.input)
        exported = export_torch(
            module, name=card.title, contract=card.input, depth=card.output, out=Path(folder) / "exported.onnx"
        )
        canonical = canonicalize_file(exported, Path(folder) / "canonical.onnx").model
        graph = ir.load(canonical.path)
        ir.external_data.load_to_model(graph)
        return graph


if __name__ == "__main__":
    main()
