"""Graphs that are wrong: each is refused by name, with a remedy, wherever it comes in, and nothing native sees it."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthdeploy.cli.app import run
from depthdeploy.core.depth import DepthKind
from depthdeploy.errors import DepthdeployError, ModelError, UsageError
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.frontend.foreign_file import open_onnx
from depthdeploy.graph.inspect import inspect_onnx
from depthdeploy.testing import graphs
from depthdeploy.testing.graph_text import build

Edit = Callable[[onnx.ModelProto], None]


def node(proto: onnx.ModelProto, name: str) -> onnx.NodeProto:
    found: onnx.NodeProto = next(one for one in proto.graph.node if one.name == name)
    return found


def weight(proto: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(one for one in proto.graph.initializer if one.name == name)
    return found


def cycle(proto: onnx.ModelProto) -> None:
    node(proto, "conv1").input[0] = "act2"


def own_cycle(proto: onnx.ModelProto) -> None:
    node(proto, "act1").input[0] = "act1"


def two_origins(proto: onnx.ModelProto) -> None:
    node(proto, "act2").output[0] = "act1"


def origin_of_an_input(proto: onnx.ModelProto) -> None:
    node(proto, "stem").output[0] = "image"


def two_initializers(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(weight(proto, "w1"))


def two_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(proto.graph.input[0])


def undefined_input(proto: onnx.ModelProto) -> None:
    node(proto, "conv2").input[1] = "w9"


def undefined_output(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].name = "map"


def custom_domain(proto: onnx.ModelProto) -> None:
    proto.opset_import.append(helper.make_opsetid("com.vendor", 1))
    node(proto, "act2").domain = "com.vendor"


def unknown_operator(proto: onnx.ModelProto) -> None:
    node(proto, "act2").op_type = "FusedRelu"


def too_new_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 99


def negative_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = -3


def too_new_format(proto: onnx.ModelProto) -> None:
    proto.ir_version = 2000


def too_few_bytes(proto: onnx.ModelProto) -> None:
    weight(proto, "w1").raw_data = weight(proto, "w1").raw_data[:-4]


def negative_weight_dimension(proto: onnx.ModelProto) -> None:
    weight(proto, "w1").dims[0] = -8


def unknown_element_type(proto: onnx.ModelProto) -> None:
    weight(proto, "w1").data_type = 77


def text_weight(proto: onnx.ModelProto) -> None:
    tensor = weight(proto, "w1")
    tensor.CopyFrom(onnx.TensorProto(name="w1", dims=[1], data_type=TensorProto.STRING, string_data=[b"x"]))


def sparse_weight(proto: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "w_sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [8]))


def nan_weight(proto: onnx.ModelProto) -> None:
    array = numpy_helper.to_array(weight(proto, "w1")).copy()
    array[0, 0, 0, 0] = np.nan
    weight(proto, "w1").CopyFrom(numpy_helper.from_array(array, "w1"))


def infinite_weight(proto: onnx.ModelProto) -> None:
    array = numpy_helper.to_array(weight(proto, "w2")).copy()
    array[1] = np.inf
    weight(proto, "w2").CopyFrom(numpy_helper.from_array(array, "w2"))


def too_few_inputs(proto: onnx.ModelProto) -> None:
    del node(proto, "conv1").input[1:]


def wrong_channels(proto: onnx.ModelProto) -> None:
    array = np.ones((8, 5, 3, 3), np.float32)
    weight(proto, "w1").CopyFrom(numpy_helper.from_array(array, "w1"))


def no_strides(proto: onnx.ModelProto) -> None:
    node(proto, "conv1").attribute.append(helper.make_attribute("strides", [0, 0]))


def sequence_input(proto: onnx.ModelProto) -> None:
    kind = helper.make_sequence_type_proto(proto.graph.input[0].type)
    proto.graph.input[0].type.CopyFrom(kind)


def training(proto: onnx.ModelProto) -> None:
    names = ["b1", "b1", "b1", "b1"]
    node(proto, "act2").CopyFrom(
        helper.make_node("BatchNormalization", ["conv1", *names], ["act2"], name="act2", training_mode=1)
    )


def missing_data(proto: onnx.ModelProto) -> None:
    _external(weight(proto, "w1"), "lost.bin", length=2304)


def data_elsewhere(proto: onnx.ModelProto) -> None:
    _external(weight(proto, "w1"), "../../../../../../../../../../etc/passwd", length=2304)


def data_at_an_absolute_place(proto: onnx.ModelProto) -> None:
    _external(weight(proto, "w1"), "/etc/passwd", length=2304)


def _external(tensor: onnx.TensorProto, location: str, **more: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))


#: An edit of the residual block -> what the refusal names.
BAD: dict[Edit, tuple[str, ...]] = {
    cycle: ("conv1 (Conv)", "act2 (Relu)", "depend on themselves"),
    own_cycle: ("act1 (Relu) <- act1 (Relu)",),
    two_origins: ("act2 (Relu)", "'act1'", "act1 (Relu) makes too"),
    origin_of_an_input: ("stem (Conv)", "'image'"),
    two_initializers: ("two initializers 'w1'",),
    two_inputs: ("two inputs 'image'",),
    undefined_input: ("conv2 (Conv)", "'w9'"),
    undefined_output: ("output 'map'",),
    custom_domain: ("Relu of com.vendor", "act2 (Relu)"),
    unknown_operator: ("act2 (FusedRelu)",),
    too_new_opset: ("opset 99", "reads 1 to"),
    negative_opset: ("opset -3",),
    too_new_format: ("IR version 2000",),
    too_few_bytes: ("'w1'", "2300 bytes", "2304"),
    negative_weight_dimension: ("'w1'", "negative"),
    unknown_element_type: ("'w1'", "element type 77"),
    text_weight: ("'w1'", "text"),
    sparse_weight: ("'w_sparse'", "sparsely"),
    nan_weight: ("'w1'", "conv1 (Conv)", "1 of 576"),
    infinite_weight: ("'w2'", "conv2 (Conv)", "72 of 576"),
    too_few_inputs: ("conv1",),
    wrong_channels: ("conv1",),
    no_strides: ("conv1",),
    sequence_input: ("'image'", "no tensor"),
    training: ("act2 (BatchNormalization)", "training mode"),
    missing_data: ("lost.bin",),
    data_elsewhere: ("'w1'", "etc/passwd"),
    data_at_an_absolute_place: ("'w1'", "/etc/passwd"),
}


def saved(edit: Edit, folder: Path) -> Path:
    proto = graphs.residual_block()
    edit(proto)
    path = folder / "foreign.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("edit", BAD, ids=lambda edit: edit.__name__)
def test_a_bad_graph_is_refused_by_name_with_a_remedy(edit: Edit, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        import_onnx(saved(edit, tmp_path), out=tmp_path / "ours.onnx", kind=DepthKind.INVERSE_DEPTH)
    assert all(text in refused.value.what for text in BAD[edit]), refused.value.what
    assert refused.value.remedy
    assert "\n" not in str(refused.value)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["foreign.onnx"]


@pytest.mark.parametrize("edit", BAD, ids=lambda edit: edit.__name__)
def test_inspecting_a_bad_graph_gives_a_summary_or_a_refusal(edit: Edit, tmp_path: Path) -> None:
    try:
        rows = inspect_onnx(saved(edit, tmp_path)).rows()
    except DepthdeployError as refused:
        rows = [(refused.what, refused.remedy)]
    assert all(text.isprintable() for row in rows for text in row)
    assert any("foreign.onnx" in text or "ONNX, IR version" in text for row in rows for text in row)


@pytest.mark.parametrize("edit", [cycle, own_cycle, undefined_input], ids=lambda edit: edit.__name__)
def test_inspecting_names_the_node_that_breaks_the_structure(edit: Edit, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        inspect_onnx(saved(edit, tmp_path))
    assert all(text in refused.value.what for text in BAD[edit]), refused.value.what


@pytest.mark.parametrize("edit", [cycle, undefined_input, nan_weight, unknown_operator])
def test_the_command_line_says_it_in_one_paragraph(
    edit: Edit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(saved(edit, tmp_path))
    arguments = ["--output-kind", "inverse-depth", "--target", "onnxruntime", "--calib", "sample"]
    code = run(["compile", "--onnx", path, *arguments, "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "o")])
    said = " ".join("".join(capsys.readouterr()).split())
    assert code == ModelError.exit_code
    assert "Traceback" not in said
    assert all(text in said for text in BAD[edit]), said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("size", [0, -1])
def test_a_side_that_is_not_positive_is_a_free_one(size: int, tmp_path: Path) -> None:
    def free(proto: onnx.ModelProto) -> None:
        for end in (proto.graph.input[0], proto.graph.output[0]):
            for index in (0, 2, 3):
                end.type.tensor_type.shape.dim[index].dim_value = size

    path, kind = saved(free, tmp_path), DepthKind.INVERSE_DEPTH
    with pytest.raises(UsageError, match="--size"):
        import_onnx(path, out=tmp_path / "ours.onnx", kind=kind)
    assert import_onnx(path, out=tmp_path / "ours.onnx", kind=kind, size=(24, 16)).model.output.shape == (1, 1, 24, 16)


def test_nodes_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    def reversed_nodes(proto: onnx.ModelProto) -> None:
        nodes = [onnx.NodeProto.FromString(one.SerializeToString()) for one in reversed(proto.graph.node)]
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)

    opened = open_onnx(saved(reversed_nodes, tmp_path))
    assert [one.name for one in opened.graph.node] == [one.name for one in graphs.residual_block().graph.node]


def test_nodes_in_order_stay_where_they_are(tmp_path: Path) -> None:
    for name, proto in graphs.all_graphs().items():
        path = tmp_path / f"{name}.onnx"
        onnx.save(proto, path)
        assert [one.name for one in open_onnx(path).graph.node] == [one.name for one in proto.graph.node]


def test_a_mask_of_minus_infinity_is_no_fault(tmp_path: Path) -> None:
    def masked(proto: onnx.ModelProto) -> None:
        proto.graph.initializer.append(numpy_helper.from_array(np.full(1, -np.inf, np.float32), "mask"))
        node(proto, "depth").CopyFrom(helper.make_node("Max", ["head", "mask"], ["depth"], name="depth"))

    assert open_onnx(saved(masked, tmp_path)).graph.node[-1].op_type == "Max"


def test_training_information_is_left_out(tmp_path: Path) -> None:
    def trained(proto: onnx.ModelProto) -> None:
        proto.training_info.add().algorithm.name = "sgd"

    assert not open_onnx(saved(trained, tmp_path)).training_info


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(1000), "is not an ONNX graph"),
        (b"\xff" * 1000, "is not an ONNX graph"),
        (graphs.residual_block().SerializeToString()[:-100], "is not an ONNX graph"),
    ],
    ids=["empty", "zip", "pickle", "hdf5", "html", "tflite", "lfs", "zeros", "ones", "cut"],
)
def test_a_file_of_another_kind_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    for reader in (open_onnx, inspect_onnx):
        with pytest.raises(ModelError, match=said) as refused:
            reader(path)
        assert refused.value.remedy


def test_a_file_above_two_gibibytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    with path.open("wb") as file:
        file.truncate(2**31 + 5)
    for reader in (open_onnx, inspect_onnx):
        with pytest.raises(ModelError, match="2 GiB"):
            reader(path)


def test_weights_above_two_gibibytes_are_refused_unread(tmp_path: Path) -> None:
    proto = graphs.residual_block()
    tensor = weight(proto, "w1")
    tensor.dims[:] = [1 << 15, 1 << 14, 1, 1]
    _external(tensor, "large.bin")
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(2**31)
    path = tmp_path / "foreign.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="2 GiB"):
        open_onnx(path)


@pytest.mark.parametrize(
    "place",
    [
        {"offset": 0, "length": 2304},
        {"offset": -4, "length": 2304},
        {"offset": 1 << 40},
        {"length": 12},
        {"offset": "four"},
    ],
    ids=str,
)
def test_weights_that_are_cut_or_out_of_place_are_named(place: dict[str, int], tmp_path: Path) -> None:
    def cut(proto: onnx.ModelProto) -> None:
        _external(weight(proto, "w1"), "w.bin", **place)

    (tmp_path / "w.bin").write_bytes(bytes(2000))
    with pytest.raises(ModelError, match="'w1' needs 2304 bytes"):
        open_onnx(saved(cut, tmp_path))


def linked(folder: Path) -> Path:
    """A graph and its weights as the cache of Hugging Face keeps them: links into a folder of blobs."""
    blobs, snapshot = folder / "blobs", folder / "snapshots"
    blobs.mkdir()
    snapshot.mkdir()
    proto = graphs.residual_block()
    onnx.save(proto, blobs / "a", save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    (blobs / "model.onnx_data").rename(blobs / "b")
    for name, blob in (("model.onnx", "a"), ("model.onnx_data", "b")):
        (snapshot / name).symlink_to(Path("..") / "blobs" / blob)
    return snapshot / "model.onnx"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_cache_of_links_is_read(tmp_path: Path) -> None:
    path = linked(tmp_path)
    assert len(open_onnx(path).graph.initializer) == len(graphs.residual_block().graph.initializer)
    assert inspect_onnx(path).parameters > 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4000))
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret")

    def spy(proto: onnx.ModelProto) -> None:
        _external(weight(proto, "w1"), "w.bin")

    with pytest.raises(ModelError, match="not in the graph's folder"):
        open_onnx(saved(spy, folder))


def test_graphs_within_graphs_are_checked_too(tmp_path: Path) -> None:
    proto = build(
        """g (float[1,3,8,8] image, bool flag) => (float[1,3,8,8] depth) {
            depth = If (flag) <
                then_branch = one () => (float[1,3,8,8] a) { a = Relu (image) },
                else_branch = two () => (float[1,3,8,8] b) { b = Abs (image) }
            >
        }"""
    )
    path = tmp_path / "foreign.onnx"
    onnx.save(proto, path)
    assert open_onnx(path).graph.node[0].op_type == "If"
    inner = next(a.g for a in proto.graph.node[0].attribute if a.name == "else_branch")
    for broken, said in (("lost", "reads 'lost'"), ("b", "depend on themselves")):
        inner.node[0].input[0] = broken
        onnx.save(proto, path)
        with pytest.raises(ModelError, match=said):
            open_onnx(path)


def field(number: int, content: bytes) -> bytes:
    """A message within a message, in protobuf's own bytes: its Python classes refuse to nest as deep."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_a_graph_nested_beyond_all_reason_is_no_crash(tmp_path: Path) -> None:
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], []).SerializeToString()
    for _ in range(5000):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "foreign.onnx"
    path.write_bytes(bytes([8, 10]) + field(7, graph))
    for reader in (open_onnx, inspect_onnx):
        with pytest.raises(ModelError, match="not an ONNX graph"):
            reader(path)


def test_a_long_chain_is_no_crash(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(20_000)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("v0", "v20000")]
    model = helper.make_model(
        helper.make_graph(list(reversed(nodes)), "g", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    path = tmp_path / "foreign.onnx"
    path.write_bytes(model.SerializeToString())
    assert open_onnx(path).graph.node[0].input[0] == "v0"
