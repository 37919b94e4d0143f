"""Trains pico on rendered scenes and writes its weights and measured accuracy.

Run from the repository root, with the source folders on the path:

    PYTHONPATH=models:calibration python models/train_pico.py --cache /tmp/pico-scenes
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from depthdeploy_calibration.sample.scene import MEASURING_RANGE
from depthdeploy_models.pico.model import build
from pico_loss import pico_loss
from pico_measure import Accuracy, measure
from pico_scenes import augment, inverse_depth, normalise, render_set, within

TRAINING_SEED, HELD_OUT_SEED = 1_000_000, 2_000_000
HEIGHT, WIDTH = 192, 256
# Accuracy is also measured on surfaces beyond the range of the data set.
_LONGER_RANGE = 40.0
_EMA_DECAY = 0.998
_WARM_UP, _AHEAD = 100, 3
_WEIGHT_SEED, _THREADS = 0, 1


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training with its own optimiser; it starts from the averaged weights of the part before.

    Attributes:
        half_size: True to train at half the sides, which takes a quarter of the time per image.
        steps: Optimiser steps.
        schedule: Steps after which the cosine of the learning rate reaches zero; `steps` or more.
        batch: Images per step.
        rate: Highest learning rate.
        seed: Seed of order and augmentation.
        relative: Weight of the loss on ratios of depth.
        farthest: Metres beyond which that loss looks no more; infinity for every surface.
    """

    half_size: bool
    steps: int
    schedule: int
    batch: int
    rate: float
    seed: int
    relative: float = 0.5
    farthest: float = math.inf


STAGES = (
    Stage(True, steps=1800, schedule=4200, batch=32, rate=3e-3, seed=0),
    Stage(False, steps=1450, schedule=1450, batch=12, rate=1.8e-3, seed=1),
    # From here on the loss leans towards what is measured: ratios of depth, within a range.
    Stage(True, steps=3000, schedule=3000, batch=32, rate=2.5e-3, seed=2, relative=3.0, farthest=25.0),
    Stage(False, steps=1200, schedule=1200, batch=12, rate=1.2e-3, seed=3, relative=3.0, farthest=20.0),
    Stage(False, steps=1000, schedule=1000, batch=12, rate=8e-4, seed=4, relative=3.0, farthest=20.0),
    Stage(False, steps=800, schedule=800, batch=12, rate=6e-4, seed=5, relative=6.0, farthest=20.0),
)


