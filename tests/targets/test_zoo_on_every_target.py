"""Every network of the zoo on every chip: legal, or told apart exactly as ``golden`` has it; and the same function.

What each target says of each network stands in ``golden/<target>.txt``; ``DEPTHDEPLOY_UPDATE_GOLDEN=1`` writes the
files anew, to be read as a diff. Whether a graph is legal does not hang on its weights, so outlines are asked at the
sizes that people use; the function is compared on small graphs with drawn weights.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from transformers import DPTConfig, DPTForDepthEstimation

import depthdeploy_models
from depthdeploy.core.model import OutlinedNetwork
from depthdeploy.core.support import Rejection, Support
from depthdeploy.core.target import Capabilities, GraphPass, Target
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign_ends import fix_input
from depthdeploy.frontend.outline import read_outline, sized_outline, write_outline
from depthdeploy.graph.canonicalize import canonicalize, canonicalize_file
from depthdeploy.graph.edit import static_shape
from depthdeploy.graph.handover import lowered
from depthdeploy.graph.legalize import Legalized, make_legal
from depthdeploy.registry import models, targets
from depthdeploy.testing.laws import as_proto, outputs
from depthdeploy_models.dpt.model import sized as sized_dpt

GOLDEN = Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("DEPTHDEPLOY_UPDATE_GOLDEN"))

Size = tuple[int, int]

#: Network -> sizes, height by width. The first is the card's.
SIZES: dict[str, tuple[Size, ...]] = {
    "midas-v21-small": ((256, 256), (512, 288), (672, 384)),
    "depth-anything-v2-small": ((518, 518), (518, 686)),
    "dpt-hybrid": ((384, 384),),
    "fastdepth": ((224, 224), (256, 320)),
    "pico": ((192, 256), (384, 512)),
}

#: Those that an outline of the card's size cannot be brought to.
BAKED_IN = (("depth-anything-v2-small", (518, 686)),)

#: What DPT-Hybrid is made of, in small.
TINY_HYBRID: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [16, 32, 32, 32],
    "fusion_hidden_size": 16,
    "image_size": 384,
    "patch_size": 16,
    "readout_type": "project",
    "is_hybrid": True,
    "backbone_featmap_shape": [1, 64, 24, 24],
    "reassemble_factors": [1, 1, 1, 0.5],
    "neck_ignore_stages": [0, 1],
    "backbone_config": {
        "model_type": "bit",
        "global_padding": "same",
        "layer_type": "bottleneck",
        "depths": [1, 1, 1],
        "out_features": ["stage1", "stage2", "stage3"],
        "embedding_dynamic_padding": True,
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64],
        "num_groups": 4,
    },
}


# Graphs ---------------------------------------------------------------------------------------------------------------


def exported(name: str, module: torch.nn.Module, size: Size, folder: Path) -> ir.Model:
    """The canonical graph of a network with the weights that it has."""
    card = models[name].card
    made = export_torch(
        module, name=name, contract=card.input.sized(*size), depth=card.output, out=folder / "exported.onnx"
    )
    graph = ir.load(canonicalize_file(made, folder / "canonical.onnx").model.path)
    ir.external_data.load_to_model(graph)
    return graph


def alive(module: torch.nn.Module) -> torch.nn.Module:
    """Weights of a seed under which no layer dies out: every sum of products keeps the size of what it sums."""
    torch.manual_seed(0)
    for one in module.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(one.bias, 0, 0.1)
        elif isinstance(one, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)):
            torch.nn.init.normal_(one.weight, 0, math.prod(one.weight.shape[1:]) ** -0.5)
    for parameter in [*module.parameters()][-1:]:
        torch.nn.init.constant_(parameter, 1.0)
    return module.eval()


def drawn(name: str, size: Size) -> torch.nn.Module:
    plugin = models[name]
    assert isinstance(plugin, OutlinedNetwork)
    return alive(plugin.drawn(plugin.card.input.sized(*size)))


def tiny_hybrid(size: Size) -> torch.nn.Module:
    network = DPTForDepthEstimation(DPTConfig.from_dict(TINY_HYBRID))
    return alive(sized_dpt(network, models["dpt-hybrid"].card.input.sized(*size)))


def packaged(name: str, size: Size) -> ir.Model:
    """The canonical graph of a network that comes with the distribution as a graph, of any size."""
    graph = ir.load(Path(depthdeploy_models.__path__[0]) / models[name].card.weights.packaged)
    fix_input(graph, graph.graph.inputs[0], models[name].card.input.sized(*size).shape)
    canonicalize(graph)
    return graph


def outline_of(name: str, size: Size) -> Path:
    """A packaged outline; or one of ours, where a vision transformer has another size baked in."""
    ours = GOLDEN / f"{name}-{size[0]}x{size[1]}.onnx.gz"
    plugin = models[name]
    assert isinstance(plugin, OutlinedNetwork)
    assert plugin.outline is not None
    return ours if ours.is_file() else plugin.outline


@cache
def at_size(name: str, size: Size) -> ir.Model:
    """A network's graph at a size, without its weights unless it is packaged with them."""
    card = models[name].card
    if card.weights.packaged:
        return packaged(name, size)
    graph = sized_outline(read_outline(outline_of(name, size)), card.input.sized(*size))
    assert graph is not None
    return graph


# What is said of them -------------------------------------------------------------------------------------------------


