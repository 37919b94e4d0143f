"""Networks of the published figures, as graphs whose weights are zeros: times depend on shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir


@dataclass
class Net:
    """A graph that grows layer by layer; every value is a name and a shape."""

    nodes: list[ir.Node] = field(default_factory=list)
    weights: list[ir.Value] = field(default_factory=list)

    def value(self, shape: tuple[int, ...], node: ir.Node | None = None) -> ir.Value:
        made = node.outputs[0] if node else ir.Value(name="image")
        made.shape, made.type = ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        return made

    def weight(self, *shape: int) -> ir.Value:
        name = f"w{len(self.weights)}"
        tensor = ir.tensor(np.zeros(shape, np.float32), name=name)
        made = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT), const_value=tensor)
        self.weights.append(made)
        return made

    def node(self, operator: str, inputs: list[ir.Value], shape: tuple[int, ...], **attributes: object) -> ir.Value:
        listed = [
            ir.AttrInt64(key, value)
            if isinstance(value, int)
            else ir.AttrString(key, value)
            if isinstance(value, str)
            else ir.AttrInt64s(key, list(value))  # type: ignore[call-overload]
            for key, value in attributes.items()
        ]
        made = ir.Node("", operator, inputs, attributes=listed, name=f"{operator.lower()}{len(self.nodes)}")
        made.outputs[0].name = made.name
        self.nodes.append(made)
        return self.value(shape, made)

    def conv(
        self, x: ir.Value, out: int, kernel: int, stride: int = 1, *, group: int = 1, act: bool = True
    ) -> ir.Value:
        _, channels, height, width = sides(x)
        y = self.node(
            "Conv",
            [x, self.weight(out, channels // group, kernel, kernel), self.weight(out)],
            (1, out, -(-height // stride), -(-width // stride)),
            group=group,
            kernel_shape=(kernel, kernel),
            strides=(stride, stride),
        )
        return self.relu(y) if act else y

    def relu(self, x: ir.Value) -> ir.Value:
        return self.node("Relu", [x], sides(x))

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.node("Add", [x, y], sides(x))

    def pool(self, x: ir.Value, kernel: int, stride: int) -> ir.Value:
        _, channels, height, width = sides(x)
        shape = (1, channels, -(-height // stride), -(-width // stride))
        return self.node("MaxPool", [x], shape, kernel_shape=(kernel, kernel))

    def dense(self, x: ir.Value, out: int) -> ir.Value:
        shape = sides(x)
        y = self.node("MatMul", [x, self.weight(shape[-1], out)], (*shape[:-1], out))
        return self.add(y, self.weight(out))

    def classify(self, x: ir.Value, classes: int = 1000) -> ir.Value:
        channels = sides(x)[1]
        pooled = self.node("GlobalAveragePool", [x], (1, channels, 1, 1))
        return self.dense(self.node("Flatten", [pooled], (1, channels)), classes)

    def model(self, image: ir.Value, result: ir.Value) -> ir.Model:
        graph = ir.Graph(
            [image], [result], nodes=self.nodes, initializers=self.weights, opset_imports={"": 18}, name="network"
        )
        return ir.Model(graph, ir_version=10)


def sides(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(int(side) for side in value.shape.numpy())


def _inverted(net: Net, x: ir.Value, out: int, *, kernel: int, stride: int, expand: int) -> ir.Value:
    channels = sides(x)[1]
    y = net.conv(x, channels * expand, 1) if expand > 1 else x
    y = net.conv(y, channels * expand, kernel, stride, group=channels * expand)
    y = net.conv(y, out, 1, act=False)
    return net.add(y, x) if stride == 1 and out == channels else y


def _rounded(value: float) -> int:
    """To a multiple of 8 that is not below nine tenths (Sandler et al. 2018)."""
    found = max(8, int(value + 4) // 8 * 8)
    return found + 8 if found < 0.9 * value else found


def mobilenet_v1(side: int) -> ir.Model:
    net = Net()
    image = net.value((1, 3, side, side))
    x = net.conv(image, 32, 3, 2)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for out, stride in plan:
        x = net.conv(net.conv(x, sides(x)[1], 3, stride, group=sides(x)[1]), out, 1)
    return net.model(image, net.classify(x))


def mobilenet_v2(side: int, width: float = 1.0) -> ir.Model:
    net = Net()
    image = net.value((1, 3, side, side))
    x = net.conv(image, _rounded(32 * width), 3, 2)
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, out, repeats, stride in plan:
        for index in range(repeats):
            x = _inverted(net, x, _rounded(out * width), kernel=3, stride=stride if index == 0 else 1, expand=expand)
    return net.model(image, net.classify(net.conv(x, max(1280, _rounded(1280 * width)), 1)))


def efficientnet_lite(version: int, side: int) -> ir.Model:
    width, depth = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))[version]
    net = Net()
    image = net.value((1, 3, side, side))
    x = net.conv(image, 32, 3, 2)
    plan = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1)]
    plan += [(6, 5, 192, 4, 2), (6, 3, 320, 1, 1)]
    for stage, (expand, kernel, out, repeats, stride) in enumerate(plan):
        count = repeats if stage in (0, 6) else -(-int(repeats * depth * 100) // 100)  # the ends keep their depth
        for index in range(count):
            x = _inverted(
                net, x, _rounded(out * width), kernel=kernel, stride=stride if index == 0 else 1, expand=expand
            )
    return net.model(image, net.classify(net.conv(x, 1280, 1)))


def _residual(net: Net, x: ir.Value, out: int, stride: int, *, deep: bool) -> ir.Value:
    if deep:
        y = net.conv(net.conv(net.conv(x, out // 4, 1), out // 4, 3, stride), out, 1, act=False)
    else:
        y = net.conv(net.conv(x, out, 3, stride), out, 3, act=False)
    if sides(x)[1] != out:
        return net.relu(net.add(y, net.conv(x, out, 1, stride, act=False)))
    return net.relu(net.add(y, net.pool(x, 1, stride) if stride > 1 else x))


def _resnet_features(net: Net, x: ir.Value, layers: int, *, slim: bool = False) -> list[ir.Value]:
    """After the stem and every stage; ``slim``: a stage's last unit has the stride, not the next stage's first."""
    deep = layers >= 50
    repeats = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[layers]
    features = [net.conv(x, 64, 7, 2)]
    x = net.pool(features[0], 3, 2)
    for stage, count in enumerate(repeats):
        strided = (count - 1 if stage < 3 else -1) if slim else (0 if stage else -1)
        for index in range(count):
            x = _residual(net, x, (256 if deep else 64) << stage, 2 if index == strided else 1, deep=deep)
        features.append(x)
    return features


def resnet(layers: int, side: int, *, slim: bool = False) -> ir.Model:
    """Residual networks (He et al. 2016); ``slim`` as TensorFlow's slim library has version 1."""
    net = Net()
    image = net.value((1, 3, side, side))
    return net.model(image, net.classify(_resnet_features(net, image, layers, slim=slim)[-1]))