def main() -> None:
    """Render, train, measure, write."""
    options = _options()
    torch.manual_seed(_WEIGHT_SEED)
    # Results depend on the number of threads, so it is part of the recipe.
    torch.set_num_threads(_THREADS)
    torch.use_deterministic_algorithms(True)
    images, depths = render_set(
        options.cache,
        seeds=range(TRAINING_SEED, TRAINING_SEED + options.scenes),
        size=(HEIGHT, WIDTH),
        workers=options.workers,
    )
    unseen, unseen_depths = render_set(
        options.cache,
        seeds=range(HELD_OUT_SEED, HELD_OUT_SEED + options.held_out),
        size=(HEIGHT, WIDTH),
        workers=options.workers,
    )
    network = build()
    for number, stage in enumerate(STAGES):
        network = train(network, images=images, depths=depths, stage=stage)
        save_weights(network, path=options.cache / f"stage-{number}.safetensors")
    predictions = predict(network, images=unseen)
    accuracies = {
        farthest: measure(predictions, depths=within(unseen_depths, farthest=farthest))
        for farthest in (MEASURING_RANGE, _LONGER_RANGE)
    }
    print(accuracies)
    options.out.mkdir(parents=True, exist_ok=True)
    save_weights(network, path=options.out / "pico.safetensors")
    text = report(network, accuracies=accuracies, scenes=options.scenes, held_out=options.held_out)
    (options.out / "results.toml").write_text(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    package = Path(__file__).parent / "depthdeploy_models" / "pico"
    parser.add_argument("--out", type=Path, default=package, help="folder for pico.safetensors and results.toml")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps scenes and stages, 5 GB")
    parser.add_argument("--workers", type=int, default=2, help="rendering processes")
    parser.add_argument("--scenes", type=int, default=12_000, help="training scenes")
    parser.add_argument("--held-out", type=int, default=300, help="scenes that are only measured on")
    return parser.parse_args()


def save_weights(network: nn.Module, *, path: Path) -> None:
    """Writes the weights and BatchNorm statistics as float32 safetensors."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def train(network: nn.Module, *, images: NDArray[np.uint8], depths: NDArray[np.float32], stage: Stage) -> nn.Module:
    """Trains the network and returns the running average of its weights.

    Args:
        network: The network; its weights change.
        images: uint8 [N, H, W, 3], RGB.
        depths: float32 [N, H, W], metres, 0 = no surface.
        stage: Steps, sizes and rates.

    Returns:
        A network with averaged weights, in evaluation mode.
    """
    # Module.to takes a memory format; its type stubs do not say so.
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=stage.rate, weight_decay=1e-2)
    started, total = time.monotonic(), 0.0
    network.train()
    for step, (picture, target) in enumerate(draw_batches(images, depths=depths, stage=stage)):
        cosine = 0.5 * (1.0 + math.cos(math.pi * step / stage.schedule))
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * min(1.0, (step + 1) / _WARM_UP) * cosine
        # bfloat16 halves the time of a step; the weights themselves stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            prediction = network(picture)
        loss = pico_loss(prediction.float(), target=target, relative=stage.relative, farthest=stage.farthest)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        _average(averaged, network, min(_EMA_DECAY, (step + 1) / (step + 10)))
        total += loss.item()
        if (step + 1) % 50 == 0:
            print(f"{step + 1}/{stage.steps} loss {total / 50:.4f} {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0
    return averaged


def draw_batches(
    images: NDArray[np.uint8], *, depths: NDArray[np.float32], stage: Stage
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of a stage in order, each prepared on a second thread while the one before is in use."""
    rng = np.random.default_rng(stage.seed)
    draw = partial(draw_batch, images, depths=depths, rng=rng, batch=stage.batch, half_size=stage.half_size)
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[tuple[torch.Tensor, torch.Tensor]]] = deque()
        for _ in range(stage.steps):
            waiting.append(pool.submit(draw))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def draw_batch(
    images: NDArray[np.uint8], *, depths: NDArray[np.float32], rng: np.random.Generator, batch: int, half_size: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random batch: network input float32 [B, 3, H, W] and inverse depth float32 [B, 1, H, W].

    Half of the images are mirrored; all of them are changed in colour, blur and noise.
    """
    chosen = np.sort(rng.integers(len(images), size=batch))
    picture = torch.from_numpy(images[chosen]).permute(0, 3, 1, 2).float() / 255.0
    target = inverse_depth(torch.from_numpy(depths[chosen]).unsqueeze(1))
    mirrored = torch.from_numpy(rng.random(batch) < 0.5).view(-1, 1, 1, 1)
    picture = torch.where(mirrored, picture.flip(3), picture)
    target = torch.where(mirrored, target.flip(3), target)
    if half_size:
        picture, target = functional.avg_pool2d(picture, 2), functional.avg_pool2d(target, 2)
    picture = normalise(augment(picture, rng=rng))
    return picture.contiguous(memory_format=torch.channels_last), target


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.dtype.is_floating_point:
            slow.lerp_(fast, 1.0 - decay)
        else:
            slow.copy_(fast)


@torch.no_grad()
def predict(network: nn.Module, *, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Relative inverse depth float32 [N, H, W] of photographs uint8 [N, H, W, 3]."""
    network.eval()
    parts = []
    for start in range(0, len(images), 10):
        picture = torch.from_numpy(np.array(images[start : start + 10])).permute(0, 3, 1, 2).float() / 255.0
        parts.append(network(normalise(picture))[:, 0].float().numpy())
    return np.concatenate(parts)


def report(network: nn.Module, *, accuracies: dict[float, Accuracy], scenes: int, held_out: int) -> str:
    """The text of results.toml for a trained network, from its accuracy on held-out depth up to so many metres."""
    lines = [
        f"parameters = {sum(weight.numel() for weight in network.parameters())}",
        f"size_hw = [{HEIGHT}, {WIDTH}]",
        "",
        "[training]",
        f"scenes = {scenes}",
        f"seeds = [{TRAINING_SEED}, {TRAINING_SEED + scenes - 1}]",
        f"weight_seed = {_WEIGHT_SEED}",
        f"threads = {_THREADS}",
    ]
    for stage in STAGES:
        lines += ["", "[[training.stages]]"]
        lines += [f"{name} = {str(value).lower()}" for name, value in asdict(stage).items()]
    for farthest, accuracy in accuracies.items():
        lines += ["", "[[held_out_rendered_scenes]]", f"farthest = {farthest}"]
        lines.append(f"seeds = [{HELD_OUT_SEED}, {HELD_OUT_SEED + held_out - 1}]")
        for name, value in asdict(accuracy).items():
            lines.append(f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
