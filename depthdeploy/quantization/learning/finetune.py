"""Fine-tuning: the whole quantized network learns to give what the float network gives.

Weights, biases and the step sizes of every grid are learned together by distillation: the teacher is the FP32 network,
no labels are needed. Gradients pass rounding as if it were not there, and step sizes have the gradients of LSQ (Esser
et al. 2020, "Learned Step Size Quantization"). Zero points stay, so that 0 keeps its integer.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from depthdeploy.core.depth import Layout
from depthdeploy.core.digest import digest_of
from depthdeploy.quantization import topology
from depthdeploy.quantization.learning import checkpoint
from depthdeploy.quantization.learning.checkpoint import State
from depthdeploy.quantization.learning.course import Course, Photographs, gathered
from depthdeploy.quantization.learning.executor.executor import Executor
from depthdeploy.quantization.learning.features import comparable
from depthdeploy.quantization.learning.quantized_network import QuantizedNetwork
from depthdeploy.quantization.learning.training import Lesson, Manner, memory_advice
from depthdeploy.quantization.workbench import Draft, Refined, Workbench

#: Bytes that the tensors of one backward pass may take; fixed, so that the same settings give the same result.
_MEMORY = {"cpu": 9 * 2**26, "cuda": 2**33}

#: What a backward pass keeps, in terms of all activations of its photographs: most before and after rounding, those
#: that an activation function follows not at all.
_KEPT = 1.5


@dataclass(frozen=True, slots=True)
class FineTune:
    """Distillation of the whole quantized network.

    Names are those of the Hailo Dataflow Compiler's ``finetune`` where it has one.

    Attributes:
        epochs: passes over the photographs.
        learning_rate: the highest; how far Adam moves a weight in one step, as a share of the largest weight that its
            grid holds. Weights of 4 bits need about ten times what weights of 8 bits stand.
        batch_size: photographs of one step.
        dataset_size: how many photographs are used; all when ``None``.
        val_images: how many of them are held out at most, to see which epoch is best.
        held_out: which part of the photographs is held out, above 0 and below 1.
        warmup: the share of all steps in which the rate rises.
        scale_factor: the rate of step sizes relative to ``learning_rate``; a step's share of itself.
        bias_factor: the rate of biases relative to ``learning_rate``; a share of the range of the layer's output.
        features: how many feature maps are compared besides the depth.
        feature_weight: of all of them together; the depth has 1.
        invariant_weight: of the scale-and-shift-invariant loss, for depth without a unit.
        mirror: whether photographs are mirrored at random.
    """

    epochs: int = 5
    learning_rate: float = 3e-5
    batch_size: int = 8
    dataset_size: int | None = None
    val_images: int = 4096
    held_out: float = 0.1
    warmup: float = 0.1
    scale_factor: float = 1.0
    bias_factor: float = 0.3
    features: int = 8
    feature_weight: float = 1.0
    invariant_weight: float = 0.0
    mirror: bool = True

    def __post_init__(self) -> None:
        counts = {"epochs": self.epochs, "batch_size": self.batch_size, "val_images": self.val_images}
        for name, value in {**counts, "learning_rate": self.learning_rate}.items():
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be positive, got {value}")
        for name in ("scale_factor", "bias_factor", "features", "feature_weight", "invariant_weight"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.dataset_size is not None and self.dataset_size < 2:
            raise ValueError(f"dataset_size must be at least 2, got {self.dataset_size}")
        if not (0 < self.held_out < 1 and 0 <= self.warmup <= 1):
            raise ValueError(f"0 < held_out < 1 and 0 <= warmup <= 1 must hold; got {self.held_out}, {self.warmup}")

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """Learn, and keep the best weights seen on photographs that are held out; the draft itself if none are better.

        Raises:
            QuantizationError: memory does not suffice (the message names a batch size that fits), or an operator of the
                graph cannot be run in PyTorch.
            CalibrationError: a photograph cannot be read.
            StorageError: the folder cannot be written.
        """
        count = min(self.dataset_size or len(bench.photographs), len(bench.photographs))
        if count < 2:
            return Refined(draft, "nothing learned", ("nothing learned: there are fewer than two photographs",))
        with _exact():
            return _Tuning(self, draft, bench, count).refined()


def _exact() -> AbstractContextManager[None]:
    """Convolutions of a GPU in whole float32, and the same ones every time."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


