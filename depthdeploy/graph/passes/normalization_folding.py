"""The normalisation of the input becomes part of the network: it then takes pixels in 0..255 as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from depthdeploy.graph.edit import add_initializer, given, set_constant, static_shape
from depthdeploy.graph.linear import linear


class Borders(Enum):
    """What becomes of a padded convolution: its zeros mean the mean colour, which no whole pixel value is."""

    CHANNEL = "channel"
    """A fourth channel that is 0 in the padding carries what is left of the mean. Exact."""
    LAYER = "layer"
    """The normalisation stays a layer of its own, a depthwise 1x1 convolution. Exact."""
    ROUNDED = "rounded"
    """The padding is one grey for all channels, the whole pixel value that is nearest. Not exact at the borders."""


@dataclass(frozen=True, slots=True)
class NormalizationFolding:
    """``(pixel - mean) / std`` goes into the convolutions that read the image ``[1, 3, H, W]``.

    The image is first centred on one whole pixel value, ``x = pixel - centre``: on a grid of integers that is nothing
    but its zero point, and weights round better against values around 0. The rest, ``W' = W / std`` and
    ``b' = b - sum W (mean - centre) / std``, holds wherever a kernel lies on the image. In the zero padding of a
    normalised image lies the mean colour, in that of a centred one a grey near it, so that the bias of a padded
    convolution cannot take what is left of the mean: see :class:`Borders`. With a mean of 0 nothing is left and nothing
    is centred. An unpadded convolution (the patch embedding of a vision transformer) takes everything. Whatever else
    reads the image reads it through a layer that normalises.

    The law: the graph afterwards gives for pixels what it gave before for normalised pixels.

    Attributes:
        mean: per channel, in pixel values.
        std: per channel, in pixel values.
        borders: what becomes of padded convolutions.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    borders: Borders = Borders.CHANNEL
    name: str = "normalization-folding"

    def __call__(self, model: ir.Model) -> bool:
        """Rewrite in place; whether anything was changed."""
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        if not mean.any() and (std == 1).all():
            return False
        image = model.graph.inputs[0]
        readers = [(use, _Layer.of(*use)) for use in tuple(image.uses())]
        folding = [layer for _, layer in readers if layer is not None and self._folds(layer, mean)]
        others = [use for use, layer in readers if layer is None or not self._folds(layer, mean)]
        if others:
            normalised = _normalising_layer(model, image, mean, std)
            for node, index in others:
                node.replace_input_with(index, normalised)
        if folding:
            self._fold(model, folding, mean, std)
        return bool(readers)

    def _folds(self, layer: _Layer, mean: NDArray[np.float64]) -> bool:
        return not layer.padded or not mean.any() or self.borders is not Borders.LAYER

    def _fold(
        self, model: ir.Model, layers: Sequence[_Layer], mean: NDArray[np.float64], std: NDArray[np.float64]
    ) -> None:
        image, centre = model.graph.inputs[0], float(np.clip(np.rint(mean.mean()), 0, 255))
        left = mean - centre
        level = float(np.ceil(np.abs(left).max()))
        wide = [layer for layer in layers if layer.padded and level and self.borders is not Borders.ROUNDED]
        centred = _centred(model, image, centre) if centre else image
        channel = _with_level(model, centred, level) if wide else centred
        for layer in layers:
            if layer in wide:
                layer.node.replace_input_with(0, channel)
                layer.widen(model, left / level, std)
            else:
                layer.node.replace_input_with(0, centred)
                layer.fold(model, left, std)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution that reads the image.

    Attributes:
        node: the node.
        weight: ``[out, in / group, ...]``.
        bias: ``[out]``.
        channels: ``[out, in / group]``: which channel of the image each weight multiplies.
        pads: ``[begin..., end...]``.
    """

    node: ir.Node
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    channels: NDArray[np.intp]
    pads: Sequence[int]

    @classmethod
    def of(cls, node: ir.Node, index: int) -> _Layer | None:
        """A reader of the image as a layer; ``None`` for weights that change and padding by name."""
        found = linear(node) if node.op_type == "Conv" and index == 0 else None
        if found is None or node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            return None
        outs, ins = found.weight.shape[:2]
        groups = np.arange(outs) // (outs // (node.attributes.get_int("group", 1) or 1))
        channels = groups[:, None] * ins + np.arange(ins)[None, :]
        pads = node.attributes.get_ints("pads", []) or []
        return cls(node, found.weight.astype(np.float64), found.bias.astype(np.float64), channels, pads)

    @property
    def padded(self) -> bool:
        """Whether zeros are added around the image."""
        return any(self.pads)

    def _scaled(self, std: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.weight / self._spread(std)

    def _spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """A value per channel of the image in the shape of the weight."""
        return values[self.channels].reshape(*self.channels.shape, *[1] * (self.weight.ndim - 2))

    def fold(self, model: ir.Model, mean: NDArray[np.float64], std: NDArray[np.float64]) -> None:
        """Mean and standard deviation into weight and bias."""
        scaled = self._scaled(std)
        shift = (scaled * self._spread(mean)).sum(axis=tuple(range(1, scaled.ndim)))
        set_constant(model, self.node, 1, scaled.astype(np.float32), "weight")
        if given(self.node, 2) is not None or shift.any():
            set_constant(model, self.node, 2, (self.bias - shift).astype(np.float32), "bias")

    def widen(self, model: ir.Model, mean: NDArray[np.float64], std: NDArray[np.float64]) -> None:
        """Take a fourth channel, whose weights carry the mean in units of the channel's level."""
        scaled = self._scaled(std)
        carried = -(scaled * self._spread(mean)).sum(axis=1, keepdims=True)
        whole = np.zeros((scaled.shape[0], 4, *scaled.shape[2:]))
        np.put_along_axis(whole, self.channels.reshape(*self.channels.shape, *[1] * (scaled.ndim - 2)), scaled, axis=1)
        whole[:, 3:] = carried
        set_constant(model, self.node, 1, whole.astype(np.float32), "weight")
        self.node.attributes.pop("group", None)


