"""What a target is given that depthdeploy does not drive yet: the legal graph, ready for the vendor's own tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from depthdeploy.core.model import CompiledArtifact, LegalModel, OnnxModel, QuantizedModel
from depthdeploy.core.progress import Progress
from depthdeploy.core.target import Handover
from depthdeploy.errors import ToolchainMissing, UnsupportedGraph
from depthdeploy.graph.handover import lowered
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.pipeline.destination import Destination
from depthdeploy.pipeline.ends import finished
from depthdeploy.pipeline.model_stages import versions_of
from depthdeploy.pipeline.run import Run
from depthdeploy.runtime.compiler import accompany


def hand_over(run: Run, legal: LegalModel, quantized: QuantizedModel, goal: Destination) -> CompiledArtifact:
    """The graph in the form and the operator set that the vendor's compiler reads.

    With Q/DQ nodes where that compiler takes our scales, and otherwise the float graph, which it quantizes itself.

    Raises:
        UnsupportedGraph: the Q/DQ graph cannot be said in the operator set; every node is listed.
    """
    able = goal.target.capabilities
    contract = quantized.model.contract
    scaled = able.handover is Handover.QDQ
    given = quantized.model if scaled else finished(run, legal.model, contract)
    name = "qdq.onnx" if scaled and quantized.plan is not None else "float.onnx"

    def make(folder: Path, _: Progress) -> CompiledArtifact:
        place = folder / "artifact"
        place.mkdir()
        model = in_opset(given, able.opsets(goal.variant.name)[1], place / name)
        return CompiledArtifact(
            folder=place,
            files={name: model.sha256, **accompany(model, place)},
            entry=name,
            target=able.target,
            variant=goal.variant.name,
            precision=quantized.precision,
            input=model.input,
            output=model.output,
            contract=model.contract,
            depth=model.depth,
        )

    def describe(artifact: CompiledArtifact) -> tuple[int, str]:
        return artifact.size, f"not compiled: {name} for {able.title}'s own tools"

    run.remark(
        f"Nothing was compiled: {name} is what the compiler of {able.title} takes. Its size is not an artifact's."
    )
    depends = ("hand-over", given.meaning, quantized.precision, able.target, goal.variant.name, versions_of("onnx-ir"))
    return run.stage("compile", CompiledArtifact, depends=depends, make=make, describe=describe)


def in_opset(model: OnnxModel, newest: int, out: Path) -> OnnxModel:
    """A graph written in an operator set not newer than ``newest``.

    Raises:
        UnsupportedGraph: the older set cannot say it; every node is listed.
    """
    given = lowered(read_graph(model.path), newest)
    if given.unsayable:
        listing = "\n".join(f"  {one}" for one in given.unsayable)
        raise UnsupportedGraph(f"ONNX opset {newest} cannot say {len(given.unsayable)} nodes:\n{listing}")
    digest = write_graph(given.graph, out)
    return replace(model, path=out, sha256=digest, opset=given.graph.opset_imports.get("", model.opset))


def not_driven(goal: Destination, folder: Path, artifact: CompiledArtifact) -> ToolchainMissing:
    """The end of a run for a target without a driver: what there is, and how to go on by hand."""
    able = goal.target.capabilities
    return ToolchainMissing(
        f"{able.title} is not driven by this version of depthdeploy: the network is legal, quantized and emulated, and "
        f"{folder / artifact.entry} is what its compiler takes.",
        f"Compile it with the vendor's tools. {able.install}",
    )