@dataclass(slots=True)
class _Tuning:
    """One call: what its parts share."""

    settings: FineTune
    draft: Draft
    bench: Workbench
    count: int
    degradations: list[str] = field(default_factory=list)

    def refined(self) -> Refined:
        settings, bench = self.settings, self.bench
        photographs = self._photographs()
        batch = min(settings.batch_size, len(photographs.learned))
        student = QuantizedNetwork(self.draft, bench.device)
        manner = self._manner(photographs, batch)
        lesson = Lesson(student, Executor(bench.reference, device=bench.device), photographs, manner)
        if not lesson.learns:
            return Refined(self.draft, "nothing learned: the graph has no constant that could be")
        per_epoch = len(photographs.learned) // batch
        course = Course(per_epoch, settings.epochs * per_epoch, settings.warmup)
        try:
            return self._run(lesson, student, course)
        except torch.OutOfMemoryError as cause:
            torch.cuda.empty_cache()

            def smaller(at_once: int) -> Lesson:
                fewer = replace(manner, at_once=at_once)
                teacher = Executor(bench.reference, device=bench.device)
                return Lesson(QuantizedNetwork(self.draft, bench.device), teacher, photographs, fewer)

            raise memory_advice(smaller, photographs.batch(0, batch), manner.at_once, bench.device) from cause

    def _run(self, lesson: Lesson, student: QuantizedNetwork, course: Course) -> Refined:
        bench, identity = self.bench, self._identity()
        state = checkpoint.load(bench.folder, identity, bench.device)
        step, measure = 0.0, 0.0
        if math.isfinite(bench.deadline.ends):
            step, measure = lesson.pace() if bench.deadline.left > 0 else (1.0, 1.0)
            done = 0 if state is None else state.done
            left = replace(course, steps=course.steps - done).within(bench.deadline.left, step=step, measure=measure)
            course = replace(course, steps=done + left.steps)
        if state is None:
            value = lesson.measure()
            state = State(course.steps, start=value, best=value)

        def go_on(state: State) -> bool:
            bench.progress(state.done, course.steps)
            return bench.deadline.left > 2 * measure

        lesson.train(course, state, keep=lambda now: checkpoint.save(now, bench.folder, identity), go_on=go_on)
        bench.progress(state.done, course.steps)
        return self._result(lesson, student, course, state)

    def _result(self, lesson: Lesson, student: QuantizedNetwork, course: Course, state: State) -> Refined:
        wanted = self.settings.epochs * course.per_epoch
        if state.done < wanted and not state.diverged:
            epochs = f"{state.done / course.per_epoch:.1f} of {self.settings.epochs} epochs"
            self.degradations.append(f"{epochs}: no more fit into the time budget")
        lesson.end()
        detail, better = self._judged(lesson, student, course, state)
        checkpoint.forget(self.bench.folder)
        (self.bench.folder / "photographs.npy").unlink(missing_ok=True)
        return Refined(better, detail, tuple(self.degradations))

    def _judged(self, lesson: Lesson, student: QuantizedNetwork, course: Course, state: State) -> tuple[str, Draft]:
        """What came of it: the graph as it is written must be better than the one at the start."""
        where = f"on {self._held_out()} photographs held out"
        ended = f"; rate halved {state.setbacks} times" if state.setbacks else ""
        ended += f"; diverged in step {state.done}" if state.diverged else ""
        if not state.kept:
            why = "it diverged" if state.diverged else "no epoch was better than the start" if state.done else "no time"
            return f"rolled back, {why} ({state.start:.2f} dB {where})", self.draft
        student.assign(state.kept)
        better = student.draft(self.bench.folder / "finetuned.onnx")
        reached = lesson.measure(QuantizedNetwork(better, self.bench.device))
        if not reached > state.start:
            return (
                f"rolled back, on its grids it was not better than the start ({state.start:.2f} dB {where})",
                self.draft,
            )
        epoch = state.best_step / course.per_epoch
        return f"SQNR {state.start:.2f} dB -> {reached:.2f} dB {where}, best after epoch {epoch:.1f}{ended}", better

    def _held_out(self) -> int:
        return len(self._split(np.empty((self.count, 0), dtype=np.float32)).held_out)

    def _split(self, tensors: NDArray[np.float32]) -> Photographs:
        settings, bench = self.settings, self.bench
        columns = 0 if not settings.mirror else 3 if bench.reference.contract.layout is Layout.NCHW else 2
        most = settings.val_images
        return Photographs.of(tensors, held_out=settings.held_out, seed=bench.seed, width=columns, most=most)

    def _photographs(self) -> Photographs:
        asked = self.settings.dataset_size
        if asked is not None and self.count < asked:
            self.degradations.append(f"{self.count} of {asked} photographs: there are no more")
        return self._split(gathered(self.bench.photographs, self.count, self.bench.folder))

    def _manner(self, photographs: Photographs, batch: int) -> Manner:
        settings, bench = self.settings, self.bench
        rate = settings.learning_rate
        scales, biases = rate * settings.scale_factor, rate * settings.bias_factor
        one = _KEPT * _activation_bytes(topology.load(self.draft.model).graph)
        most = _MEMORY[torch.device(bench.device).type]
        parts = math.ceil(batch / max(1, int(most / one)))
        image = np.array(photographs.tensors[photographs.learned[:1]])
        return Manner(
            rates={"weight": rate, "bias": biases, "scale": scales, "step": scales},
            batch_size=batch,
            at_once=math.ceil(batch / parts),
            segments=max(1, math.ceil(one / most)),
            features=comparable(self.draft, bench.reference, image, settings.features, device=bench.device),
            feature_weight=settings.feature_weight,
            invariant_weight=settings.invariant_weight,
            kind=bench.reference.depth.kind,
        )

    def _identity(self) -> str:
        bench, draft = self.bench, self.draft
        seen = (bench.photographs.digest, self.count, bench.seed, bench.device)
        return digest_of((self.settings, draft.model.meaning, draft.plan, bench.reference.meaning, seen))


def _activation_bytes(graph: ir.Graph) -> int:
    """What all activations of one photograph take in float32."""
    shapes = [value.shape for node in topology.computing(graph) for value in node.outputs if value.shape is not None]
    return max(1, sum(4 * math.prod(side if isinstance(side, int) else 1 for side in shape) for shape in shapes))
