"""AdaRound: for each weight, up or down is learned so that its layer gives what the float layer gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthdeploy.core.digest import digest_of
from depthdeploy.errors import CalibrationError
from depthdeploy.quantization import topology
from depthdeploy.quantization.constants import with_constants
from depthdeploy.quantization.learning.layer_store import LayerStore, LearnedLayer
from depthdeploy.quantization.learning.layerwise import Network, Task, learn_layers
from depthdeploy.quantization.learning.reproducible import reproducible
from depthdeploy.quantization.learning.rounded_layers import RoundedLayer, rounded_layers
from depthdeploy.quantization.learning.rounding import Course
from depthdeploy.quantization.strip import Strip
from depthdeploy.quantization.workbench import Draft, Refined, Workbench

#: Weights of so many bits or fewer are those of ``train_4bit``.
_FEW_BITS = 4


@dataclass(frozen=True, slots=True)
class AdaRound:
    """Learned rounding, layer by layer (Nagel et al. 2020, arXiv 2004.10568), under the names of Hailo's compiler.

    Every layer reads what the quantized layers before it give, with the rounding that they have learned, and aims at
    what the float network gives behind the activation function (asymmetric reconstruction, section 4 of the paper). It
    sees sampled output positions, as rows of a product of matrices, in place of whole images. Weights end on the
    plan's grids; the plan does not change. After the iterations a few rounds of greedy descent take what they left.

    It belongs before steps that round weights or move biases: what the draft's constants are when it begins is what
    the float network means to it. Where weights lie on their grids already, biases alone learn.

    An iteration is one step of Adam on a batch of ``batch_size`` photographs, each with ``positions`` output positions
    of the layer; a layer has ``epochs x ceil(photographs / batch_size)`` iterations. An eighth of the rows is held out:
    a layer that rounds to nearest better there does so.

    Attributes:
        learning_rate: of Adam.
        batch_size: photographs per iteration.
        dataset_size: photographs at most; where there are fewer, all.
        epochs: how often every photograph is seen.
        warmup: the share of the iterations without the regulariser, 0..1.
        weight: of the regulariser, against a reconstruction in which nearest rounding costs 0.004.
        b_range: the regulariser's exponent at its start and at the end.
        decay_start: the share of the iterations behind the warm-up in which the exponent stays at its start, 0..1.
        train_bias: whether biases learn too.
        mode: ``train_4bit`` leaves layers of more than 4 bits alone.
        positions: output positions per photograph and layer.
        rounds: of greedy descent after the iterations; 0 for AdaRound alone.
    """

    learning_rate: float = 0.001
    batch_size: int = 32
    dataset_size: int = 1024
    epochs: int = 320
    warmup: float = 0.2
    weight: float = 0.01
    b_range: tuple[float, float] = (20.0, 2.0)
    decay_start: float = 0.0
    train_bias: bool = True
    mode: Literal["train_all", "train_4bit"] = "train_all"
    positions: int = 32
    rounds: int = 4

    def __post_init__(self) -> None:
        for name in ("batch_size", "dataset_size", "epochs", "positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.rounds < 0:
            raise ValueError(f"rounds must be 0 or more, got {self.rounds}")
        for name in ("warmup", "decay_start"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be within 0 and 1, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight must not be negative, got {self.weight}")
        if not all(math.isfinite(value) and value > 0 for value in self.b_range):
            raise ValueError(f"b_range must hold two positive numbers, got {self.b_range}")

    def __call__(self, draft: Draft, bench: Workbench) -> Refined:
        """Learn every layer, or take from the bench's folder what was learned before an interruption.

        Raises:
            CalibrationError: there is no photograph.
            QuantizationError: an operator has no counterpart in PyTorch, an activation is not finite, or there is not
                enough memory.
            StorageError: the folder cannot be written.
        """
        images = min(self.dataset_size, len(bench.photographs))
        if not images:
            raise CalibrationError("There is no photograph to learn from.", "Calibrate with at least one photograph.")
        strip = Strip.of(topology.load(draft.model))
        layers, left = rounded_layers(strip, draft.plan)
        chosen = [one for one in layers if self.mode == "train_all" or one.line.grid.format.bits <= _FEW_BITS]
        if not chosen:
            return Refined(draft, f"no layer learned: mode {self.mode} finds none{_left(left)}")
        store = LayerStore(
            bench.folder, self._identity(draft, bench, images), accept_cut=math.isfinite(bench.deadline.ends)
        )
        with reproducible(bench.device):
            done = learn_layers(draft, bench, Network(strip, chosen), self._task(images), store)
        arrays = _arrays(chosen, done)
        model = with_constants(draft.model, arrays, bench.folder / "model.onnx")
        found = [done[layer.name] for layer in chosen]
        exact = sum(layer.exact for layer in chosen)
        alone = f"; {exact} had their weights on the grid already and learned biases alone" if exact else ""
        detail = f"{_summary(found)} on {images} photographs{alone}{_left(left)}"
        return Refined(replace(draft, model=model), detail, _degradations(chosen, found, self._task(images)))

    def _task(self, images: int) -> Task:
        iterations = self.epochs * math.ceil(images / self.batch_size)
        course = Course(
            iterations=iterations,
            rows=0,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            decay_start=self.decay_start,
            weight=self.weight,
            b_range=self.b_range,
            train_bias=self.train_bias,
            rounds=self.rounds,
        )
        return Task(images, self.positions, self.batch_size, course)

    def _identity(self, draft: Draft, bench: Workbench, images: int) -> str:
        settings = {name: getattr(self, name) for name in self.__dataclass_fields__}
        seen = (bench.photographs.digest, images, bench.seed, bench.device)
        return digest_of(("adaround", settings, draft.model.sha256, draft.plan, seen))


def _arrays(layers: Sequence[RoundedLayer], done: Mapping[str, LearnedLayer]) -> dict[str, NDArray[np.floating]]:
    arrays: dict[str, NDArray[np.floating]] = {}
    for layer in layers:
        found = done[layer.name]
        arrays[layer.line.tensor] = found.weight
        if found.bias.size:
            arrays[layer.bias] = found.bias
    return arrays


def _summary(found: Sequence[LearnedLayer]) -> str:
    """How many layers learned, and the mean noise at their outputs before and after."""
    learned = [one for one in found if one.iterations]
    if not learned:
        return "no layer learned"
    before, after = (float(np.mean([getattr(one, name) for one in learned])) for name in ("before", "after"))
    return f"{len(learned)} layers learned, mean noise on held-out positions {before:.3g} -> {after:.3g} of the signal"


def _degradations(layers: Sequence[RoundedLayer], found: Sequence[LearnedLayer], task: Task) -> tuple[str, ...]:
    told: list[str] = []
    wanted = task.course.iterations
    cut = [one for one in found if one.cut and one.iterations]
    never = [layer.name for layer, one in zip(layers, found, strict=True) if one.cut and not one.iterations]
    back = [layer.name for layer, one in zip(layers, found, strict=True) if one.rolled_back]
    if cut:
        fewest, most = min(one.iterations for one in cut), max(one.iterations for one in cut)
        told.append(f"iterations cut from {wanted} to {fewest}..{most} in {len(cut)} layers: time budget")
    if never:
        told.append(f"{len(never)} layers rounded to nearest, no time was left: {_some(never)}")
    if back:
        told.append(f"{len(back)} layers rolled back to nearest rounding: {_some(back)}")
    return tuple(told)


def _left(left: Sequence[str]) -> str:
    return f"; left alone: {_some(left)}" if left else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"
