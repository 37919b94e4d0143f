"""Annotated point pairs in the DA-2K format: read strictly, every fault told."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from depthdeploy.plugin import CalibrationError, PointPair
from depthdeploy_calibration.inspection import ImageFile, ImagePath, listing

Annotations: TypeAlias = dict[str, tuple[PointPair, ...]]
_FORM = '{"image": [{"point1": [row, column], "point2": [row, column], "closer_point": "point1"}]}'


def read_annotations(file: ImagePath) -> Annotations:
    """Image name -> its pairs, in the file's order; ``closer_point`` decides which point is closer.

    Raises:
        CalibrationError: the file cannot be read, is no JSON, or is not of the DA-2K form; all faults in one error.
    """
    try:
        content: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, zipfile.BadZipFile) as cause:
        raise CalibrationError(f"{file} cannot be read: {cause}.", "Check the path and its rights.") from cause
    except ValueError as cause:
        raise CalibrationError(f"{file} is not JSON: {cause}.", f"The form is {_FORM}.") from cause
    if not isinstance(content, dict) or not content:
        raise CalibrationError(f"{file} holds no annotated images.", f"The form is {_FORM}.")
    faults: list[str] = []
    found: Annotations = {}
    for name, entries in content.items():
        if not isinstance(entries, list):
            faults.append(f"{name}: a list of pairs is needed")
            continue
        pairs = [_pair(entry) for entry in entries]
        faults += [f"{name}, pair {number}: {pair}" for number, pair in enumerate(pairs, 1) if isinstance(pair, str)]
        found[name] = tuple(pair for pair in pairs if isinstance(pair, PointPair))
    if faults:
        raise CalibrationError(
            f"{file} is not of the DA-2K form, {len(faults)} faults:{listing(faults)}\n", f"The form is {_FORM}."
        )
    return found


def require_inside(annotations: Annotations, images: Mapping[str, ImageFile], *, file: ImagePath) -> None:
    """Check that every point lies on its photograph.

    Raises:
        CalibrationError: some do not; they are named, and exchanged rows and columns are recognised.
    """
    outside = [
        f"{name} ({images[name].height} rows, {images[name].width} columns): {list(point)}"
        for name, point in _points(annotations)
        if not _inside(point, images[name])
    ]
    if not outside:
        return
    exchanged = all(_inside((point[1], point[0]), images[name]) for name, point in _points(annotations))
    hint = "With rows and columns exchanged every point would lie inside: write [row, column]. " if exchanged else ""
    raise CalibrationError(
        f"{len(outside)} points of {file} lie outside their photographs:{listing(outside)}\n",
        f"{hint}Points are [row, column] from 0 on the original photograph, upright.",
    )


def require_found(missing: Sequence[str], *, total: int, file: ImagePath) -> None:
    """Check that every annotated photograph is there.

    Raises:
        CalibrationError: some are not; they are counted and the first are named.
    """
    if missing:
        raise CalibrationError(
            f"{len(missing)} of the {total} photographs annotated in {file} are missing:{listing(missing)}\n",
            "Put them there, or take them out of the annotations: figures over a part of a set are not the set's.",
        )


def _points(annotations: Annotations) -> list[tuple[str, tuple[int, int]]]:
    return [(name, point) for name, pairs in annotations.items() for pair in pairs for point in _both(pair)]


def _both(pair: PointPair) -> tuple[tuple[int, int], tuple[int, int]]:
    return pair.closer, pair.farther


def _inside(point: tuple[int, int], image: ImageFile) -> bool:
    return 0 <= point[0] < image.height and 0 <= point[1] < image.width


def _pair(entry: object) -> PointPair | str:
    if not isinstance(entry, dict):
        return "an object is needed"
    points = {name: _point(entry.get(name)) for name in ("point1", "point2")}
    first, second = points["point1"], points["point2"]
    if first is None or second is None:
        return f"{'point1' if first is None else 'point2'} is not [row, column] in whole pixels"
    if first == second:
        return f"both points are {list(first)}"
    match entry.get("closer_point"):
        case "point1":
            return PointPair(first, second)
        case "point2":
            return PointPair(second, first)
        case other:
            return f'closer_point is {other!r}, not "point1" or "point2"'


def _point(value: object) -> tuple[int, int] | None:
    match value:
        case [int() as row, int() as column] if not isinstance(row, bool) and not isinstance(column, bool):
            return row, column
        case _:
            return None
