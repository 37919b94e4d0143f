from __future__ import annotations

import math

import numpy as np
import pytest

from depthdeploy_calibration.sample import RenderedScene, render_scene
from depthdeploy_calibration.sample.compose import compose_scene
from depthdeploy_calibration.sample.primitives import Primitive, ShapeKind, place
from depthdeploy_calibration.sample.render import render
from depthdeploy_calibration.sample.scene import MEASURING_RANGE, Light, Scene, Sky, aim_camera
from depthdeploy_calibration.sample.textures import Material, Pattern, albedo, noise

HEIGHT, WIDTH = 48, 64
GREY = Material("checker", (0.4, 0.4, 0.4))


def _scene(
    *shapes: Primitive, pitch: float = 0.0, eye: tuple[float, float, float] = (0.0, 1.5, 0.0), farthest: float = 40.0
) -> Scene:
    return Scene(
        kind="objects",
        camera=aim_camera(eye, yaw=0.0, pitch=pitch, roll=0.0, field_of_view=math.radians(60)),
        shapes=shapes,
        lights=(Light(np.array([0.0, 1.0, 0.0], dtype=np.float32), (1.0, 1.0, 1.0), is_sun=True),),
        ambient=(0.3, 0.3, 0.3),
        sky=Sky((0.2, 0.4, 0.9), (0.8, 0.8, 0.9), clouds=0.5, haze_range=math.inf),
        farthest=farthest,
    )


def _image_plane() -> tuple[np.ndarray, np.ndarray]:
    scale = 2.0 * math.tan(math.radians(30)) / WIDTH
    columns = (np.arange(WIDTH) + 0.5 - WIDTH / 2) * scale
    rows = -(np.arange(HEIGHT) + 0.5 - HEIGHT / 2) * scale
    x, y = np.meshgrid(columns, rows)
    return x, y


@pytest.fixture(scope="module")
def rendered() -> list[RenderedScene]:
    return [render_scene(seed, height=HEIGHT, width=WIDTH) for seed in range(24)]


def test_shape_dtype_and_range(rendered: list[RenderedScene]) -> None:
    for scene in rendered:
        assert scene.image.shape == (HEIGHT, WIDTH, 3)
        assert scene.image.dtype == np.uint8
        assert scene.depth.shape == (HEIGHT, WIDTH)
        assert scene.depth.dtype == np.float32
        assert np.isfinite(scene.depth).all()
        measured = scene.depth[scene.depth > 0]
        assert measured.min() > 0.05
        assert measured.max() <= MEASURING_RANGE


def test_same_seed_gives_the_same_bytes(rendered: list[RenderedScene]) -> None:
    for seed in (0, 5, 11):
        again = render_scene(seed, height=HEIGHT, width=WIDTH)
        assert again.image.tobytes() == rendered[seed].image.tobytes()
        assert again.depth.tobytes() == rendered[seed].depth.tobytes()


def test_seeds_differ(rendered: list[RenderedScene]) -> None:
    assert len({scene.image.tobytes() for scene in rendered}) == len(rendered)
    assert len({scene.depth.tobytes() for scene in rendered}) == len(rendered)


def test_all_kinds_occur(rendered: list[RenderedScene]) -> None:
    assert {scene.kind for scene in rendered} == {"room", "street", "objects"}


def test_most_pixels_are_measured_and_every_image_has_contrast(rendered: list[RenderedScene]) -> None:
    assert np.mean([np.mean(scene.depth > 0) for scene in rendered]) > 0.8
    for scene in rendered:
        assert np.mean(scene.depth > 0) > 0.2
        assert scene.image.std() > 5.0
        assert 20.0 < scene.image.mean() < 240.0


def test_the_size_does_not_change_the_scene() -> None:
    small = render_scene(3, height=24, width=32)
    large = render_scene(3, height=72, width=96)
    # With three times the size the middle of a large 3x3 block is the centre of the small pixel.
    np.testing.assert_allclose(large.depth[1::3, 1::3], small.depth, rtol=1e-3)


@pytest.mark.parametrize("pitch", [0.0, -0.4])
def test_depth_of_a_floor_is_exact(pitch: float) -> None:
    floor = place("plane", centre=(0, 0, 0), scale=(500, 1, 500), material=GREY)
    depth = render(_scene(floor, pitch=pitch), height=HEIGHT, width=WIDTH).depth
    _, y = _image_plane()
    # The ray (x, y, 1) drops by -(y cos p + sin p) per metre of depth, from 1.5 m above the floor.
    drop = -(y * math.cos(pitch) + math.sin(pitch))
    expected = np.where(drop > 0, 1.5 / np.where(drop > 0, drop, 1.0), 0.0)
    expected[expected > 40.0] = 0.0
    np.testing.assert_allclose(depth, expected, rtol=1e-4)


