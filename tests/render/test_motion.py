"""Motion vectors against projections written here, independently, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.scene import blobs

WIDTH, HEIGHT = 48, 32
FOV = 50.0  # horizontal, degrees

SKY = '<emitter type="constant"><rgb name="radiance" value="0.5"/></emitter>'
CARD = """
<shape type="rectangle" id="card">
<transform name="to_world"><scale x="1.5" y="1.2"/><rotate y="1" angle="15"/></transform>
<bsdf type="twosided"><bsdf type="diffuse"><texture type="checkerboard" name="reflectance">
<rgb name="color0" value="0.1, 0.2, 0.3"/><rgb name="color1" value="0.9, 0.6, 0.3"/>
<transform name="to_uv"><scale value="3"/></transform></texture></bsdf></bsdf></shape>
"""
BALL = '<shape type="sphere" id="ball"><bsdf type="diffuse"/></shape>'
TURN = {"axis": [0, 0, 1], "angle": 12}
MOVING_CARD = {"card": {1: {}, 2: {"translate": [0.15, -0.1, 0.3], "rotate": TURN}}}
STANDING = {"origin": [0.2, 0.3, 5], "target": [0, 0, 0], "up": [0, 1, 0]}
MOVED = {"origin": [0.5, 0.1, 4.8], "target": [0.1, 0.1, 0], "up": [0, 1, 0]}
TURNED = {"origin": [0.2, 0.3, 5], "target": [0.3, 0.2, 0], "up": [0, 1, 0]}


# --- What should come out, from vectors alone ---------------------------------------------------------------------


def basis(camera: dict[str, Any]) -> np.ndarray:
    """Rows: to the right, down, and ahead."""
    ahead = np.subtract(camera["target"], camera["origin"]).astype(float)
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, camera["up"])
    right /= np.linalg.norm(right)
    return np.stack([right, -np.cross(right, ahead), ahead])


FOCAL = WIDTH / 2 / np.tan(np.radians(FOV / 2))


def project(camera: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """…×3 world points → …×2 pixels."""
    return look(camera, points - np.asarray(camera["origin"], float))


def look(camera: dict[str, Any], directions: np.ndarray) -> np.ndarray:
    """…×3 directions → …×2 pixels."""
    seen = directions @ basis(camera).T
    return FOCAL * seen[..., :2] / seen[..., 2:] + [WIDTH / 2, HEIGHT / 2]


def rays(camera: dict[str, Any]) -> np.ndarray:
    """Directions through the pixel centres: H×W×3."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - WIDTH / 2, np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    return np.stack([x / FOCAL, y / FOCAL, np.ones_like(x)], -1) @ basis(camera)


