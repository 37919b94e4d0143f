"""Fine-tuning: what it wins, what it writes, that it can be repeated, interrupted, cut short, and undone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray

from depthdeploy.core.model import OnnxModel
from depthdeploy.core.quant import QuantPlan
from depthdeploy.core.scheme import Scheme
from depthdeploy.errors import QuantizationError
from depthdeploy.graph_file import read_graph
from depthdeploy.inference import OnnxSession
from depthdeploy.quantization.calibrate import observe
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.learning import finetune
from depthdeploy.quantization.learning.course import Course, Photographs
from depthdeploy.quantization.learning.finetune import FineTune
from depthdeploy.quantization.learning.quantized_network import QuantizedNetwork
from depthdeploy.quantization.observers import parse_observer
from depthdeploy.quantization.plan import make_plan
from depthdeploy.quantization.qdq import write_pairs
from depthdeploy.quantization.workbench import Deadline, Draft, Workbench
from depthdeploy.testing.graphs import concat_decoder, depthwise_block, residual_block, transposed_decoder

Images = Sequence[NDArray[np.float32]]
Benches = Callable[..., tuple[Draft, Workbench]]

QUICK = FineTune(epochs=4, learning_rate=2e-3, batch_size=2, bias_factor=2.0, held_out=0.25, features=2)


@dataclass(frozen=True, slots=True)
class Given:
    """Tensors in the place of photographs."""

    images: Images
    digest: str = "given"

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int | None = None) -> Iterator[NDArray[np.float32]]:
        return itertools.islice(iter(self.images), count)


def drawn(count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((1, 3, 32, 32)).astype(np.float32) for _ in range(count)]


@pytest.fixture
def benches(store: Callable[[onnx.ModelProto], OnnxModel], scheme: Callable[..., Scheme], tmp_path: Path) -> Benches:
    """A draft and its workbench, in a folder of its own at every call."""
    numbers = itertools.count()

    def made(
        proto: onnx.ModelProto | None = None, *, bits: int = 8, count: int = 16, quantize_output: bool = False
    ) -> tuple[Draft, Workbench]:
        model = store(proto or depthwise_block())
        chosen = scheme(bits=bits, quantize_output=quantize_output)
        images = drawn(count, 1)
        observer = parse_observer("minmax")
        seen = observe(model, iter(images), observer=observer, calibration_digest="", images=count)
        folder = tmp_path / f"work{next(numbers)}"
        folder.mkdir()
        damaged = with_shifted_biases(model, make_plan(model, seen, chosen), folder / "damaged.onnx")
        draft = Draft(damaged, seen, make_plan(damaged, seen, chosen))
        return draft, Workbench(model, chosen, Given(images), folder)

    return made


def with_shifted_biases(model: OnnxModel, plan: QuantPlan, out: Path) -> OnnxModel:
    """A loss that is planted: learning can undo it."""
    stored = read_graph(model.path).graph.initializers
    rng = np.random.default_rng(0)
    shifted = {}
    for line in plan.biases:
        tensor = stored[line.tensor].const_value
        assert tensor is not None
        shifted[line.tensor] = tensor.numpy() + 0.05 * rng.standard_normal(tensor.numpy().shape)
    return with_constants(model, shifted, out)


def noise(draft: Draft, reference: OnnxModel, images: Images, folder: Path) -> float:
    """SQNR in dB of what the written graph computes."""
    quantized = write_pairs(draft.model, draft.plan, folder / "judged.onnx")
    judged, original = OnnxSession(quantized.path, exact=True), OnnxSession(reference.path)
    ratios = []
    for image in images:
        wanted = original.predict(image).astype(np.float64)
        ratios.append(np.square(wanted).sum() / np.square(judged.predict(image) - wanted).sum())
    return float(np.mean(10 * np.log10(ratios)))


def bytes_of(draft: Draft) -> tuple[bytes, str]:
    return draft.model.path.read_bytes(), str(draft.plan)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_planted_loss_is_learned_away_on_photographs_never_seen(bits: int, benches: Benches, tmp_path: Path) -> None:
    draft, bench = benches(bits=bits)
    refined = QUICK(draft, bench)
    fresh = drawn(8, 99)
    before = noise(draft, bench.reference, fresh, tmp_path)
    after = noise(refined.draft, bench.reference, fresh, tmp_path)
    assert after > before + {4: 1.5, 8: 5}[bits], (before, after, refined.detail)
    assert refined.degradations == ()


@pytest.mark.parametrize("graph", [depthwise_block, residual_block, transposed_decoder, concat_decoder])
def test_the_written_graph_computes_what_was_learned(
    graph: Callable[[], onnx.ModelProto], benches: Benches, tmp_path: Path
) -> None:
    draft, bench = benches(graph(), quantize_output=True, count=8)
    refined = replace(QUICK, mirror=False)(draft, bench)
    better = refined.draft
    assert better.model.path != draft.model.path, refined.detail
    quantized = write_pairs(better.model, better.plan, tmp_path / "quantized.onnx")
    judged, network = OnnxSession(quantized.path, exact=True), QuantizedNetwork(better)
    out = network.output
    step = next(line.grid.scale[0] for line in better.plan.activations if line.tensor == out)
    for image in drawn(3, 5):
        with torch.no_grad():
            ours = network.run(torch.from_numpy(image))[out].numpy()
        assert float(np.abs(ours - judged.predict(image)).max()) <= 1.01 * step


def test_weights_lie_on_their_grids_and_biases_follow(benches: Benches) -> None:
    draft, bench = benches()
    better = QUICK(draft, bench).draft
    constants = read_graph(better.model.path).graph.initializers
    for line in better.plan.weights:
        tensor = constants[line.tensor].const_value
        assert tensor is not None
        weight = tensor.numpy()
        assert np.array_equal(line.grid.dequantize(line.grid.quantize(weight)), weight)
    before = {line.tensor: line for line in draft.plan.activations}
    assert any(line.grid.scale != before[line.tensor].grid.scale for line in better.plan.activations)
    assert all(line.grid.zero_point == before[line.tensor].grid.zero_point for line in better.plan.activations)
    steps = {line.node: line for line in better.plan.biases}
    assert any(line.scale != steps[line.node].scale for line in draft.plan.biases)


def test_at_the_start_the_network_is_the_draft(benches: Benches, tmp_path: Path) -> None:
    draft, _ = benches()
    same = QuantizedNetwork(draft).draft(tmp_path / "same.onnx")
    assert same.plan == draft.plan
    before, after = (
        write_pairs(one.model, one.plan, tmp_path / f"{index}.onnx") for index, one in enumerate((draft, same))
    )
    for image in drawn(2, 3):
        assert np.array_equal(
            OnnxSession(before.path, exact=True).predict(image), OnnxSession(after.path, exact=True).predict(image)
        )


def test_tensors_that_shared_a_grid_share_it_still(benches: Benches) -> None:
    draft, bench = benches(concat_decoder())
    better = QUICK(draft, bench).draft
    same = {
        (one.tensor, other.tensor)
        for one, other in itertools.combinations(draft.plan.activations, 2)
        if "shared" in one.why and one.grid == other.grid
    }
    grids = {line.tensor: line.grid for line in better.plan.activations}
    assert same
    assert all(grids[one] == grids[other] for one, other in same)


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(benches: Benches) -> None:
    results = []
    for seed in (0, 0, 1):
        draft, bench = benches()
        results.append(bytes_of(QUICK(draft, replace(bench, seed=seed)).draft))
    assert results[0] == results[1] != results[2]


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(benches: Benches) -> None:
    draft, bench = benches()
    wanted = QUICK(draft, bench).draft

    def pull(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    _, again = benches()
    with pytest.raises(KeyboardInterrupt):
        QUICK(draft, replace(again, progress=pull))
    assert (again.folder / "checkpoint.pt").exists()
    seen: list[int] = []
    resumed = QUICK(draft, replace(again, progress=lambda done, total: seen.append(done)))
    assert seen[0] == 6
    assert bytes_of(resumed.draft) == bytes_of(wanted)
    assert not (again.folder / "checkpoint.pt").exists()


def test_what_another_training_left_is_not_taken_up(benches: Benches) -> None:
    draft, bench = benches()

    def pull(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        QUICK(draft, replace(bench, progress=pull))
    assert (bench.folder / "checkpoint.pt").exists()
    seen: list[int] = []
    replace(QUICK, epochs=1)(draft, replace(bench, progress=lambda done, total: seen.append(done)))
    assert seen[0] == 0


@pytest.mark.parametrize(("rate", "word"), [(0.5, "no epoch was better"), (1e30, "diverged")])
def test_what_makes_it_worse_is_rolled_back(rate: float, word: str, benches: Benches) -> None:
    draft, bench = benches()
    refined = replace(QUICK, epochs=1, learning_rate=rate)(draft, bench)
    assert refined.draft is draft
    assert "rolled back" in refined.detail
    assert word in refined.detail


def test_a_rate_that_is_too_high_is_halved_until_it_helps(benches: Benches) -> None:
    draft, bench = benches()
    refined = replace(QUICK, epochs=12, learning_rate=0.05)(draft, bench)
    assert "rate halved" in refined.detail
    assert refined.draft is not draft, refined.detail


def test_a_time_budget_cuts_epochs_and_says_so(benches: Benches) -> None:
    draft, bench = benches()
    seen: list[tuple[int, int]] = []
    refined = replace(QUICK, epochs=100_000)(
        draft, replace(bench, deadline=Deadline.within(0.7), progress=lambda done, total: seen.append((done, total)))
    )
    assert "of 100000 epochs" in refined.degradations[0]
    assert 0 < seen[-1][0] <= seen[-1][1] < 600_000


def test_without_time_nothing_is_learned_and_it_is_said(benches: Benches) -> None:
    draft, bench = benches()
    refined = QUICK(draft, replace(bench, deadline=Deadline.within(0.0)))
    assert refined.draft is draft
    assert refined.degradations == ("0.0 of 4 epochs: no more fit into the time budget",)


def test_too_few_photographs_are_said(benches: Benches) -> None:
    draft, bench = benches(count=8)
    few = replace(QUICK, epochs=1, dataset_size=1024)(draft, bench)
    assert few.degradations == ("8 of 1024 photographs: there are no more",)
    draft, bench = benches(count=1)
    one = QUICK(draft, bench)
    assert one.draft is draft
    assert one.degradations


def test_how_many_are_computed_at_once_changes_nothing(benches: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    draft, bench = benches()
    whole = QUICK(draft, bench).draft
    monkeypatch.setattr(finetune, "_MEMORY", {"cpu": 1})  # one photograph at once, computed again in many segments
    draft, bench = benches()
    parts = QUICK(draft, bench).draft
    for one, other in zip(whole.plan.activations, parts.plan.activations, strict=True):
        assert other.grid.scale[0] == pytest.approx(one.grid.scale[0], rel=2e-3)


def test_memory_that_does_not_suffice_names_a_batch_that_fits(
    benches: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = QuantizedNetwork.run

    def small(self: QuantizedNetwork, photographs: torch.Tensor, *rest: object, **more: object) -> object:
        if len(photographs) > 2 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, photographs, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(QuantizedNetwork, "run", small)
    draft, bench = benches()
    with pytest.raises(QuantizationError, match="batch_size = 2"):
        replace(QUICK, batch_size=8)(draft, bench)


def test_an_equalized_graph_is_compared_by_the_features_it_shares(benches: Benches, tmp_path: Path) -> None:
    from depthdeploy.quantization.learning.features import comparable

    draft, bench = benches(residual_block())
    image = drawn(1, 0)[0]
    whole = comparable(draft, bench.reference, image, 100)
    line = draft.plan.weights[0]
    weight = read_graph(draft.model.path).graph.initializers[line.tensor].const_value
    assert isinstance(weight, ir.TensorProtocol)
    other = replace(
        draft, model=with_constants(draft.model, {line.tensor: weight.numpy() * 2}, tmp_path / "other.onnx")
    )
    assert len(comparable(other, bench.reference, image, 100)) < len(whole)
    assert len(comparable(draft, bench.reference, image, 2)) == 2
    assert comparable(draft, bench.reference, image, 0) == ()


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"learning_rate": -1.0}, {"held_out": 1.0}, {"dataset_size": 1}, {"features": -1}]
)
def test_wrong_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        FineTune(**settings)  # type: ignore[arg-type]


def test_every_epoch_sees_every_photograph_once_and_none_that_is_held_out() -> None:
    tensors = np.arange(20, dtype=np.float32).reshape(20, 1, 1, 1)
    photographs = Photographs.of(tensors, held_out=0.2, seed=3)
    held = {float(one) for part in photographs.to_measure(3) for one in part.ravel()}
    orders = [
        [float(x) for step in range(4) for x in photographs.batch(4 * epoch + step, 4).ravel()] for epoch in (0, 1)
    ]
    assert len(held) == 4
    for order in orders:
        assert sorted(order) == sorted(set(map(float, range(20))) - held)
    assert orders[0] != orders[1]


def test_mirrored_photographs_are_mirrored_along_their_columns() -> None:
    tensors = np.random.default_rng(0).random((9, 3, 4, 5), dtype=np.float32)
    photographs = Photographs.of(tensors, held_out=0.1, seed=0, width=3)
    batch = photographs.batch(0, 8)
    known = {one.tobytes() for one in tensors}
    flipped = {np.ascontiguousarray(one[:, :, ::-1]).tobytes() for one in tensors}
    kinds = [one.tobytes() in known for one in batch]
    assert {True, False} == set(kinds)
    assert all(one.tobytes() in known | flipped for one in batch)


def test_a_course_rises_then_falls_and_fits_into_its_time() -> None:
    course = Course(per_epoch=10, steps=50, warmup=0.1)
    rates = [course.rate(step) for step in range(50)]
    assert rates.index(max(rates)) == 4
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[-1] < 0.01
    assert course.within(float("inf"), step=1, measure=1) is course
    assert course.within(25, step=1, measure=1).steps == 21  # two epochs, two measurements, one step, and the result
    assert course.within(1, step=1, measure=1).steps == 0
    assert course.within(1e9, step=1, measure=1).steps == 50