def test_depth_of_a_ball_is_exact() -> None:
    ball = place("sphere", centre=(0.0, 1.5, 4.0), scale=(1.0, 1.0, 1.0), material=GREY, yaw=0.7)
    depth = render(_scene(ball), height=HEIGHT, width=WIDTH).depth
    x, y = _image_plane()
    a = x * x + y * y + 1.0
    inside = 16.0 - 15.0 * a
    expected = np.where(inside > 0, (4.0 - np.sqrt(np.maximum(inside, 0.0))) / a, 0.0)
    np.testing.assert_allclose(depth, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "near"),
    [("box", 3.0), ("sphere", 3.0), ("cylinder", 3.0), ("frustum", 3.2), ("cone", 3.5)],
)
def test_depth_on_the_axis_of_each_solid(kind: ShapeKind, near: float) -> None:
    solid = place(kind, centre=(0.0, 1.5, 4.0), scale=(1.0, 1.0, 1.0), material=GREY)
    depth = render(_scene(solid), height=65, width=65).depth
    assert depth[32, 32] == pytest.approx(near, rel=1e-4)


def test_from_inside_a_box_the_far_side_is_seen() -> None:
    box = place("box", centre=(0.0, 1.5, 0.0), scale=(5.0, 5.0, 5.0), material=GREY)
    assert render(_scene(box), height=33, width=33).depth[16, 16] == pytest.approx(5.0, rel=1e-5)


def test_the_nearest_surface_wins_whatever_the_order() -> None:
    near = place("box", centre=(0.0, 1.5, 3.0), scale=(0.5, 0.5, 0.5), material=GREY)
    far = place("box", centre=(0.0, 1.5, 8.0), scale=(4.0, 4.0, 0.5), material=GREY)
    first = render(_scene(near, far), height=HEIGHT, width=WIDTH)
    second = render(_scene(far, near), height=HEIGHT, width=WIDTH)
    np.testing.assert_array_equal(first.depth, second.depth)
    assert first.depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(2.5, rel=1e-5)


def test_depth_beyond_the_range_is_not_measured() -> None:
    wall = place("box", centre=(0.0, 1.5, 12.0), scale=(50.0, 50.0, 1.0), material=GREY)
    assert (render(_scene(wall, farthest=10.0), height=16, width=16).depth == 0).all()
    assert (render(_scene(wall, farthest=12.0), height=16, width=16).depth > 0).all()


def test_a_shadow_darkens_the_floor() -> None:
    floor = place("plane", centre=(0, 0, 0), scale=(50, 1, 50), material=Material("plain", (0.5, 0.5, 0.5), grain=0.0))
    lid = place("box", centre=(0.0, 2.8, 4.0), scale=(1.0, 0.1, 1.0), material=GREY)
    image = render(_scene(floor, lid, pitch=-0.2), height=96, width=128).image.astype(float).mean(axis=2)
    depth = render(_scene(floor, lid, pitch=-0.2), height=96, width=128).depth
    row = int(np.argmin(np.abs(depth[:, 64] - 4.2)))
    assert image[row, 64] < 0.8 * image[row, 5]


@pytest.mark.parametrize(
    "pattern", ["plain", "checker", "stripes", "bricks", "planks", "windows", "books", "blotches", "gradient"]
)
def test_reflectance_stays_in_range_and_smooths_out_far_away(pattern: Pattern) -> None:
    look = Material(pattern, (0.2, 0.4, 0.8), (0.7, 0.6, 0.1), grain=0.3)
    u, v = np.random.default_rng(0).uniform(-30, 30, (2, 4000)).astype(np.float32)
    close, far = (albedo(look, u=u, v=v, footprint=np.full_like(u, size)) for size in (1e-3, 50.0))
    for colour in (close, far):
        assert colour.shape == (3, 4000)
        assert colour.dtype == np.float32
        assert colour.min() >= 0.0
        assert colour.max() <= 1.0
    assert far.std(axis=1).max() <= close.std(axis=1).max() + 0.02


def test_noise_repeats_and_is_centred() -> None:
    u, v = np.random.default_rng(1).random((2, 20_000), dtype=np.float32)
    tiny = np.full_like(u, 1e-6)
    values = noise(u, v, footprint=tiny)
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(noise(u + 1, v - 2, footprint=tiny), values, atol=2e-2)


def test_scenes_have_no_surface_at_the_lens() -> None:
    for seed in range(24):
        scene = compose_scene(seed)
        assert len(scene.shapes) > 1
        assert len(scene.lights) >= 1


@pytest.mark.parametrize(("seed", "height", "width"), [(-1, 48, 64), (0, 4, 64), (0, 48, 0)])
def test_nonsense_is_refused(seed: int, height: int, width: int) -> None:
    with pytest.raises(ValueError, match=r"seed|sides"):
        render_scene(seed, height=height, width=width)