def turned(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array({"y": [[c, 0, s], [0, 1, 0], [-s, 0, c]], "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[axis])


CARD_TO_WORLD = turned("y", 15) @ np.diag([1.5, 1.2, 1])
CARD_NORMAL = turned("y", 15) @ [0, 0, 1]


def seen_of_card(camera: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Where pixel centres see the card of frame 1: world points H×W×3, and whether they do, well inside its border."""
    origin, direction = np.asarray(camera["origin"], float), rays(camera)
    points = origin - direction * ((origin @ CARD_NORMAL) / (direction @ CARD_NORMAL))[..., None]
    local = points @ np.linalg.inv(CARD_TO_WORLD).T
    return points, np.all(np.abs(local[..., :2]) < 0.93, axis=-1)


def card_in_frame_2(points: np.ndarray) -> np.ndarray:
    """The keyframe: turned about the card's centre, the origin, then moved."""
    return points @ turned("z", TURN["angle"]).T + MOVING_CARD["card"][2]["translate"]


# --- Passes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def film_at(program_of, shot):
    """Scene, frame, cameras of frames 1 and 2, and fields of the spec → frame buffers and the scene."""

    def run(
        body: str,
        frame: int = 1,
        *,
        cameras: tuple[Any, Any] = (STANDING, STANDING),
        lens: dict[str, float] | None = None,
        spp: int = 16,
        **fields: Any,
    ):
        camera = {"fov": FOV, "fov_axis": "x", "keyframes": {1: cameras[0], 2: cameras[1]}, **(lens or {})}
        program = program_of(body, frame=frame, camera=camera, resolution=(WIDTH, HEIGHT), **fields)
        return shot(program, spp), program.fs

    return run


def error(motion: np.ndarray, expected: np.ndarray, where: np.ndarray) -> tuple[float, float]:
    """Median and 99th percentile of the distance, pixels."""
    distance = np.linalg.norm(motion - expected, axis=-1)[where]
    return float(np.median(distance)), float(np.percentile(distance, 99))


@pytest.mark.parametrize("there", [STANDING, MOVED], ids=["standing camera", "moving camera"])
def test_a_moving_textured_card_is_found_where_it_is_in_the_next_frame(film_at, there) -> None:
    frame, _ = film_at(SKY + CARD, cameras=(STANDING, there), animate=MOVING_CARD)
    points, inside = seen_of_card(STANDING)
    expected = project(there, card_in_frame_2(points)) - project(STANDING, points)

    assert inside.sum() > 200
    assert np.abs(expected[inside]).max() > 3
    median, worst = error(frame.forward, expected, inside)
    assert median < 0.05
    assert worst < 0.15
    assert_allclose(frame.forward_valid[inside], 1)


def test_a_moving_card_is_found_where_it_was_in_the_previous_frame(film_at) -> None:
    frame, _ = film_at(SKY + CARD, frame=2, cameras=(MOVED, STANDING), animate=MOVING_CARD)
    points, inside = seen_of_card(MOVED)
    now = project(STANDING, card_in_frame_2(points))
    # frame 2's motion is looked up where the points of frame 1's pixels are now, between its pixel centres
    x, y = (now[..., axis] for axis in (0, 1))
    visible = inside & (x > 1) & (x < WIDTH - 1) & (y > 1) & (y < HEIGHT - 1)
    at = np.floor(y[visible]).astype(int), np.floor(x[visible]).astype(int)
    distance = np.linalg.norm(frame.backward[at] - (project(MOVED, points) - now)[visible], axis=-1)

    assert visible.sum() > 200
    assert np.median(distance) < 0.15  # half a pixel apart, motion differs a little by itself
    assert_allclose(frame.backward_valid[at], 1)


@pytest.mark.parametrize("there", [STANDING, MOVED], ids=["standing camera", "moving camera"])
def test_what_is_seen_at_the_reprojected_place_is_the_same_point_of_the_texture(mi, film_at, there) -> None:
    frame, first = film_at(SKY + CARD, cameras=(STANDING, there), animate=MOVING_CARD)
    here = seen_uv(mi, first, *np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5))
    _, inside = seen_of_card(STANDING)
    del first
    _, second = film_at(SKY + CARD, frame=2, cameras=(STANDING, there), animate=MOVING_CARD, spp=1)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    then = seen_uv(mi, second, x + frame.forward[..., 0], y + frame.forward[..., 1])
    found = inside & np.isfinite(then[..., 0])

    per_pixel = np.linalg.norm(np.diff(here, axis=1)[inside[:, 1:] & inside[:, :-1]], axis=-1).mean()
    distance = np.linalg.norm(then - here, axis=-1)[found] / per_pixel
    assert found.sum() > 200
    assert np.median(distance) < 0.05


def seen_uv(mi: Any, fs: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Texture coordinates that the sensor sees at film positions: H×W×2; NaN where it sees no shape."""
    position = mi.Point2f(*(mi.Float((v / size).astype(np.float32).ravel()) for v, size in ((x, WIDTH), (y, HEIGHT))))
    ray, _ = fs.sensor.sample_ray(0.0, 0.5, position, mi.Point2f(0.5))
    si = fs.scene.ray_intersect(ray)
    uv = np.array(si.uv).T.reshape(*x.shape, 2)
    return np.where(np.array(si.is_valid()).reshape(*x.shape, 1), uv, np.nan)


def test_a_frame_warped_by_its_motion_shows_the_texture_of_the_next_one(film_at) -> None:
    from scipy.ndimage import map_coordinates

    moving = {"cameras": (STANDING, MOVED), "animate": MOVING_CARD, "spp": 64}
    now, _ = film_at(SKY + CARD, **moving)
    then, _ = film_at(SKY + CARD, frame=2, **moving)
    _, inside = seen_of_card(STANDING)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    places = [y + now.forward[..., 1], x + now.forward[..., 0]]
    warped = np.stack([map_coordinates(then.albedo[..., c], places, order=1) for c in range(3)], -1)

    still = np.abs(then.albedo - now.albedo)[inside].mean()
    assert np.abs(warped - now.albedo)[inside].mean() < 0.25 * still


def test_the_environment_follows_the_cameras_turn(film_at) -> None:
    frame, _ = film_at(SKY, cameras=(STANDING, TURNED))
    expected = look(TURNED, rays(STANDING)) - look(STANDING, rays(STANDING))

    assert np.abs(expected).max() > 1
    median, worst = error(frame.forward, expected, np.ones((HEIGHT, WIDTH), bool))
    assert median < 0.01 and worst < 0.05
    assert_allclose(frame.forward_valid, 1)


def test_the_environment_stands_still_while_the_camera_only_travels(film_at) -> None:
    aside = {key: np.add(STANDING[key], [1, 0, 0]).tolist() for key in ("origin", "target")} | {"up": [0, 1, 0]}
    frame, _ = film_at(SKY + BALL, cameras=(STANDING, aside))
    ball, sky = frame.ids == 1, frame.diffuse[..., 0] == 0

    assert_allclose(frame.forward[sky], 0, atol=1e-3)
    assert frame.forward[ball][:, 0].max() < -2


def test_depth_of_field_does_not_blur_motion(film_at) -> None:
    lens = {"aperture_radius": 0.05, "focus_distance": 5.0}
    frame, _ = film_at(SKY + CARD, animate=MOVING_CARD, lens=lens, spp=64)
    points, inside = seen_of_card(STANDING)
    expected = project(STANDING, card_in_frame_2(points)) - project(STANDING, points)
    median, worst = error(frame.forward, expected, inside)
    assert median < 0.05 and worst < 0.15


def test_the_depth_is_the_distance_to_the_camera(film_at) -> None:
    frame, _ = film_at(SKY + CARD)
    points, inside = seen_of_card(STANDING)
    assert_allclose(frame.depth[inside], np.linalg.norm(points - STANDING["origin"], axis=-1)[inside], rtol=5e-3)


# --- What is not known --------------------------------------------------------------------------------------------


def test_towards_a_frame_that_was_not_frozen_nothing_is_known(film_at) -> None:
    frame, _ = film_at(SKY + BALL, previous=None)
    # the camera is keyframed, so the sky's motion is known; of shapes it is not
    ball = (frame.ids == 1) & (frame.emission[..., 0] == 0)
    assert_allclose(frame.backward_valid[ball], 0)
    assert_allclose(frame.backward[ball], 0)
    assert_allclose(frame.forward_valid, 1)


@pytest.fixture
def other_scene(blob_directory):
    """A scene's XML → the blob of a neighbouring frame's scene."""
    return lambda body: blobs.put_text(
        blob_directory, f'<scene version="3.0.0"><sensor type="perspective"/>{body}</scene>', "xml"
    )


PLY = '<shape type="ply" id="ball"><string name="filename" value="{}"/><bsdf type="diffuse"/></shape>'


@pytest.mark.parametrize("change", ["leaves", "becomes another", "deforms"])
def test_the_motion_of_a_shape_that_is_not_the_same_in_the_next_frame_is_not_known(
    mi, film_at, other_scene, tmp_path, change
) -> None:
    here, there = BALL, {"leaves": "", "becomes another": BALL.replace("sphere", "disk")}.get(change)
    if there is None:
        for name, size in (("now", 0.6), ("then", 0.7)):
            grown = mi.load_dict({"type": "cube", "to_world": mi.ScalarTransform4f().scale(size)})
            grown.write_ply(str(tmp_path / f"{name}.ply"))
        here, there = (PLY.format(tmp_path / f"{name}.ply") for name in ("now", "then"))
    frame, _ = film_at(SKY + here + CARD, next=other_scene(SKY + there + CARD))
    ball_seen, card_seen = ((frame.ids == k) & ~edge(frame.ids) for k in (1, 2))

    assert ball_seen.sum() > 50 and card_seen.sum() > 50
    assert_allclose(frame.forward_valid[ball_seen], 0)
    assert_allclose(frame.forward[ball_seen], 0)
    assert_allclose(frame.backward_valid[ball_seen], 1)
    assert_allclose(frame.forward_valid[card_seen], 1)


def edge(ids: np.ndarray) -> np.ndarray:
    """Pixels beside another shape."""
    from scipy.ndimage import maximum_filter, minimum_filter

    return maximum_filter(ids, 3) != minimum_filter(ids, 3)


def test_a_sensor_that_is_not_perspective_has_no_motion(program_of, shot) -> None:
    sensor = '<sensor type="orthographic"><transform name="to_world"><translate z="-5"/></transform></sensor>'
    frame = shot(program_of(SKY + BALL, camera_xml=sensor), 4)

    assert frame.ids.any()
    for valid in (frame.forward_valid, frame.backward_valid):
        assert not valid.any()
    assert np.isfinite(frame.depth).all() and frame.depth.max() > 1