#: Channels of the pruned FastDepth (Wofk et al. 2019) as published: encoder's layers, decoder's layers.
_FASTDEPTH = (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512), (200, 256, 120, 56, 16)
_FASTDEPTH_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def fastdepth(side: int) -> ir.Model:
    net = Net()
    image = net.value((1, 3, side, side))
    features = [net.conv(image, _FASTDEPTH[0][0], 3, 2)]
    for out, stride in zip(_FASTDEPTH[0][1:], _FASTDEPTH_STRIDES, strict=True):
        x = features[-1]
        features.append(net.conv(net.conv(x, sides(x)[1], 3, stride, group=sides(x)[1]), out, 1))
    x = features[-1]
    for number, out in enumerate(_FASTDEPTH[1], start=1):
        x = net.conv(net.conv(x, sides(x)[1], 5, group=sides(x)[1]), out, 1)
        _, channels, rows, columns = sides(x)
        x = net.node("Resize", [x], (1, channels, 2 * rows, 2 * columns), mode="nearest")
        x = net.add(x, features[{2: 5, 3: 3, 4: 1}[number]]) if number in (2, 3, 4) else x
    return net.model(image, net.conv(x, 1, 1))


def scdepth(height: int, width: int) -> ir.Model:
    """DispNet of SC-DepthV3 (Sun et al. 2022): ResNet-18, and the decoder of Monodepth2 (Godard et al. 2019)."""
    net = Net()
    image = net.value((1, 3, height, width))
    features = _resnet_features(net, image, 18)
    x = features[-1]
    for stage, out in ((4, 256), (3, 128), (2, 64), (1, 32), (0, 16)):
        x = net.conv(x, out, 3)
        _, channels, rows, columns = sides(x)
        x = net.node("Resize", [x], (1, channels, 2 * rows, 2 * columns), mode="nearest")
        if stage:
            skip = features[stage - 1]
            x = net.node("Concat", [x, skip], (1, channels + sides(skip)[1], 2 * rows, 2 * columns), axis=1)
        x = net.conv(x, out, 3)
    return net.model(image, net.node("Sigmoid", [net.conv(x, 1, 3, act=False)], (1, 1, height, width)))


