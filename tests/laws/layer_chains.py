"""Chains of layers for the laws of passes: every kind of node that depth networks have, one after another."""

from collections.abc import Callable

import onnx

from depthdeploy.testing.graph_text import build

RULES = ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")


def resized(mode: str, rule: str, rounding: str) -> Callable[[str, str], str]:
    """Larger by a factor of 1.5 or 2, and back by a factor or to a size."""
    said = f'mode="{mode}", coordinate_transformation_mode="{rule}"'
    said += f', nearest_mode="{rounding}"' if rounding else ""
    factors = "twice" if mode == "linear" else "half_more"
    return lambda x, out: f"{out}_r = Resize <{said}> ({x}, , {factors})\n{out} = Resize <{said}> ({out}_r, , , full)"


# A step takes the name of a value and gives the text of nodes whose last one makes ``out``; all keep [1, 4, 16, 16].
STEPS: tuple[Callable[[str, str], str], ...] = (
    lambda x, out: f"{out} = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> ({x}, w3, b)",
    lambda x, out: f"{out} = Conv <kernel_shape=[1,1]> ({x}, w1)",
    lambda x, out: f"{out} = Conv <kernel_shape=[3,3], pads=[1,1,1,1], group=4> ({x}, wd, b)",
    lambda x, out: f'{out} = Conv <kernel_shape=[3,3], auto_pad="SAME_LOWER"> ({x}, w3, b)',
    lambda x, out: f"{out}_t = ConvTranspose <kernel_shape=[2,2], strides=[2,2], group=2> ({x}, wt, b)\n"
    f"{out} = MaxPool <kernel_shape=[2,2], strides=[2,2]> ({out}_t)",
    lambda x, out: f"{out}_p = Pad ({x}, around)\n{out} = Conv <kernel_shape=[3,3]> ({out}_p, w3, b)",
    lambda x, out: f"{out}_p = Pad ({x}, around, one)\n{out} = Conv <kernel_shape=[3,3]> ({out}_p, w3, b)",
    lambda x, out: f"{out} = BatchNormalization <epsilon=0.01> ({x}, gain, b, mean, var)",
    lambda x, out: f"{out} = Mul ({x}, per_channel)",
    lambda x, out: f"{out} = Div ({x}, gain4)",
    lambda x, out: f"{out} = Add (per_channel, {x})",
    lambda x, out: f"{out} = Sub ({x}, per_channel)",
    lambda x, out: f"{out} = Sub (per_channel, {x})",
    lambda x, out: f"{out} = Mul ({x}, per_column)",
    lambda x, out: f"{out} = Add ({x}, {x})",
    lambda x, out: f"{out} = Relu ({x})",
    lambda x, out: f"{out}_m = Max ({x}, zero)\n{out} = Min (six, {out}_m)",
    lambda x, out: f"{out} = Clip ({x}, zero, six)",
    lambda x, out: f"{out} = Clip ({x}, , one)",
    lambda x, out: f"{out}_a = Identity ({x})\n{out} = Dropout ({out}_a)",
    lambda x, out: f"{out}_a = Transpose <perm=[0,2,3,1]> ({x})\n{out} = Transpose <perm=[0,3,1,2]> ({out}_a)",
    lambda x, out: f"{out}_a = Transpose <perm=[0,2,3,1]> ({x})\n{out}_b = MatMul ({out}_a, wm)\n"
    f"{out}_c = Add (b, {out}_b)\n{out}_d = Mul ({out}_c, gain)\n{out} = Transpose <perm=[0,3,1,2]> ({out}_d)",
    lambda x, out: f"{out}_a = Reshape ({x}, flat)\n{out}_b = Unsqueeze ({out}_a, first)\n"
    f"{out} = Reshape ({out}_b, full)",
    lambda x, out: f"{out}_a = Softmax <axis=1> ({x})\n{out}_b = IsNaN ({out}_a)\n"
    f"{out} = Where ({out}_b, zero, {out}_a)",
    lambda x, out: f"{out}_a = Conv <kernel_shape=[1,1]> ({x}, w1)\n{out}_b = Mul ({out}_a, gain4)\n"
    f"{out} = Add ({out}_a, {out}_b)",
    lambda x, out: f"{out}_s = Shape ({x})\n{out}_r = Relu ({x})\n{out} = Reshape ({out}_r, {out}_s)",
    lambda x, out: f"{out}_a = Transpose <perm=[0,2,3,1]> ({x})\n{out} = Transpose <perm=[0,3,2,1]> ({out}_a)",
    lambda x, out: f"{out} = Slice ({x}, backwards_start, backwards_end, last_axis, backwards)",
    *(resized(mode, rule, rounding) for mode, rounding in (("linear", ""), ("cubic", ""), ("nearest", "floor"),
      ("nearest", "ceil"), ("nearest", "round_prefer_floor"), ("nearest", "round_prefer_ceil")) for rule in RULES),
    lambda x, out: f"{out} = LayerNormalization <axis=-1> ({x}, per_column, columns_shift)",
    lambda x, out: f"{out} = LayerNormalization <axis=1, epsilon=0.001> ({x}, whole_gain)",
    lambda x, out: f"{out}_m = ReduceMean ({x}, last_axis)\n{out}_d = Sub ({x}, {out}_m)\n"
    f"{out}_q = Mul ({out}_d, {out}_d)\n{out}_v = ReduceMean ({out}_q, last_axis)\n{out}_e = Add ({out}_v, small)\n"
    f"{out}_r = Sqrt ({out}_e)\n{out}_n = Div ({out}_d, {out}_r)\n{out} = Mul ({out}_n, per_column)",
    lambda x, out: f"{out} = InstanceNormalization ({x}, gain, b)",
    lambda x, out: f"{out}_r = Div ({x}, root)\n{out}_e = Erf ({out}_r)\n{out}_o = Add ({out}_e, one)\n"
    f"{out}_m = Mul ({x}, {out}_o)\n{out} = Mul ({out}_m, half)",
    *((lambda x, out, axis=axis: f"{out} = Softmax <axis={axis}> ({x})") for axis in (0, 1, 2, 3, -1, -3)),
    *((lambda x, out, axis=axis: f"{out} = LogSoftmax <axis={axis}> ({x})") for axis in (1, -1)),
    lambda x, out: f"{out} = ConvTranspose <kernel_shape=[3,3], pads=[1,1,1,1]> ({x}, w3, b)",
    lambda x, out: f"{out} = ConvTranspose <kernel_shape=[3,3], pads=[2,2,2,2], dilations=[2,2], group=4> ({x}, wd, b)",
    lambda x, out: f"{out}_t = ConvTranspose <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1],"
    f" output_padding=[1,1]> ({x}, w3)\n{out} = AveragePool <kernel_shape=[2,2], strides=[2,2]> ({out}_t)",
    lambda x, out: f'{out}_t = ConvTranspose <kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_LOWER"> ({x}, w3)\n'
    f"{out} = MaxPool <kernel_shape=[2,2], strides=[2,2]> ({out}_t)",
    lambda x, out: f"{out}_a, {out}_b = Split <axis=1, num_outputs=2> ({x})\n"
    f"{out} = Concat <axis=1> ({out}_b, {out}_a)",
    lambda x, out: f"{out}_a, {out}_b, {out}_c = Split <axis=-1> ({x}, thirds)\n{out}_r = Relu ({out}_b)\n"
    f"{out} = Concat <axis=-1> ({out}_a, {out}_r, {out}_c)",
    *((lambda x, out, mode=mode: f'{out}_p = Pad <mode="{mode}"> ({x}, around)\n'
       f"{out} = AveragePool <kernel_shape=[3,3]> ({out}_p)") for mode in ("constant", "edge", "reflect", "wrap")),
    lambda x, out: f"{out}_p = Pad ({x}, cropped)\n{out} = Pad ({out}_p, uncropped, one)",
    lambda x, out: f"{out}_a = Slice ({x}, even, to_end, last_axis, by_two)\n"
    f"{out}_b = Slice ({x}, odd, to_end, last_axis, by_two)\n{out} = Concat <axis=3> ({out}_a, {out}_b)",
    lambda x, out: f"{out}_a = Slice ({x}, even, third)\n{out} = Add ({out}_a, {x})",
    lambda x, out: f"{out}_p = DepthToSpace <blocksize=2> ({x})\n{out} = SpaceToDepth <blocksize=2> ({out}_p)",
    lambda x, out: f"{out}_h = HardSigmoid <alpha=0.2> ({x})\n{out} = Mul ({out}_h, {x})",
    lambda x, out: f"{out}_g = GlobalAveragePool ({x})\n{out} = Mul ({x}, {out}_g)",
    lambda x, out: f"{out} = HardSwish ({x})",
    lambda x, out: f"{out} = Pow ({x}, two)",
    *((lambda x, out, rule=rule: f"{out}_r = Resize <{rule}> ({x}, , twice)\n"
       f"{out} = MaxPool <kernel_shape=[2,2], strides=[2,2]> ({out}_r)") for rule in
      ('mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"', 'mode="nearest"')),
    lambda x, out: f"{out}_m = ReduceMean ({x}, spatial)\n{out} = Mul ({x}, {out}_m)",
    lambda x, out: f"{out}_s = Sigmoid ({x})\n{out} = Mul ({x}, {out}_s)",
    lambda x, out: f"{out} = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> ({x})",
)  # fmt: skip


