"""The networks under comparison: float ONNX graphs as the project makes them, and photographs as tensors.

Run as a process, ``python -m quantizers.networks NAME FOLDER``, so that what it needs in memory is not in the process
that measures the peers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from quantizers.harden import ACTIVATIONS, HOMOGENEOUS, harden

from depthdeploy import registry
from depthdeploy.core.model import OnnxModel
from depthdeploy.frontend.export import export_torch
from depthdeploy.frontend.foreign import import_onnx
from depthdeploy.graph.canonicalize import canonicalize_file
from depthdeploy.graph_file import read_graph, write_graph
from depthdeploy.imaging.stream import stream
from depthdeploy.inference import OnnxSession

#: Where the weights and photographs lie.
DATA = "DEPTHDEPLOY_TEST_DATA"

#: How much rescaling may change a prediction, as a share of its range: float32 rounding through all layers.
SAME_FUNCTION = 1e-4


def data_folder() -> Path:
    """The folder that the environment variable names.

    Raises:
        SystemExit: it is not set, or not a folder.
    """
    named = os.environ.get(DATA, "")
    if not named or not Path(named).is_dir():
        raise SystemExit(
            f"{DATA} is {'not set' if not named else f'{named}, which is no folder'}: set it to the folder with "
            "weights/fastdepth, weights/midas_small_arch, photos/calib and photos/eval."
        )
    return Path(named)


def _given(relative: str) -> Path:
    path = data_folder() / relative
    if not path.exists():
        raise SystemExit(f"{path} is missing: {DATA} must name a folder that holds {relative}.")
    return path


def _onnx(card_id: str, weights: Path, out: Path) -> OnnxModel:
    card = registry.models[card_id].card
    size = (card.input.height, card.input.width)
    imported = import_onnx(weights, out=out, kind=card.output.kind, size=size, name=card.title)
    return OnnxModel(
        imported.model.path, imported.model.sha256, imported.model.opset, imported.model.input, imported.model.output,
        card.input, card.output, card.title,
    )  # fmt: skip


def _torch(card_id: str, weights: Path, out: Path) -> OnnxModel:
    plugin = registry.models[card_id]
    card = plugin.card
    return export_torch(
        plugin.build(weights, card.input), name=card.title, contract=card.input, depth=card.output, out=out
    )


def _fastdepth(folder: Path) -> OnnxModel:
    return _onnx("fastdepth", _given("weights/fastdepth/fast_depth_224.onnx"), folder / "exported.onnx")


def _midas(folder: Path) -> OnnxModel:
    weights = _given("weights/midas_small_arch/midas_small_arch.safetensors")
    return _torch("midas-v21-small", weights, folder / "exported.onnx")


def _pico(folder: Path) -> OnnxModel:
    from depthdeploy_models import pico

    return _onnx("pico", Path(pico.__file__).with_name("pico.onnx"), folder / "exported.onnx")


def _depth_anything(folder: Path) -> OnnxModel:
    """The architecture with random weights: times and memory are real, fidelity means nothing."""
    import torch
    from safetensors.torch import save_file

    from depthdeploy_models import depth_anything_v2
    from depthdeploy_models.depth_anything_v2.model import architecture
    from depthdeploy_models.hub import published_name

    torch.manual_seed(0)
    network = architecture(depth_anything_v2.small.card)
    with torch.no_grad():  # drawn so that its depth is not all zero
        network.head.conv3.weight.normal_()
        dict(network.named_parameters())["head.conv3.bias"].fill_(1.0)
    weights = folder / "random.safetensors"
    save_file({published_name(key): value.contiguous() for key, value in network.state_dict().items()}, weights)
    card = depth_anything_v2.small.card
    contract = card.input.sized(252, 336)
    module = depth_anything_v2.small.build(weights, contract)
    return export_torch(module, name=card.title, contract=contract, depth=card.output, out=folder / "exported.onnx")


@dataclass(frozen=True, slots=True)
class Subject:
    """A network under comparison.

    Attributes:
        make: export it into a folder.
        fidelity: whether its weights are trained, so that fidelity means something.
        transformer: some tools want to be told.
    """

    make: Callable[[Path], OnnxModel]
    fidelity: bool = True
    transformer: bool = False


SUBJECTS = {
    "fastdepth": Subject(_fastdepth),
    "midas": Subject(_midas),
    "pico": Subject(_pico),
    "depth-anything": Subject(_depth_anything, fidelity=False, transformer=True),
}

#: What a hard variant's name ends in -> the operators between the convolutions that are rescaled.
HARD = {"-hard": ACTIVATIONS, "-harder": HOMOGENEOUS}


def prepare(name: str, folder: Path, *, photographs: int, seed: int = 0) -> None:
    """Write ``float.onnx``, ``calibration.npy``, ``evaluation.npy`` and ``network.json`` of one network.

    Raises:
        SystemExit: data are missing, the name is unknown, or a hard variant is another function.
    """
    suffix = next((suffix for suffix in HARD if name.endswith(suffix)), "")
    base = name.removesuffix(suffix)
    if base not in SUBJECTS:
        raise SystemExit(f"there is no network {name!r}; choose of {', '.join(SUBJECTS)}, with {' or '.join(HARD)}")
    folder.mkdir(parents=True, exist_ok=True)
    subject = SUBJECTS[base]
    model = canonicalize_file(subject.make(folder), folder / "float.onnx").model
    for purpose, source, count in (("calibration", "calib", photographs), ("evaluation", "eval", None)):
        np.save(folder / f"{purpose}.npy", _tensors(model, _given(f"photos/{source}"), count))
    facts: dict[str, object] = {
        "kind": model.depth.kind.value,
        "opset": model.opset,
        "fidelity": subject.fidelity,
        "transformer": subject.transformer,
    }
    if suffix:
        facts |= _make_hard(folder, HARD[suffix], seed)
    (folder / "network.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _tensors(model: OnnxModel, folder: Path, count: int | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The photographs as the project preprocesses them, ``[N, 3, H, W]`` float32."""
    photoset = registry.datasets["folder"].open(str(folder), None)
    photos = photoset.photos[:count]
    if count is not None and len(photos) < count:
        raise SystemExit(f"{folder} has {len(photos)} photographs, {count} were asked for")
    loaded = stream(photoset, photos, model.contract, keep_image=False)
    return np.concatenate([one.tensor for one in loaded])


