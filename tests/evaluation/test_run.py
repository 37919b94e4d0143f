"""One pass over photographs: what is scored, in which order, what is refused and what is remarked."""

import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from depthdeploy.core.depth import DepthContract, DepthKind, InputContract, ResizeRule
from depthdeploy.core.metrics import Evaluation, Evidence, MetricKind
from depthdeploy.core.photos import DepthRange, Photo, PhotoSet
from depthdeploy.core.progress import Progress, silent
from depthdeploy.errors import CalibrationError, EvaluationError
from depthdeploy.evaluation.run import EvaluationResult, evaluate
from depthdeploy.evaluation.scoring import Candidate
from depthdeploy.imaging.stream import Loaded

Change = Callable[[NDArray[Any]], NDArray[Any]]


class World(Protocol):
    """What ``make_world`` gives."""

    photoset: PhotoSet
    depth: DepthContract
    contract: InputContract
    runs: dict[str, int]
    loaded: Callable[[], Iterable[Loaded]]

    def candidate(self, name: str, change: Change = ..., evidence: Evidence = ...) -> Candidate: ...


def coarse(prediction: NDArray[Any]) -> NDArray[Any]:
    """A prediction on 16 levels."""
    return np.round(prediction * 16) / 16


def run(
    world: World,
    *candidates: Candidate,
    gallery: int = 0,
    reference: Candidate | None = None,
    progress: Progress = silent,
) -> EvaluationResult:
    reference = reference or world.candidate("fp32", evidence=Evidence.REFERENCE)
    return evaluate(
        world.photoset,
        world.loaded(),
        depth=world.depth,
        contract=world.contract,
        reference=reference,
        candidates=candidates,
        gallery=gallery,
        progress=progress,
    )


def by(result: EvaluationResult, kind: MetricKind, candidate: str) -> Evaluation:
    (found,) = [e for e in result.evaluations if e.kind is kind and e.candidate == candidate]
    return found


@pytest.mark.parametrize("kind", list(DepthKind))
def test_an_exact_network_is_exact_whatever_it_predicts(make_world: Callable[..., World], kind: DepthKind) -> None:
    result = run(make_world(kind), reference=None)
    dense, ordinal = by(result, MetricKind.DENSE, "fp32"), by(result, MetricKind.ORDINAL, "fp32")
    assert dense.metrics["abs_rel"].mean == pytest.approx(0, abs=1e-5)
    assert dense.metrics["delta1"].mean == 100
    assert ordinal.totals["accuracy"] == 100
    assert result.remarks == ()


def test_every_figure_in_order_with_its_terms(make_world: Callable[..., World]) -> None:
    world = make_world()
    seen: list[tuple[int, int]] = []
    result = run(
        world,
        world.candidate("emulated int8", coarse),
        world.candidate("artifact", coarse, Evidence.MEASURED),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [(e.kind.value, e.candidate) for e in result.evaluations] == [
        ("fidelity", "emulated int8"), ("fidelity", "artifact"),
        ("dense", "fp32"), ("dense", "emulated int8"), ("dense", "artifact"),
        ("ordinal", "fp32"), ("ordinal", "emulated int8"), ("ordinal", "artifact"),
    ]  # fmt: skip
    fidelity = by(result, MetricKind.FIDELITY, "artifact")
    assert (fidelity.dataset, fidelity.ran_on, fidelity.evidence) == ("rooms", "numpy", Evidence.MEASURED)
    assert fidelity.reference == "fp32 (numpy)"
    assert "median" in fidelity.alignment
    assert "48x64" in fidelity.resize
    assert (fidelity.images, fidelity.weight) == (6, 6 * 48 * 64)
    assert fidelity.totals["max_abs"] == max(score.values["max_abs"] for score in fidelity.per_image)
    assert [score.photo for score in fidelity.per_image] == [photo.id for photo in world.photoset.photos]
    dense = by(result, MetricKind.DENSE, "artifact")
    assert "inverse depth" in dense.alignment
    assert "0.5 to 10 m" in dense.alignment
    assert seen == [(n, 0) for n in range(1, 7)]
    assert world.runs == {"fp32": 6, "emulated int8": 6, "artifact": 6}


def test_pairs_by_stratum_with_their_ties(make_world: Callable[..., World]) -> None:
    world = make_world()
    flat = world.candidate("flat", lambda p: np.where(p > p.max() * 0.9, p, 0.5))
    ordinal = by(run(world, flat), MetricKind.ORDINAL, "flat")
    assert ordinal.totals["pairs"] == 12
    assert ordinal.totals["ties"] == 6
    assert ordinal.totals["accuracy"] == 50
    assert set(ordinal.strata) == {"even", "odd"}
    assert sum(figures["pairs"] for figures in ordinal.strata.values()) == 12
    assert set(ordinal.metrics) == {"accuracy"}


def test_photographs_alone_give_fidelity_alone(make_world: Callable[..., World]) -> None:
    world = make_world(depth_range=None, points=False)
    result = run(world, world.candidate("int8", coarse))
    assert [e.kind for e in result.evaluations] == [MetricKind.FIDELITY]
    assert run(world).evaluations == ()


def test_what_a_crop_leaves_out_is_not_scored_and_is_said(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.contract = replace(world.contract, height=48, width=32, resize=ResizeRule.CROP)
    result = run(world)
    assert any("not scored" in remark for remark in result.remarks)
    dense = by(result, MetricKind.DENSE, "fp32")
    assert dense.weight == 6 * 48 * 32
    # the second pair's points lie in columns 60 and 3, outside the middle 32
    assert [e for e in result.evaluations if e.kind is MetricKind.ORDINAL] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p * np.nan, "NaN or infinity"),
        (lambda p: np.where(p == p.max(), np.inf, p), "NaN or infinity"),
        (np.zeros_like, "is 0 everywhere"),
        (lambda p: np.repeat(p, 2, axis=1), r"is \[1, 2, 48, 64\]"),
        (lambda p: p.ravel(), "is \\[3072\\]"),
        (lambda p: p[:, :, ::2, ::2], "768 values where the reference has 3072"),
    ],
)
def test_what_cannot_be_scored_is_named_and_never_scored(
    make_world: Callable[..., World], change: Change, message: str
) -> None:
    world = make_world()
    bad = world.candidate("int8", lambda p: change(p) if world.runs["int8"] == 3 else p)
    with pytest.raises(EvaluationError, match=message) as caught:
        run(world, bad)
    assert "int8 on room-2.png" in str(caught.value)
    assert caught.value.remedy


