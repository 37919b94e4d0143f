"""The stage ``legalize``: a target's own passes, then its support check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from depthdeploy.core.model import LegalModel, OnnxModel
from depthdeploy.core.target import Target
from depthdeploy.graph.support import require_support
from depthdeploy.graph_file import read_graph, write_graph


def legalize(model: OnnxModel, target: Target, variant: str, out: Path) -> LegalModel:
    """Make a graph legal for a target's variant.

    When no pass changes anything the model stays the very same file, so that all targets without rewrites share its
    digest, and with it the statistics of calibration.

    Args:
        model: the canonical graph.
        target: the light half.
        variant: one of its variants.
        out: where the rewritten graph goes, if it is rewritten.

    Raises:
        UnsupportedGraph: the target refuses one or more nodes; all are listed.
        ModelError: the file cannot be read.
        StorageError: the rewritten graph cannot be written.
    """
    capabilities = target.capabilities
    graph = read_graph(model.path)
    changed = [rewrite.name for rewrite in target.lowering(variant) if rewrite(graph)]
    support = require_support(graph, capabilities, variant)
    if changed:
        model = replace(model, sha256=write_graph(graph, out), path=out)
    return LegalModel(model, capabilities.target, variant, support)