def _make_hard(folder: Path, through: AbstractSet[str], seed: int) -> dict[str, object]:
    """Replace ``float.onnx`` by its hard variant; how far the two are apart on the evaluation photographs."""
    easy = folder / "easy.onnx"
    (folder / "float.onnx").rename(easy)
    graph = read_graph(easy)
    rescaled = harden(graph, seed=seed, through=through)
    write_graph(graph, folder / "float.onnx")
    difference = largest_difference(easy, folder / "float.onnx", np.load(folder / "evaluation.npy"))
    if not rescaled or difference > SAME_FUNCTION:
        raise SystemExit(f"{folder.name}: {rescaled} pairs rescaled, the function moved by {difference:.2e}")
    return {"rescaled_pairs": rescaled, "largest_difference": difference, "seed": seed}


def largest_difference(one: Path, other: Path, tensors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """The largest difference of two graphs over photographs, as a share of the first one's range."""
    first, second = OnnxSession(one), OnnxSession(other)
    worst = 0.0
    for tensor in tensors:
        wanted, found = first.predict(tensor[None]), second.predict(tensor[None])
        worst = max(worst, float(np.abs(wanted - found).max()) / (float(np.ptp(wanted)) or 1.0))
    return worst


if __name__ == "__main__":
    prepare(sys.argv[1], Path(sys.argv[2]), photographs=int(sys.argv[3]), seed=int(sys.argv[4]))
