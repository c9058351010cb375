"""The review's routes: what a frame has to show, said in numbers that are those of the file; and what λ writes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import OpenEXR
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from benchmarks.review_shot import Made
from pipeline.api.app import create_app
from pipeline.api.tokens import issue
from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.load import load_shot
from pipeline.farm.client import Farm
from pipeline.images import viewing
from tests.review.conftest import ABSENT, BEGUN, CUT, GONE, HEIGHT, SHOT, WAITING, WIDTH


@pytest.fixture(scope="module")
def http(made: Made) -> Iterator[TestClient]:
    tokens = made.project / "tokens.json"
    app = create_app(Farm.offline(made.store, FarmConfig()), tokens=tokens, project=made.project)
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {issue(tokens, 'me', 'write')}"
        yield client


def image(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    dtype = np.float16 if response.headers["X-Type"] == "half" else np.float32
    shape = tuple(map(int, response.headers["X-Shape"].split(",")))
    return np.frombuffer(response.content, dtype).reshape(shape)


def ask(http: TestClient, path: str, **params: Any) -> httpx.Response:
    return http.get(f"/v1/review/lamp.v001/{path}", params=params)


def test_the_document_says_of_every_frame_how_it_is(http: TestClient) -> None:
    page = http.get("/v1/review/lamp").json()

    assert (page["job"], page["width"], page["height"], page["lambda"]) == ("lamp.v001", WIDTH, HEIGHT, 2)
    frames = {each["frame"]: each for each in page["frames"]}
    assert frames[1001]["state"] == "done" and frames[1001]["curve"] == [[4.0, 0.05]]
    assert frames[BEGUN]["picture"] == "r00"
    assert frames[WAITING]["picture"] == ""
    assert frames[ABSENT]["problem"].endswith("crashed five times")
    assert "cut short" in frames[CUT]["problem"]
    assert frames[GONE]["problem"] == "its file is missing"


def test_pixels_of_a_layer_are_those_of_the_file(made: Made, http: TestClient) -> None:
    told = ask(http, "frames/1001/layers").json()
    index = [layer["name"] for layer in told["layers"]].index("beauty")

    whole = image(ask(http, "frames/1001/pixels", layer=index))
    small = image(ask(http, "frames/1001/pixels", layer=index, step=3))

    assert np.array_equal(whole[..., :3], made.beauty[1001])
    assert small.shape == (HEIGHT // 3, WIDTH // 3, 4)
    assert small[0, 0, 0] == pytest.approx(made.beauty[1001][:3, :3, 0].mean(), rel=2e-3)


def test_proxies_of_done_frames_are_there_without_a_look_at_the_file(made: Made, http: TestClient) -> None:
    for frame in (1001, CUT):
        told = ask(http, f"frames/{frame}/proxy", layer="beauty")
        assert told.headers["X-Frame"] == f"{WIDTH},{HEIGHT},1"
        assert np.array_equal(image(told)[..., :3], made.beauty[frame])

    assert ask(http, f"frames/{BEGUN}/proxy", layer="beauty").status_code == 404
    assert ask(http, "frames/1001/proxy", layer="N").status_code == 422


def test_a_frame_that_is_being_rendered_shows_its_newest_round(http: TestClient) -> None:
    told = ask(http, f"frames/{BEGUN}/layers").json()

    assert told["source"] == "round 0"
    assert [layer["name"] for layer in told["layers"]] == ["beauty", "samples", "error"]
    assert (image(ask(http, f"frames/{BEGUN}/pixels", layer=1)) == 4).all()


@pytest.mark.parametrize(
    ("frame", "told"), [(WAITING, "no picture yet"), (CUT, "not whole"), (GONE, "missing"), (9999, "no picture yet")]
)
def test_what_cannot_be_shown_is_said(http: TestClient, frame: int, told: str) -> None:
    response = ask(http, f"frames/{frame}/layers")

    assert response.status_code == 404
    assert told in response.json()["detail"]


def test_a_layer_is_shown_as_the_config_shows_it(made: Made, http: TestClient) -> None:
    view = {"display": "Rec.1886 Rec.709 - Display", "view": "Un-tone-mapped"}

    png = ask(http, "frames/1001/shown", layer=0, exposure=1, **view).content

    want = viewing.to_display(made.beauty[1001].astype(np.float32), exposure=1, **view)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), want)
    assert ask(http, "frames/1001/shown", layer=0, display="x", view="y").status_code == 422
    programs = {
        http.get("/v1/views/program", params={"display": viewing.DISPLAY, "view": viewing.VIEW, "space": space}).text
        for space in ("linear_srgb", "acescg")
    }
    assert len(programs) == 2


def test_small_pictures_are_made_of_done_and_of_begun_frames(http: TestClient) -> None:
    for frame in (1001, BEGUN):
        assert ask(http, f"frames/{frame}/thumbnail").content[:3] == b"\xff\xd8\xff"


def test_views_come_as_programs_without_tables(http: TestClient) -> None:
    views = http.get("/v1/views").json()

    for display, names in views["displays"].items():
        assert "HDR" not in str(names)
        for view in names:
            program = http.get("/v1/views/program", params={"display": display, "view": view})
            assert "vec4 OCIOMain(vec4" in program.text


def test_the_page_is_open_and_what_it_asks_for_is_not(http: TestClient) -> None:
    page = http.get("/review/", headers={"Authorization": ""})

    assert page.status_code == 200 and "script-src 'self'" in page.headers["Content-Security-Policy"]
    for path in ("/v1/review/lamp", "/v1/views", "/v1/review/lamp/frames/1001/layers"):
        assert http.get(path, headers={"Authorization": ""}).status_code == 401
    for path in ("/review/../app.py", "/review/%2e%2e/routes.py", "/review/__init__.py", "/review/none.js"):
        assert http.get(path).status_code == 404


def test_lambda_goes_into_the_shot_with_everything_else_as_it_was(made: Made, http: TestClient) -> None:
    told = http.post("/v1/review/lamp/lambda", json={"lambda": 3.5}).json()["told"]

    assert told == "denoise.lambda: 3.5 is in shot.yaml"
    assert made.shot_file.read_text() == SHOT.replace("lambda: 2}", "lambda: 3.5}")
    assert load_shot(str(made.shot_file)).denoise.lambda_ == 3.5


def test_a_painted_map_is_written_at_the_size_of_the_frames(made: Made, http: TestClient) -> None:
    plane = np.zeros((6, 8), np.uint8)
    plane[:, 4:] = 255
    strokes = {"width": 8, "height": 6, "data": base64.b64encode(plane.tobytes()).decode()}

    response = http.post("/v1/review/lamp/lambda", json={"lambda": 1, "strokes": strokes})

    assert response.status_code == 200, response.text
    with OpenEXR.File(str(made.shot_file.parent / "lambda_map.exr"), separate_channels=True) as file:
        painted = file.parts[0].channels["Y"].pixels
    assert painted.shape == (HEIGHT, WIDTH)
    assert painted[0, 0] == 1 and painted[-1, -1] == pytest.approx(10)
    assert load_shot(str(made.shot_file)).denoise.lambda_map is not None


@pytest.mark.parametrize(
    "body",
    [
        {"lambda": 11},
        {"lambda": 2, "strokes": {"width": 2, "height": 2, "data": "AAA="}},
        {"lambda": 2, "strokes": {"width": 2, "height": 2, "data": "%%%"}},
        {"lambda": 2, "path": "/etc/passwd"},
    ],
)
def test_what_is_no_lambda_is_refused_and_nothing_is_written(made: Made, http: TestClient, body: Any) -> None:
    before = made.shot_file.read_text()

    assert http.post("/v1/review/lamp/lambda", json=body).status_code == 422
    assert made.shot_file.read_text() == before
