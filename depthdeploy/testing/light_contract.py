"""What the light half of every target must keep: its data, its rewrites, its number formats. No SDK is needed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from depthdeploy.core.support import Effect
from depthdeploy.core.target import ApproximatePass, Capabilities, GraphPass, Target
from depthdeploy.errors import UsageError
from depthdeploy.graph.constraints import check_named
from depthdeploy.graph.legalize import legalize, make_legal
from depthdeploy.graph.support import EVERY
from depthdeploy.inference import OnnxSession
from depthdeploy.registry import targets
from depthdeploy.testing.artifacts import images, quantize, sqnr_db, store
from depthdeploy.testing.graphs import all_graphs, residual_block
from depthdeploy.testing.laws import assert_same_function

#: What eight bits keep of a tiny graph's output in every number format.
_FAITHFUL_DB = 15.0


class LightHalfContract:
    """The laws. ``target`` is the name on the command line."""

    target: str

    @pytest.fixture
    def light(self) -> Target:
        """The light half."""
        return targets[self.target]

    @pytest.fixture
    def able(self, light: Target) -> Capabilities:
        """Its capabilities."""
        return light.capabilities

    def test_light_half_needs_no_sdk(self, able: Capabilities) -> None:
        """Listing targets must stay fast and work where no SDK is installed."""
        names = {name for name in (able.driver, able.sdk) if name}
        code = (
            "import sys; from depthdeploy.registry import targets\n"
            f"target = targets[{self.target!r}]; target.capabilities\n"
            f"sys.exit(', '.join({names!r} & set(sys.modules)) or 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_capabilities_are_whole(self, light: Target, able: Capabilities) -> None:
        """Every field says something, and the default variant is one of the variants."""
        assert able.target == self.target
        assert able.opset[0] <= able.opset[1]
        assert able.install.strip()
        assert not able.driver or importlib.util.find_spec(able.driver) is not None
        assert not able.runs_here or able.driver
        for variant in able.variants:
            assert able.suffix(variant).startswith(".")
            assert able.opsets(variant)[0] <= able.opsets(variant)[1]
            assert light.settings(variant, able.variants[variant].precisions[0]) is not None
            assert all(rewrite.name for rewrite in light.lowering(variant))
        try:
            assert light.default_variant() in able.variants
        except UsageError as refused:
            assert all(name in str(refused) for name in able.variants)  # noqa: PT017  # the message is the law

    def test_every_rule_has_remedy_and_source(self, able: Capabilities) -> None:
        """A refusal tells what to do; a rule tells where it comes from."""
        for variant in able.variants:
            rules = able.rules(variant)
            wanting = [rule.operator for rule in rules.values() if not (rule.remedy.strip() and rule.source.strip())]
            assert not wanting
            unknown = [name for name in rules if name != EVERY and not onnx.defs.has(name)]
            assert not unknown, "not operators of ONNX"

    def test_every_condition_is_one_that_there_is(self, able: Capabilities) -> None:
        """A misspelt condition, argument or attribute would never be checked."""
        for variant in able.variants:
            for rule in able.rules(variant).values():
                for constraint in rule.constraints:
                    check_named(constraint)
                named = {*rule.attributes, *(name for one in rule.constraints for name in one.when)}
                assert rule.operator == EVERY or named <= _attributes(rule.operator), rule.operator

    def test_what_falls_back_has_a_host(self, able: Capabilities) -> None:
        """A target that leaves nodes to a processor says which; one that leaves none says none."""
        rules = [rule for variant in able.variants for rule in able.rules(variant).values()]
        effects = {
            able.unlisted,
            *(rule.effect for rule in rules),
            *(one.effect for r in rules for one in r.constraints),
        }
        falls = Effect.FALLBACK in effects or any(rule.on_host for rule in rules)
        assert bool(able.host) is falls

    def test_lowering_keeps_the_function(self, light: Target, able: Capabilities) -> None:
        """A target's own passes, on every tiny graph: the same function, and nothing left for a second run."""
        seen: set[tuple[GraphPass, ...]] = set()
        for variant in able.variants:
            passes = tuple(light.lowering(variant))
            if passes in seen:
                continue
            seen.add(passes)
            assert not any(isinstance(one, ApproximatePass) for one in passes), "what changes the function is asked for"
            for proto in all_graphs().values():
                model = ir.from_proto(proto)
                make_legal(model, light, variant)
                assert_same_function(proto, model)
                assert make_legal(model, light, variant).rewrites == ()

    def test_schemes_are_sane(self, able: Capabilities) -> None:
        """Number formats have a source, symmetric signed weights, and operators that the target runs."""
        for variant in able.variants.values():
            assert set(variant.schemes) <= set(variant.precisions)
            for scheme in variant.schemes.values():
                assert scheme.source.strip()
                assert scheme.weights.signed
                assert scheme.weights.symmetric
                assert scheme.operators
                assert scheme.operators <= set(able.rules(variant.name))

    def test_number_formats_can_be_emulated(self, light: Target, able: Capabilities, tmp_path: Path) -> None:
        """Every precision of every variant gives a Q/DQ graph that runs and is close to the float one."""
        for name, variant in able.variants.items():
            for precision in variant.schemes:
                folder = tmp_path / f"{name}-{precision}"
                folder.mkdir()
                legal = legalize(store(residual_block(), folder / "graph.onnx"), light, name, folder / "legal.onnx")
                quantized = quantize(legal, light, folder / "quantized.onnx", precision)
                exact, emulated = OnnxSession(legal.model.path), OnnxSession(quantized.model.path, exact=True)
                losses = [sqnr_db(exact.predict(x), emulated.predict(x)) for x in images(legal.model, 2)]
                assert float(np.mean(losses)) > _FAITHFUL_DB


def _attributes(operator: str) -> set[str]:
    """The attributes that an operator has in any version."""
    schemas = onnx.defs.get_all_schemas_with_history()
    return {name for schema in schemas if schema.name == operator for name in schema.attributes}