def verdict(made: Legalized, able: Capabilities) -> list[str]:
    """What a target says of a graph, in lines; the first one says whether it is taken."""
    support = made.support
    rewrites = f" after {', '.join(made.rewrites)}" if made.rewrites else ""
    if support.rejections:
        said = f"refused, {len(support.rejections)} of {support.nodes} nodes"
    elif support.fallback_nodes:
        said = f"{support.fallback_nodes} of {support.nodes} nodes on {able.host}"
    else:
        said = "legal"
    return [f"{said}, opset {made.handover}{rewrites}", *reasons(support)]


def reasons(support: Support) -> Iterator[str]:
    """Why nodes are refused, hosted or slow, each reason once with how often it holds."""
    kinds = (("", support.rejections), ("", support.fallbacks), ("slow: ", support.slow))
    for mark, listed in kinds:
        for reason, count in Counter(map(reason_of, listed)).items():
            yield f"  {mark}{reason}: {count}"


def reason_of(said: Rejection) -> str:
    return f"{said.operator}, {said.rule}{' (uncertain)' if said.uncertain else ''}"


def page(target: Target) -> str:
    """All that a target says of the zoo; variants that say the same share a line."""
    lines = [target.capabilities.title]
    for name, sizes in SIZES.items():
        for size in sizes:
            lines += ["", f"{name} {size[0]}x{size[1]}"]
            said: dict[tuple[str, ...], list[str]] = {}
            for variant, lines_of in verdicts(at_size(name, size), target):
                said.setdefault(lines_of, []).append(variant)
            for lines_of, variants in said.items():
                lines += [f"  {', '.join(variants)}: {lines_of[0]}", *(f"  {line}" for line in lines_of[1:])]
    return "\n".join(lines) + "\n"


def verdicts(graph: ir.Model, target: Target) -> Iterator[tuple[str, tuple[str, ...]]]:
    able = target.capabilities
    known: dict[object, tuple[str, ...]] = {}
    for variant in able.variants:
        rules = tuple(sorted(map(repr, able.rules(variant).items())))
        alike = (tuple(target.lowering(variant)), able.opsets(variant), rules)
        if alike not in known:
            known[alike] = tuple(verdict(make_legal(graph.clone(), target, variant), able))
        yield variant, known[alike]


@cache
def write_outlines() -> None:
    """The outlines of sizes that are baked in, anew."""
    GOLDEN.mkdir(exist_ok=True)
    for name, size in BAKED_IN:
        with tempfile.TemporaryDirectory() as folder:
            graph = exported(name, drawn(name, size), size, Path(folder))
            write_outline(graph, GOLDEN / f"{name}-{size[0]}x{size[1]}.onnx.gz")
    at_size.cache_clear()


@pytest.mark.parametrize("name", sorted(targets))
def test_what_every_target_says_of_the_zoo(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        write_outlines()
        path.write_text(page(targets[name]), "utf-8")
    text = page(targets[name])
    assert text == path.read_text("utf-8"), f"{path.name} changed: set DEPTHDEPLOY_UPDATE_GOLDEN=1 and read the diff"


def test_no_target_refuses_a_network_of_the_zoo() -> None:
    """What is not taken runs in part on the host, which the user can allow; nothing has to be left out."""
    for path in GOLDEN.glob("*.txt"):
        assert ": refused" not in path.read_text("utf-8")


# The function ---------------------------------------------------------------------------------------------------------


@cache
def lowerings() -> dict[tuple[tuple[GraphPass, ...], int], tuple[str, str]]:
    """Every way in which a graph is rewritten and brought down, with a target and variant that asks for it."""
    found: dict[tuple[tuple[GraphPass, ...], int], tuple[str, str]] = {}
    for name in sorted(targets):
        for variant in targets[name].capabilities.variants:
            passes, newest = tuple(targets[name].lowering(variant)), targets[name].capabilities.opsets(variant)[1]
            found.setdefault((passes, min(newest, 18)), (name, variant))
    return found


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ir.Model]:
    """The zoo in small, with weights."""
    graphs = {"pico": packaged("pico", (64, 96))}
    for name, size in (("midas-v21-small", (64, 96)), ("fastdepth", (64, 96)), ("depth-anything-v2-small", (70, 98))):
        graphs[name] = exported(name, drawn(name, size), size, tmp_path_factory.mktemp(name))
    hybrid, size = tiny_hybrid((64, 96)), (64, 96)
    graphs["dpt-hybrid"] = exported("dpt-hybrid", hybrid, size, tmp_path_factory.mktemp("hybrid"))
    return graphs


@pytest.mark.parametrize("name", SIZES)
def test_what_is_handed_over_computes_what_the_network_computes(name: str, small: dict[str, ir.Model]) -> None:
    graph = small[name]
    shape = static_shape(graph.graph.inputs[0])
    assert shape is not None
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    (expected,) = outputs(as_proto(graph), image)
    largest = float(np.abs(expected).max())
    assert np.ptp(expected) > 0.01 * largest, "a constant depth proves nothing"
    for (_, newest), (target, variant) in lowerings().items():
        model = graph.clone()
        made = make_legal(model, targets[target], variant)
        assert made.handover <= newest
        handed = as_proto(lowered(model, newest).graph)
        onnx.checker.check_model(handed)
        (found,) = outputs(handed, image)
        np.testing.assert_allclose(found, expected, atol=1e-4 * largest, rtol=1e-3, err_msg=f"{target}:{variant}")
