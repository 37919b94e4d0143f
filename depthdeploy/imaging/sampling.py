"""Which photographs calibrate and which evaluate: seeded, balanced over strata, never the same content in both."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

from depthdeploy.core.digest import digest_of, sha256_bytes
from depthdeploy.core.photos import Photo, PhotoSet, Selection
from depthdeploy.errors import CalibrationError, UsageError

_NAMED: Final = 10
CALIBRATION: Final = "calibration"
EVALUATION: Final = "evaluation"


def select(
    photoset: PhotoSet, *, count: int | None, seed: int, purpose: str, exclude: Container[str] = frozenset()
) -> Selection:
    """A seeded choice, proportional to the strata (largest remainder), in the set's order.

    Within a stratum the photographs are ranked by a hash of seed and content. So names and the order of files do not
    matter, and a larger choice of the same seed mostly contains a smaller one.

    Args:
        photoset: what is chosen from; a content that occurs twice counts once.
        count: how many; ``None`` for all of them.
        seed: of the choice.
        purpose: ``calibration`` or ``evaluation``, for reports and messages.
        exclude: digests that must not be chosen.

    Raises:
        UsageError: ``count`` is not positive.
        CalibrationError: there are fewer than ``count``, or none.
    """
    candidates = _distinct(photoset.photos, exclude)
    if count is not None and count < 1:
        raise UsageError(f"{count} photographs for {purpose} cannot be chosen.", "Ask for 1 or more.")
    if not candidates or (count is not None and count > len(candidates)):
        raise _too_few(photoset, wanted=count, found=len(candidates), purpose=purpose)
    chosen = _chosen(candidates, count=len(candidates) if count is None else count, seed=seed)
    return Selection(photoset.name, chosen, seed, len(candidates), purpose)


def split(
    photoset: PhotoSet, *, calibration: int | None, evaluation: int | None, seed: int
) -> tuple[Selection, Selection]:
    """Two choices from one set that share no content.

    Args:
        photoset: what both are chosen from.
        calibration: how many calibrate; ``None`` for all of them.
        evaluation: how many evaluate; ``None`` for all that are left, which may be none: then the second choice is
            empty, and only fidelity on the calibration photographs can be reported. 0 asks for that.
        seed: of both choices.

    Raises:
        UsageError: ``calibration`` is not positive or ``evaluation`` is negative.
        CalibrationError: there are too few photographs.
    """
    first = select(photoset, count=calibration, seed=seed, purpose=CALIBRATION)
    used = frozenset(photo.digest for photo in first.photos)
    left = first.available - len(first.photos)
    if evaluation == 0 or (evaluation is None and not left):
        return first, Selection(photoset.name, (), seed, left, EVALUATION)
    return first, select(photoset, count=evaluation, seed=seed, purpose=EVALUATION, exclude=used)


def require_disjoint(calibration: Selection, evaluation: Selection) -> None:
    """Check by content that no photograph both calibrates and evaluates.

    Raises:
        CalibrationError: some do; the first ten are named.
    """
    calibrating = {photo.digest: photo.id for photo in calibration.photos}
    shared = [photo for photo in evaluation.photos if photo.digest in calibrating]
    if not shared:
        return
    names = ", ".join(
        photo.id if photo.id == calibrating[photo.digest] else f"{photo.id} (= {calibrating[photo.digest]})"
        for photo in shared[:_NAMED]
    )
    more = f" and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
    raise CalibrationError(
        f"{len(shared)} of the {len(evaluation.photos)} evaluation photographs ({evaluation.dataset}) also calibrate "
        f"({calibration.dataset}): {names}{more}.",
        "Take them out of one of the two sets: figures on calibration photographs say nothing about others.",
    )


def shares(sizes: Mapping[str, int], *, count: int, seed: int) -> dict[str, int]:
    """How many of each stratum: ``count * size / total`` rounded down or up, by largest remainder, ``count`` in all.

    Equal remainders are ordered by a hash of seed and stratum.

    Args:
        sizes: stratum -> photographs in it, positive.
        count: not more than there are.
        seed: of the choice.
    """
    total = sum(sizes.values())
    result = {stratum: count * size // total for stratum, size in sizes.items()}
    order = sorted(sizes, key=lambda stratum: (-(count * sizes[stratum] % total), digest_of([seed, stratum])))
    for stratum in order[: count - sum(result.values())]:
        result[stratum] += 1
    return result


def _chosen(candidates: Sequence[Photo], *, count: int, seed: int) -> tuple[Photo, ...]:
    strata: dict[str, list[Photo]] = {}
    for photo in candidates:
        strata.setdefault(photo.stratum, []).append(photo)
    quota = shares({stratum: len(members) for stratum, members in strata.items()}, count=count, seed=seed)
    picked: set[str] = set()
    for stratum, members in strata.items():
        ranked = sorted(photo.digest for photo in members)
        ranked.sort(key=lambda digest: sha256_bytes(f"{seed}:{digest}".encode()))
        picked.update(ranked[: quota[stratum]])
    return tuple(photo for photo in candidates if photo.digest in picked)


def _distinct(photos: Sequence[Photo], exclude: Container[str]) -> list[Photo]:
    """Each content once, under its smallest id whatever the order, in the set's order."""
    kept: dict[str, Photo] = {}
    for photo in photos:
        if photo.digest not in exclude:
            twin = kept.get(photo.digest, photo)
            kept[photo.digest] = min(photo, twin, key=lambda one: (one.id, one.stratum))
    return [photo for photo in photos if kept.get(photo.digest) == photo]


def _too_few(photoset: PhotoSet, *, wanted: int | None, found: int, purpose: str) -> CalibrationError:
    total = len(photoset.photos)
    beside = f" (of {total:,}: the others are the same photographs, or already chosen)" if found != total else ""
    asked = f"; {wanted:,} were asked for" if wanted is not None else ""
    return CalibrationError(
        f"{photoset.name} has {found:,} photographs to choose from for {purpose}{beside}{asked}.",
        "Ask for fewer, or give more photographs.",
    )
