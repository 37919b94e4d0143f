"""Real architectures in the operator sets of old parsers: the same function, or the resizes that cannot be said."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch

from depthdeploy.frontend.export import export_torch
from depthdeploy.graph.canonicalize import canonicalize
from depthdeploy.graph.opset_lowering import lower_opset
from depthdeploy.testing.laws import as_proto, assert_same_function
from depthdeploy_models.depth_anything_v2 import small
from depthdeploy_models.fastdepth import plugin as fastdepth
from depthdeploy_models.midas_v21_small import plugin as midas
from depthdeploy_models.network import Network
from depthdeploy_models.pico import plugin as pico

NETWORKS: Mapping[str, tuple[Network, tuple[int, int]]] = {
    "depth-anything-v2-small": (small, (70, 98)),
    "fastdepth": (fastdepth, (64, 96)),
    "midas-v21-small": (midas, (64, 96)),
    "pico": (pico, (64, 96)),
}

#: What opset 10 cannot say of each: it resizes asymmetrically, by scales.
REFUSED_AT_10 = {"depth-anything-v2-small": 5, "fastdepth": 0, "midas-v21-small": 5, "pico": 5}


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ir.Model]:
    torch.manual_seed(0)
    plugin, size = NETWORKS[request.param]
    contract = plugin.card.input.sized(*size)
    out: Path = tmp_path_factory.mktemp("zoo") / "exported.onnx"
    module = plugin.drawn(contract).eval()
    export_torch(module, name=request.param, contract=contract, depth=plugin.card.output, out=out)
    model = ir.load(out)
    ir.external_data.load_to_model(model)
    canonicalize(model)
    return request.param, model


@pytest.mark.parametrize("version", [17, 13, 11])
def test_every_network_of_the_zoo_can_be_said(network: tuple[str, ir.Model], version: int) -> None:
    before = network[1]
    after = before.clone()
    assert lower_opset(after, version) == ()
    onnx.checker.check_model(as_proto(after), full_check=True)
    assert_same_function(before, after, atol=1e-4)


def test_at_opset_10_the_resizes_that_are_not_asymmetric_are_refused(network: tuple[str, ir.Model]) -> None:
    name, before = network
    after = before.clone()
    facts = lower_opset(after, 10)
    assert [fact.operator for fact in facts] == ["Resize"] * REFUSED_AT_10[name]
    assert after.opset_imports[""] == (before.opset_imports[""] if facts else 10)
    if not facts:
        assert_same_function(before, after)
