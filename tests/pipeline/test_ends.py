"""From a photograph to an artifact that takes a camera's bytes, and from its output through the host to the depth."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import depthdeploy
from depthdeploy import api
from depthdeploy.core.depth import ColorOrder, DepthKind, InputForm, Layout
from depthdeploy.core.ends import EndOptions, TailRule, Taken
from depthdeploy.core.metrics import Evidence
from depthdeploy.core.report import Report
from depthdeploy.core.request import CompileRequest, InputOptions
from depthdeploy.core.support import Allowances
from depthdeploy.errors import DepthdeployError, UsageError
from depthdeploy.imaging.preprocess import camera_frame, preprocess
from depthdeploy.inference import OnnxSession
from depthdeploy.testing.graph_text import build

#: A padded stem, a depth by a formula of disparity at half size, enlarged at the end.
DISPARITY = """
    g (float[1,3,32,32] image) => (float[1,1,32,32] depth)
    <float[8,3,3,3] w, float[8] b, float[8,8,3,3] v, float[1,8,1,1] h, float[4] twice = {1, 1, 2, 2},
     float gain = {2}, float shift = {0.1}>
    {
        stem = Conv <kernel_shape=[3,3], strides=[2,2], pads=[0,0,1,1]> (image, w, b)
        act = Relu (stem)
        deep = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (act, v)
        sum = Add (deep, act)
        head = Conv <kernel_shape=[1,1]> (sum, h)
        bounded = Sigmoid (head)
        scaled = Mul (bounded, gain)
        disparity = Add (scaled, shift)
        metres = Reciprocal (disparity)
        depth = Resize <mode="linear", coordinate_transformation_mode="half_pixel"> (metres, , twice)
    }"""

IMAGENET = InputOptions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
BYTES = EndOptions(Taken.UINT8, Layout.NHWC, ColorOrder.BGR)


@pytest.fixture(name="network", scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "disparity.onnx"
    onnx.save(build(DISPARITY), path)
    return path


@pytest.fixture(name="photos", scope="module")
def _photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index in range(12):
        coarse = generator.integers(0, 255, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(name="cache", scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def compiled(
    network: Path, photos: Path, cache: Path, ends: EndOptions, targets: Sequence[str] = ("onnxruntime:cpu-avx2",),
    **more: object,
) -> list[tuple[Path, Report]]:  # fmt: skip
    request = CompileRequest(
        targets=tuple(targets),
        onnx=network,
        output_kind=DepthKind.RELATIVE_DEPTH,
        input=IMAGENET,
        calibration=f"folder:{photos}",
        recipe="minmax",
        out=cache / "out",
        cache=cache,
        ends=ends,
        **more,  # type: ignore[arg-type]
    )
    outcome = depthdeploy.compile(request)
    if outcome.error is not None:
        raise outcome.error
    found = [(result.folder, result.report) for result in outcome.results]
    return [(folder, report) for folder, report in found if folder is not None and report is not None]


def sqnr(report: Report, evidence: Evidence) -> float:
    return next(
        one.metrics["sqnr_db"].mean
        for one in report.evaluations
        if one.evidence is evidence and "sqnr_db" in one.metrics
    )


def test_bytes_lose_nothing_in_float(network: Path, photos: Path, cache: Path) -> None:
    ((folder, report),) = compiled(network, photos, cache, BYTES, precision="fp32")
    assert sqnr(report, Evidence.MEASURED) > 100
    graph = onnx.load(folder / "model.onnx").graph
    image = graph.input[0].type.tensor_type
    assert image.elem_type == onnx.TensorProto.UINT8
    assert [dimension.dim_value for dimension in image.shape.dim] == [1, 32, 32, 3]


def test_a_camera_frame_goes_straight_into_the_artifact(network: Path, photos: Path, cache: Path) -> None:
    ((folder, report),) = compiled(network, photos, cache, BYTES, precision="fp32")
    assert report.interface is not None
    contract = report.interface.input
    assert (contract.form, contract.layout, contract.color) == (InputForm.UINT8, Layout.NHWC, ColorOrder.BGR)
    photograph = np.asarray(Image.open(photos / "00.png"))
    frame = camera_frame(photograph, contract)
    assert (frame.shape, frame.dtype.name) == ((1, 32, 32, 3), "uint8")
    found = OnnxSession(folder / "model.onnx").predict(frame)
    expected = OnnxSession(network).predict(preprocess(photograph, report.network.input))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_integer_kernels_read_the_bytes(network: Path, photos: Path, cache: Path) -> None:
    ((_, before),) = compiled(network, photos, cache, EndOptions())
    ((folder, report),) = compiled(network, photos, cache, EndOptions(Taken.UINT8))
    assert abs(sqnr(report, Evidence.EMULATED) - sqnr(report, Evidence.MEASURED)) < 0.5
    assert sqnr(report, Evidence.EMULATED) > sqnr(before, Evidence.EMULATED) - 0.5
    nodes = onnx.load(folder / "model.onnx").graph.node
    assert [node.op_type for node in nodes if "image" in node.input] == ["Concat"]
    assert not [node for node in nodes if node.op_type in ("Cast", "Sub")]


def test_the_bytes_reach_every_target(network: Path, photos: Path, cache: Path) -> None:
    pytest.importorskip("openvino")
    results = compiled(network, photos, cache, BYTES, ["onnxruntime:cpu-avx2", "openvino:cpu-avx2"])
    for _, report in results:
        assert abs(sqnr(report, Evidence.EMULATED) - sqnr(report, Evidence.MEASURED)) < 0.5


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        (EndOptions(tail=TailRule.AUTO), ["Sigmoid", "Mul", "Add", "Reciprocal", "Resize"]),
        (EndOptions(tail=TailRule.RESIZE), []),
        (EndOptions(cut_at="disparity"), ["Sigmoid", "Mul", "Add"]),
    ],
    ids=["auto", "resize", "named"],
)
def test_the_host_goes_on_where_the_accelerator_ends(
    network: Path, photos: Path, cache: Path, ends: EndOptions, left: list[str]
) -> None:
    ((folder, report),) = compiled(network, photos, cache, ends, precision="fp32")
    formulas = ("Sigmoid", "Mul", "Add", "Reciprocal", "Resize")
    done = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node if node.name in _FORMULAS]
    assert done == left
    assert report.interface is not None
    tail = report.interface.output.tail
    if ends.tail is TailRule.AUTO:
        assert tail is None
        assert not (folder / "tail.onnx").exists()
        return
    assert tail is not None
    assert [*done, *(step.operator for step in tail.steps)] == list(formulas)
    assert sqnr(report, Evidence.MEASURED) > 100
    image = preprocess(np.asarray(Image.open(photos / "00.png")), report.network.input)
    between = OnnxSession(folder / "model.onnx").predict(image)
    found = OnnxSession(folder / "tail.onnx").predict(between)
    np.testing.assert_allclose(found, OnnxSession(network).predict(image), rtol=1e-4)


_FORMULAS = ("bounded", "scaled", "disparity", "metres", "depth")


def test_the_contract_file_says_both_ends(network: Path, photos: Path, cache: Path) -> None:
    ends = EndOptions(Taken.UINT8, Layout.NHWC, tail=TailRule.RESIZE)
    ((folder, report),) = compiled(network, photos, cache, ends)
    written = json.loads((folder / "contract.json").read_text())
    assert written["input"]["tensor"] == {"name": "image", "dtype": "uint8", "shape": [1, 32, 32, 3]}
    assert written["input"]["normalization"]["mean"] == [123.675, 116.28, 103.53]
    assert [step["operator"] for step in written["output"]["contract"]["tail"]["steps"]][-1] == "Resize"
    assert {"contract.json", "tail.onnx"} <= set(report.files)
    text = (folder / "report.md").read_text()
    assert "Resize" in text
    assert "uint8" in text


def test_a_quantized_head_and_its_tail_are_scored_whole(network: Path, photos: Path, cache: Path) -> None:
    ((_, report),) = compiled(network, photos, cache, EndOptions(Taken.UINT8, tail=TailRule.RESIZE))
    assert sqnr(report, Evidence.EMULATED) > 20
    assert abs(sqnr(report, Evidence.EMULATED) - sqnr(report, Evidence.MEASURED)) < 0.5


def test_rounded_borders_are_asked_for_and_told(network: Path, photos: Path, cache: Path) -> None:
    allowed = Allowances(("normalization=folded-borders",))
    ((folder, report),) = compiled(network, photos, cache, EndOptions(Taken.UINT8), allowances=allowed)
    assert report.legalization is not None
    assert report.legalization.approximations == allowed.approximate
    assert any("folded-borders" in line for line in report.degradations)
    assert sqnr(report, Evidence.APPROXIMATED) > 20
    assert not [node for node in onnx.load(folder / "model.onnx").graph.node if node.op_type == "Concat"]


def test_what_was_said_wrongly_is_named(network: Path, photos: Path, cache: Path) -> None:
    def message(ends: EndOptions, allowances: Allowances | None = None) -> str:
        with pytest.raises(DepthdeployError) as caught:
            compiled(network, photos, cache, ends, allowances=allowances or Allowances())
        return str(caught.value)

    assert "Did you mean disparity" in message(EndOptions(cut_at="disparty"))
    assert "more than one output" in message(EndOptions(cut_at="deep"))
    assert "changes nothing" in message(EndOptions(), allowances=Allowances(("normalization=folded-borders",)))
    with pytest.raises(UsageError, match="both say"):
        EndOptions(tail=TailRule.AUTO, cut_at="head")


def test_a_plan_is_of_the_part_that_the_accelerator_computes(network: Path, photos: Path, cache: Path) -> None:
    request = CompileRequest(
        targets=("onnxruntime:cpu-avx2", "openvino:cpu-avx2"),
        onnx=network,
        output_kind=DepthKind.RELATIVE_DEPTH,
        input=IMAGENET,
        calibration=f"folder:{photos}",
        recipe="minmax",
        cache=cache,
        ends=EndOptions(Taken.UINT8, tail=TailRule.RESIZE),
    )
    for target in api.plan(request).targets:
        after = {row.operator: row.after for row in target.operators}
        assert (after["Sigmoid"], after["Resize"]) == (0, 0)
        assert (after["Conv"], after["Sub"], after["Concat"]) == (3, 1, 1)


def test_targets_whose_tools_normalise_are_given_no_bytes(network: Path, photos: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="its own tools put the normalisation before it"):
        compiled(network, photos, cache, EndOptions(Taken.UINT8), ["rknn:rk3588"])