def repvgg(name: str, side: int) -> ir.Model:
    """The deployed form (Ding et al. 2021): plain 3x3 convolutions."""
    a, b = {"a0": (0.75, 2.5), "a1": (1.0, 2.5), "a2": (1.5, 2.75), "b0": (1.0, 2.5)}[name]
    net = Net()
    image = net.value((1, 3, side, side))
    x = net.conv(image, min(64, int(64 * a)), 3, 2)
    repeats = (4, 6, 16, 1) if name == "b0" else (2, 4, 14, 1)
    for count, out in zip(repeats, (int(64 * a), int(128 * a), int(256 * a), int(512 * b)), strict=True):
        for index in range(count):
            x = net.conv(x, out, 3, 2 if index == 0 else 1)
    return net.model(image, net.classify(x))


def vgg13(side: int) -> ir.Model:
    net = Net()
    image = net.value((1, 3, side, side))
    x = image
    for out in (64, 128, 256, 512, 512):
        x = net.pool(net.conv(net.conv(x, out, 3), out, 3), 2, 2)
    flat = net.node("Flatten", [x], (1, sides(x)[1] * sides(x)[2] * sides(x)[3]))
    x = net.relu(net.dense(net.relu(net.dense(flat, 4096)), 4096))
    return net.model(image, net.dense(x, 1000))


def vit(width: int, side: int = 224, *, norm: bool = True) -> ir.Model:
    """DeiT and ViT (Dosovitskiy et al. 2021), 12 blocks, patches of 16; ``norm`` False: batch norms, folded."""
    net, heads, tokens = Net(), width // 64, (side // 16) ** 2 + 1
    image = net.value((1, 3, side, side))
    patches = net.conv(image, width, 16, 16, act=False)
    flat = net.node("Reshape", [patches], (1, tokens - 1, width))
    x = net.add(net.node("Concat", [flat], (1, tokens, width), axis=1), net.weight(1, tokens, width))
    split = (1, heads, tokens, 64)
    for _ in range(12):
        y = net.node("LayerNormalization", [x, net.weight(width), net.weight(width)], sides(x)) if norm else x
        q, k, v = (
            net.node("Transpose", [net.node("Reshape", [net.dense(y, width)], (1, tokens, heads, 64))], split)
            for _ in range(3)
        )
        scores = net.node("MatMul", [q, net.node("Transpose", [k], (1, heads, 64, tokens))], (1, heads, tokens, tokens))
        mixed = net.node("MatMul", [net.node("Softmax", [scores], sides(scores)), v], split)
        joined = net.node("Reshape", [net.node("Transpose", [mixed], (1, tokens, heads, 64))], sides(x))
        x = net.add(net.dense(joined, width), x)
        y = net.node("LayerNormalization", [x, net.weight(width), net.weight(width)], sides(x)) if norm else x
        hidden = net.dense(y, 4 * width)
        x = net.add(net.dense(net.node("Gelu", [hidden], sides(hidden)), width), x)
    return net.model(image, net.dense(net.node("Slice", [x], (1, width)), 1000))


#: Name in the table of figures -> how the graph is made.
CLASSIFIERS: Mapping[str, Callable[[], ir.Model]] = {
    "mobilenet-v1-224": lambda: mobilenet_v1(224),
    "mobilenet-v2-224": lambda: mobilenet_v2(224),
    "mobilenet-v2-050-224": lambda: mobilenet_v2(224, 0.5),
    **{
        f"efficientnet-lite{version}-{side}": (lambda version=version, side=side: efficientnet_lite(version, side))  # type: ignore[misc]
        for version, side in ((0, 224), (1, 240), (2, 260), (3, 280), (3, 300), (4, 300))
    },
    **{f"resnet{n}-{side}": (lambda n=n, side=side: resnet(n, side)) for n in (18, 34, 50) for side in (224, 256)},  # type: ignore[misc]
    **{f"repvgg-{name}-224": (lambda name=name: repvgg(name, 224)) for name in ("a0", "a1", "a2", "b0")},  # type: ignore[misc]
    "fastdepth-224": lambda: fastdepth(224),
    "resnet50-v1-224": lambda: resnet(50, 224, slim=True),
    "vgg13-224": lambda: vgg13(224),
    "deit-tiny-224": lambda: vit(192),
    "deit-small-224": lambda: vit(384),
    "vit-tiny-bn-224": lambda: vit(192, norm=False),
    "vit-small-bn-224": lambda: vit(384, norm=False),
    "scdepth-v3-256x320": lambda: scdepth(256, 320),
}
