"""Trains pico on rendered scenes and writes its weights and measured accuracy.

Run from the repository root, with the three source folders on the path:

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
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from depthdeploy_models.pico.model import build
from pico_loss import pico_loss
from pico_measure import Accuracy, measure
from pico_scenes import augment, inverse_depth, normalise, render_set

TRAINING_SEED, HELD_OUT_SEED = 1_000_000, 2_000_000
HEIGHT, WIDTH = 192, 256
_EMA_DECAY = 0.998
_WARM_UP, _SNAPSHOT, _AHEAD = 100, 300, 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training run does.

    Attributes:
        scenes: Number of training scenes.
        held_out: Number of scenes that are only measured on.
        half_size_steps: Steps at half the sides, first.
        full_size_steps: Steps at the full sides, after that.
        batch: Images per full-size step; a half-size step takes twice as many.
        rate: Highest learning rate.
        seed: Seed of weights, order and augmentation.
        threads: Threads of one operation; the result depends on it.
    """

    scenes: int
    held_out: int
    half_size_steps: int
    full_size_steps: int
    batch: int
    rate: float
    seed: int
    threads: int


def main() -> None:
    """Render, train, measure, write."""
    options = _options()
    plan = Plan(**{name: getattr(options, name) for name in Plan.__slots__})
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    torch.use_deterministic_algorithms(True)
    network = build()
    # Module.to takes a memory format; its type stubs do not say so.
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start is not None:
        network.load_state_dict(load_file(options.start))
    size, workers = (HEIGHT, WIDTH), options.workers
    images, depths = render_set(
        options.cache, seeds=range(TRAINING_SEED, TRAINING_SEED + plan.scenes), size=size, full_range=True,
        workers=workers,
    )  # fmt: skip
    held_out = render_set(
        options.cache, seeds=range(HELD_OUT_SEED, HELD_OUT_SEED + plan.held_out), size=size, full_range=False,
        workers=workers,
    )  # fmt: skip
    averaged = train(network, images=images, depths=depths, plan=plan, snapshot=options.cache / "snapshot.safetensors")
    accuracy = measure(predict(averaged, images=held_out[0]), depths=held_out[1])
    print(accuracy)
    options.out.mkdir(parents=True, exist_ok=True)
    save_weights(averaged, path=options.out / "pico.safetensors")
    (options.out / "results.toml").write_text(report(averaged, plan=plan, accuracy=accuracy))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    package = Path(__file__).parent / "depthdeploy_models" / "pico"
    parser.add_argument("--out", type=Path, default=package, help="folder for pico.safetensors and results.toml")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the rendered scenes")
    parser.add_argument("--start", type=Path, help="weights to go on from instead of freshly drawn ones")
    parser.add_argument("--workers", type=int, default=2, help="rendering processes")
    parser.add_argument("--scenes", type=int, default=12000)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--half-size-steps", type=int, default=1800)
    parser.add_argument("--full-size-steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def save_weights(network: nn.Module, *, path: Path) -> None:
    """Writes the weights and BatchNorm statistics as float32 safetensors."""
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def train(
    network: nn.Module, *, images: NDArray[np.uint8], depths: NDArray[np.float32], plan: Plan, snapshot: Path
) -> nn.Module:
    """Trains the network and returns the running average of its weights.

    Args:
        network: The network; its weights change.
        images: uint8 [N, H, W, 3], RGB.
        depths: float32 [N, H, W], metres, 0 = no surface.
        plan: Sizes, steps and rates.
        snapshot: File for the weights reached so far, written now and then.

    Returns:
        A network with averaged weights, in evaluation mode.
    """
    batches = draw_batches(images, depths=depths, plan=plan)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-2)
    steps = plan.half_size_steps + plan.full_size_steps
    started, total = time.monotonic(), 0.0
    for step in range(steps):
        network.train()
        rate = plan.rate * min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        picture, target = next(batches)
        # bfloat16 halves the time of a step; the weights themselves stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            prediction = network(picture)
        loss = pico_loss(prediction.float(), target=target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        _average(averaged, network, min(_EMA_DECAY, (step + 1) / (step + 10)))
        total += loss.item()
        if (step + 1) % 50 == 0:
            print(f"{step + 1}/{steps} loss {total / 50:.4f} {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0
        if (step + 1) % _SNAPSHOT == 0:
            save_weights(averaged, path=snapshot)
    return averaged


def draw_batches(
    images: NDArray[np.uint8], *, depths: NDArray[np.float32], plan: Plan
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of a run in order, each prepared on a second thread while the one before is in use."""
    rng = np.random.default_rng(plan.seed)
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[tuple[torch.Tensor, torch.Tensor]]] = deque()
        for step in range(plan.half_size_steps + plan.full_size_steps):
            half_size = step < plan.half_size_steps
            batch = plan.batch * (2 if half_size else 1)
            waiting.append(pool.submit(draw_batch, images, depths=depths, rng=rng, batch=batch, half_size=half_size))
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
        picture = torch.from_numpy(images[start : start + 10]).permute(0, 3, 1, 2).float() / 255.0
        parts.append(network(normalise(picture))[:, 0].float().numpy())
    return np.concatenate(parts)


def report(network: nn.Module, *, plan: Plan, accuracy: Accuracy) -> str:
    """The text of results.toml for a trained network."""
    lines = ["[network]", f"parameters = {sum(p.numel() for p in network.parameters())}", "", "[training]"]
    lines += [f"{name} = {value}" for name, value in asdict(plan).items()]
    lines += [
        f"training_seeds = [{TRAINING_SEED}, {TRAINING_SEED + plan.scenes - 1}]",
        f"held_out_seeds = [{HELD_OUT_SEED}, {HELD_OUT_SEED + plan.held_out - 1}]",
        f"size_hw = [{HEIGHT}, {WIDTH}]",
        "",
        "[held_out_rendered_scenes]",
    ]
    lines += [f"{name} = {value:.4f}" if isinstance(value, float) else f"{name} = {value}"
              for name, value in asdict(accuracy).items()]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