def test_no_photograph_and_no_valid_pixel(make_world: Callable[..., World]) -> None:
    world = make_world(count=0)
    with pytest.raises(EvaluationError, match="rooms has no photograph"):
        run(world)
    with pytest.raises(EvaluationError, match=r"measured depth on room-0\.png: no pixel is seen, measured"):
        run(make_world(depth_range=DepthRange(20.0, 30.0)))


def test_depth_of_another_size_than_its_photograph(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    monkeypatch.setattr(type(world.photoset), "depth", lambda self, photo: np.ones((3, 4), np.float32))
    with pytest.raises(EvaluationError, match=r"room-0\.png: measured depth is \[3, 4\]"):
        run(world)


def test_an_error_of_the_photographs_or_of_a_runtime_passes(make_world: Callable[..., World]) -> None:
    world = make_world()

    def broken(_tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        raise CalibrationError("A photograph cannot be read.")

    with pytest.raises(CalibrationError):
        run(world, replace(world.candidate("int8"), predict=broken))


def test_names_must_differ_and_images_must_come(make_world: Callable[..., World]) -> None:
    world = make_world()
    with pytest.raises(ValueError, match="share a name"):
        run(world, world.candidate("fp32"))
    world.loaded = lambda: [replace(item, image=None) for item in make_world().loaded()]
    with pytest.raises(ValueError, match="without its image"):
        run(world)


def test_a_wrong_sign_is_remarked(make_world: Callable[..., World]) -> None:
    world = make_world(DepthKind.INVERSE_DEPTH)
    upside_down = world.candidate("fp32", lambda p: 2 - p, Evidence.REFERENCE)
    remarks = run(world, reference=upside_down).remarks
    assert any("0.0 % of 12 pairs" in remark for remark in remarks)
    assert any("falls with measured inverse depth on 6 of 6" in remark for remark in remarks)


def test_a_wrong_unit_is_remarked(make_world: Callable[..., World]) -> None:
    world = make_world(DepthKind.METRIC_DEPTH)
    millimetres = world.candidate("fp32", lambda p: p * 1000, Evidence.REFERENCE)
    (remark,) = run(world, reference=millimetres).remarks
    assert "1e+03 times the measured depth" in remark


def test_a_runtime_that_writes_into_the_same_memory_is_scored_right(make_world: Callable[..., World]) -> None:
    world = make_world()
    buffer = np.empty((1, 1, 48, 64), np.float32)

    fresh = world.candidate("fresh", coarse)

    def into_buffer(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        buffer[:] = fresh.predict(tensor)
        return buffer

    result = run(world, fresh, replace(fresh, name="reused", predict=into_buffer))
    again = by(result, MetricKind.FIDELITY, "reused")
    assert again.per_image == by(result, MetricKind.FIDELITY, "fresh").per_image


def test_the_worst_photographs_and_an_even_choice(make_world: Callable[..., World]) -> None:
    world = make_world(count=40)
    noise = np.random.default_rng(0).normal(0, 1, (40, 1, 1, 48, 64))
    size = np.where(np.isin(np.arange(40), [7, 23]), 0.2, 0.01)
    noisy = world.candidate("int8", lambda p: p + size[world.runs["int8"] - 1] * noise[world.runs["int8"] - 1])
    items = run(world, noisy, gallery=4).gallery
    assert {item.photo for item in items[:2]} == {"room-7.png", "room-23.png"}
    assert "lowest SQNR" in items[0].why
    assert len({item.photo for item in items}) == 4
    assert list(items[0].maps) == ["fp32", "int8"]
    assert items[0].image.shape == (48, 64, 3)
    assert items[0].maps["int8"].shape == (48, 64)
    assert run(world, world.candidate("coarse", coarse)).gallery == ()


def test_memory_does_not_grow_with_the_photographs(make_world: Callable[..., World]) -> None:
    def peak(count: int) -> int:
        world = make_world(count=count)
        tracemalloc.start()
        run(world, world.candidate("int8", coarse), gallery=2)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    few, many = peak(20), peak(120)
    # the figures of a photograph take a few kilobytes; a kept map would take 12
    assert (many - few) / 100 < 8_000


def test_a_prediction_where_nothing_was_measured_does_not_matter(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(DepthKind.METRIC_DEPTH, points=False)
    whole = type(world.photoset).depth

    def half(photoset: PhotoSet, photo: Photo) -> NDArray[np.float32]:
        depth = whole(photoset, photo)
        assert depth is not None
        return np.where(np.arange(64) < 32, depth, np.float32(0))

    monkeypatch.setattr(type(world.photoset), "depth", half)
    garbage = world.candidate("garbage", lambda p: np.where(np.arange(64) < 32, p, 7.5))
    result = run(world, garbage)
    exact, other = by(result, MetricKind.DENSE, "fp32"), by(result, MetricKind.DENSE, "garbage")
    assert other.metrics == exact.metrics
    assert exact.weight == 6 * 48 * 32