def chain(steps: list[int], opset: int = 18) -> onnx.ModelProto:
    """An image of three channels through the steps, to a depth map."""
    lines = ["v0 = Conv <kernel_shape=[1,1]> (image, w0)"]
    lines += [STEPS[step](f"v{index}", f"v{index + 1}") for index, step in enumerate(steps)]
    lines.append(f"depth = ReduceMean <keepdims=1> (v{len(steps)}, first_axis)")
    body = "\n".join(lines)
    return build(
        f"""chain (float[1,3,16,16] image) => (float[1,1,16,16] depth)
        <float[4,3,1,1] w0, float[4,4,3,3] w3, float[4,4,1,1] w1, float[4,1,3,3] wd, float[4,2,2,2] wt, float[4,4] wm,
         float[4] b, float[4] mean, float[4] gain_gain, float[4] gain = {{0.5, 1.5, 1, 0.7}},
         float[4] var = {{1, 2, 0.5, 1}}, float[4,1,1] gain4 = {{0.5, 2, 1, 0.7}}, float[1,4,1,1] per_channel,
         float[16] per_column, float zero = {{0}}, float one = {{1}}, float six = {{6}},
         int64[8] around = {{0, 0, 1, 1, 0, 0, 1, 1}}, int64[8] cropped = {{0, 0, -1, 0, 0, 0, 0, -2}},
         int64[8] uncropped = {{0, 0, 1, 0, 0, 0, 0, 2}}, float[16] columns_shift, float[4,16,16] whole_gain,
         float two = {{2}},
         float small = {{0.00001}}, float root = {{1.4142135}}, float half = {{0.5}}, int64[3] thirds = {{5, 10, 1}},
         float[4] twice = {{1, 1, 2, 2}}, float[4] half_more = {{1, 1, 1.5, 1.5}}, int64[1] even = {{0}},
         int64[1] odd = {{1}}, int64[1] to_end = {{9223372036854775807}}, int64[1] by_two = {{2}},
         int64[1] third = {{3}}, int64[2] spatial = {{2, 3}},
         int64[3] flat = {{1, 4, 256}}, int64[1] first = {{0}}, int64[4] full = {{1, 4, 16, 16}},
         int64[1] first_axis = {{1}}, int64[1] backwards_start = {{15}}, int64[1] backwards_end = {{-100}},
         int64[1] last_axis = {{3}}, int64[1] backwards = {{-1}}>
        {{ {body} }}""",
        opset=opset,
    )
