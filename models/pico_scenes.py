"""Rendered training and held-out scenes for pico, and the augmentation of their photographs."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from depthdeploy_calibration.sample.compose import compose_scene
from depthdeploy_calibration.sample.render import render

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Scenes are kept with the true depth of surfaces that the data set itself calls too far to measure.
_FULL_RANGE = 500.0


def _render_one(job: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    seed, height, width = job
    scene = replace(compose_scene(seed), farthest=_FULL_RANGE)
    made = render(scene, height=height, width=width, seed=seed)
    return made.image, made.depth


def render_set(
    folder: Path, *, seeds: Iterable[int], size: tuple[int, int], workers: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Photographs and depth of scenes, rendered in parallel and kept in `folder` for the next run.

    Args:
        folder: Where the arrays are kept; made if absent.
        seeds: Scene seeds, consecutive.
        size: Height and width in pixels.
        workers: Number of processes.

    Returns:
        Images uint8 [N, H, W, 3] RGB and depth float32 [N, H, W] in metres, 0 = no surface. The depth goes beyond the
        scenes' measuring range; `within` cuts it there.
    """
    jobs = [(seed, *size) for seed in seeds]
    name = f"{jobs[0][0]}-{len(jobs)}-{size[0]}x{size[1]}-full"
    image_path, depth_path = folder / f"{name}.image.npy", folder / f"{name}.depth.npy"
    done = folder / f"{name}.done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = open_memmap(image_path, mode="w+", dtype=np.uint8, shape=(len(jobs), *size, 3))
        depths = open_memmap(depth_path, mode="w+", dtype=np.float32, shape=(len(jobs), *size))
        with ProcessPoolExecutor(workers) as pool:
            for number, (image, depth) in enumerate(pool.map(_render_one, jobs, chunksize=16)):
                images[number], depths[number] = image, depth
        images.flush()
        depths.flush()
        done.touch()
    return np.load(image_path, mmap_mode="r"), np.load(depth_path, mmap_mode="r")


def within(depths: NDArray[np.float32], *, farthest: float) -> NDArray[np.float32]:
    """The depth up to `farthest` metres, and 0 (no measurement) beyond; same shape."""
    return np.where(depths <= farthest, depths, np.float32(0.0))


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Network input from photographs.

    Args:
        images: float32 [N, 3, H, W], RGB, 0..1.

    Returns:
        float32 [N, 3, H, W], ImageNet mean and deviation removed.
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


def inverse_depth(depth: torch.Tensor) -> torch.Tensor:
    """1 / metres, and 0 (infinitely far) where there is no surface; same shape and dtype."""
    return torch.where(depth > 0, 1.0 / depth.clamp(min=1e-3), torch.zeros_like(depth))


def augment(images: torch.Tensor, *, rng: np.random.Generator) -> torch.Tensor:
    """Photographs with random contrast, gamma, tint, saturation, blur and noise per image.

    Args:
        images: float32 [N, 3, H, W], RGB, 0..1.
        rng: Source of the changes.

    Returns:
        float32 [N, 3, H, W], RGB, 0..1.
    """
    count = images.shape[0]

    def draw(low: float, high: float, channels: int = 1) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))

    out = images.clamp(0, 1) ** torch.exp(draw(-0.4, 0.4))
    grey = out.mean(dim=1, keepdim=True)
    out = grey + (out - grey) * draw(0.2, 1.5)
    if rng.random() < 0.5:
        out = out[:, torch.from_numpy(rng.permutation(3))] if rng.random() < 0.4 else out
    middle = out.mean(dim=(1, 2, 3), keepdim=True)
    out = ((out - middle) * draw(0.6, 1.4) + middle) * draw(0.85, 1.15, 3) + draw(-0.1, 0.1)
    if rng.random() < 0.3:
        small = torch.nn.functional.avg_pool2d(out, 3, stride=1, padding=1, count_include_pad=False)
        out = out + (small - out) * draw(0.0, 1.0)
    noise = torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32))
    return (out + noise * draw(0.0, 0.03)).clamp(0, 1)
