"""Measures pico on real photographs and writes the `real_photographs` table of results.toml, after training.

    PYTHONPATH=models:calibration python models/pico_photographs.py --pairs pairs.json --frames nyu --sheet sheet.png

`pairs.json` holds point pairs in the DA-2K form, with image paths relative to the file. The frames folder holds
`rgb/*.jpg` and `depth/*.png` of the same names; the depth is uint16 in millimetres, 0 = no measurement.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from depthdeploy_models.pico.model import build
from pico_measure import abs_rel, aligned_depth, delta1
from pico_scenes import normalise

HEIGHT, WIDTH = 192, 256
# The last table of the file.
_TABLE = "[real_photographs]"


def main() -> None:
    """Measure, write, and draw the sheet if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    package = Path(__file__).parent / "depthdeploy_models" / "pico"
    parser.add_argument("--weights", type=Path, default=package / "pico.safetensors")
    parser.add_argument("--results", type=Path, default=package / "results.toml", help="file whose table is replaced")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, help="folder of JPEG or PNG files to draw")
    parser.add_argument("--sheet", type=Path, help="PNG with the photographs beside their predictions")
    options = parser.parse_args()
    network = build()
    network.load_state_dict(load_file(options.weights))
    network.eval()
    right, count, images = score_pairs(network, pairs=options.pairs)
    shares, errors = score_frames(network, frames=options.frames)
    table = f"{_TABLE}\nordinal = {right / count:.4f}\nordinal_pairs = {count}\nordinal_images = {images}\n"
    table += f"delta1_affine = {np.mean(shares):.4f}\nabs_rel_affine = {np.mean(errors):.4f}\nframes = {len(shares)}\n"
    print(table)
    before = options.results.read_text().partition(_TABLE)[0].rstrip()
    options.results.write_text(f"{before}\n\n{table}")
    if options.sheet is not None and options.photographs is not None:
        draw_sheet(network, photographs=sorted(options.photographs.iterdir()), sheet=options.sheet)


@torch.no_grad()
def predict_photograph(network: nn.Module, *, image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """Relative inverse depth float32 [height, width] of a photograph squashed to the network's input."""
    small = image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None].float() / 255.0
    prediction = network(normalise(pixels))
    wide = functional.interpolate(prediction, size=size, mode="bilinear", align_corners=False)
    found: NDArray[np.float32] = wide[0, 0].numpy()
    return found


def score_pairs(network: nn.Module, *, pairs: Path) -> tuple[int, int, int]:
    """Number of pairs in the right order, number of pairs, number of images."""
    right = count = 0
    annotations = json.loads(pairs.read_text())
    for name, entries in annotations.items():
        with Image.open(pairs.parent / name) as image:
            prediction = predict_photograph(network, image=image, size=(image.height, image.width))
        for entry in entries:
            first, second = (prediction[tuple(entry[point])] for point in ("point1", "point2"))
            near, far = (first, second) if entry["closer_point"] == "point1" else (second, first)
            right += int(near > far)
            count += 1
    return right, count, len(annotations)


def score_frames(network: nn.Module, *, frames: Path) -> tuple[list[float], list[float]]:
    """Affine-aligned delta1 and relative error of each frame."""
    shares, errors = [], []
    for path in sorted((frames / "rgb").iterdir()):
        with Image.open(frames / "depth" / f"{path.stem}.png") as measured:
            depth = np.asarray(measured).astype(np.float32) / 1000.0
        with Image.open(path) as image:
            prediction = predict_photograph(network, image=image, size=(depth.shape[0], depth.shape[1]))
        estimate = aligned_depth(prediction, depth=depth)
        shares.append(delta1(estimate, depth=depth))
        errors.append(abs_rel(estimate, depth=depth))
    return shares, errors


def draw_sheet(network: nn.Module, *, photographs: list[Path], sheet: Path) -> None:
    """Writes the photographs beside their predictions, four pairs to a row."""
    tiles = []
    for path in photographs:
        with Image.open(path) as image:
            small = np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
            prediction = predict_photograph(network, image=image, size=(HEIGHT, WIDTH))
        shade = (prediction - prediction.min()) / max(float(np.ptp(prediction)), 1e-6) * 255.0
        tiles.append(np.concatenate([small, np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)], axis=1))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
    rows = [np.concatenate(tiles[start : start + 4], axis=1) for start in range(0, len(tiles), 4)]
    Image.fromarray(np.concatenate(rows)).save(sheet)


if __name__ == "__main__":
    main()
