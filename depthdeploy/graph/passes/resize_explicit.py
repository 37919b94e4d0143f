"""A ``Resize`` says what it means: parsers fill what is left out with different defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from depthdeploy.graph.attributes import opset_of
from depthdeploy.graph.edit import add_initializer, bypass, constant, given, main_nodes
from depthdeploy.graph.resize import Resizing
from depthdeploy.graph.resize_node import OLDEST, Form, read, write

#: The rules of coordinates that compilers know, in the order of preference.
_COMMON: Final = ("half_pixel", "asymmetric", "align_corners")

#: What the specification has for an attribute that is left out, by the interpolation that reads it.
_DEFAULTS: Final[Mapping[str, tuple[ir.Attr, ...]]] = {
    "nearest": (ir.AttrString("nearest_mode", "round_prefer_floor"),),
    "cubic": (ir.AttrFloat32("cubic_coeff_a", -0.75),),
}


@dataclass(frozen=True, slots=True)
class ResizeExplicit:
    """Every ``Resize`` names its interpolation and its rule of coordinates, and gives its sizes in one form.

    A parser of Hailo's reads a rule that is left out as ``half_pixel`` in every operator set, and MiDaS's depth then
    drifts by several pixels: so nothing is left out. Attributes without a meaning for the interpolation, ``axes``,
    ``keep_aspect_ratio_policy``, an unused ``roi`` and empty inputs go; rules that few compilers know become
    ``half_pixel``, ``asymmetric`` or ``align_corners`` where their matrices are equal; a resize to the same size goes;
    ``Upsample`` becomes ``Resize``.

    Attributes:
        form: what is given, the sizes of the result or the scales. Sizes cannot be misread; scales are for parsers
            that read nothing else, and are given only where every runtime computes these sizes from them. A scale that
            is not that of the sizes stays a scale.
    """

    form: Form = "sizes"
    name: str = "resize-explicit"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        if opset_of(model) < OLDEST:
            return False
        changed = False
        for node in main_nodes(model, "Upsample"):
            changed |= _modernize(model, node)
        for node in main_nodes(model, "Resize"):
            changed |= self._rewrite(model, node)
        return changed

    def _rewrite(self, model: ir.Model, node: ir.Node) -> bool:
        resizing = read(node)
        if resizing is None:
            return _say_defaults(node)
        if not resizing.changing and bypass(node):
            return True
        said = write(model, node, _plain(resizing), self.form)
        return _say_defaults(node) or said


def _plain(resizing: Resizing) -> Resizing:
    """The same function by the first of the common rules that gives it; a common rule is kept."""
    if resizing.coordinates in _COMMON:
        return resizing
    return next((one for one in map(resizing.with_rule, _COMMON) if resizing.same(one)), resizing)


def _say_defaults(node: ir.Node) -> bool:
    """What a node of unknown sizes leaves out, said."""
    mode = node.attributes.get_string("mode", "nearest") or "nearest"
    rule = ir.AttrString("coordinate_transformation_mode", "half_pixel")
    missing = [
        attribute
        for attribute in (ir.AttrString("mode", mode), rule, *_DEFAULTS.get(mode, ()))
        if attribute.name not in node.attributes
    ]
    for attribute in missing:
        node.attributes.add(attribute)
    return bool(missing)


def _modernize(model: ir.Model, node: ir.Node) -> bool:
    """``Upsample`` as the ``Resize`` that it was replaced by: asymmetric, rounded down, and never smaller."""
    scales, given_scales = node.attributes.get_floats("scales"), given(node, 1)
    known = np.array(scales, dtype=np.float32) if given_scales is None and scales else constant(given_scales)
    if known is None or known.min() < 1:
        return False
    if given_scales is None:
        given_scales = add_initializer(model, f"{node.name}_scales", known)
    mode = node.attributes.get_string("mode", "nearest") or "nearest"
    node.op_type = "Resize"
    node.resize_inputs(3)
    node.replace_input_with(1, None)
    node.replace_input_with(2, given_scales)
    node.attributes.clear()
    node.attributes.add(ir.AttrString("mode", mode))
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "floor"))
    return True