def _centred(model: ir.Model, image: ir.Value, centre: float) -> ir.Value:
    """The image less one pixel value."""
    value = add_initializer(model, f"{image.name}_centre", np.asarray(centre, np.float32))
    centred = _made(model, "Sub", f"{image.name}_centred", [image, value], [])
    centred.shape = image.shape
    return centred


def _with_level(model: ir.Model, image: ir.Value, level: float) -> ir.Value:
    """The image and a channel of one whole value."""
    batch, _, *sides = static_shape(image) or (1, 3)
    second = add_initializer(model, f"{image.name}_level", np.full((batch, 1, *sides), level, np.float32))
    joined = _made(model, "Concat", f"{image.name}_with_level", [image, second], [ir.AttrInt64("axis", 1)])
    joined.shape = ir.Shape((batch, 4, *sides))
    return joined


def _normalising_layer(
    model: ir.Model, image: ir.Value, mean: NDArray[np.float64], std: NDArray[np.float64]
) -> ir.Value:
    """A depthwise 1x1 convolution: every accelerator has it, and each channel's weight lies on a grid of its own."""
    weight = add_initializer(model, f"{image.name}_gain", (1 / std).astype(np.float32).reshape(3, 1, 1, 1))
    bias = add_initializer(model, f"{image.name}_offset", (-mean / std).astype(np.float32))
    attributes = [ir.AttrInt64("group", 3), ir.AttrInt64s("kernel_shape", [1, 1])]
    normalised = _made(model, "Conv", f"{image.name}_normalized", [image, weight, bias], attributes)
    normalised.shape = image.shape
    return normalised


def _made(
    model: ir.Model, operator: str, name: str, inputs: Sequence[ir.Value], attributes: Sequence[ir.Attr]
) -> ir.Value:
    """The output of a new node right behind its first input."""
    node = ir.Node("", operator, list(inputs), list(attributes), num_outputs=1, name=name)
    out = node.outputs[0]
    out.name, out.type = name, ir.TensorType(ir.DataType.FLOAT)
    before = inputs[0].producer()
    if before is None:
        model.graph.insert_before(model.graph[0], node)
    else:
        model.graph.insert_after(before, node)
    return out
