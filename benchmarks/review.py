"""What the review page promises: how soon a picture is there, how soon it follows λ, and that its pixels are right.

python -m benchmarks.review [--quick] [--json FILE]

A 1080p frame of 20 layers, written by hand, is shown by headless Chromium from the server of `pipeline review`.
"""

from __future__ import annotations

import io
import json
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import OpenEXR
import uvicorn
from PIL import Image

from benchmarks.browser import Browser, chromium
from benchmarks.results import Results, Row, main
from benchmarks.review_shot import Made, claimed
from pipeline.api.app import create_app
from pipeline.api.tokens import issue
from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.client import Farm
from pipeline.images import exr_parts, viewing
from pipeline.review.serving import address
from pipeline.review.steering import Steering

SHOT = """shot: lamp
scene: scene.xml
frames: 1001-1002
resolution: [{width}, {height}]
denoise: {{backend: kpcn, preset: fast, lambda: 1}}
sampling: {{first_spp: 4, max_spp: 16, guide: variance}}
"""
SIZE = (1920, 1080)
LAYERS = 20
PROXY = (640, 360)
READ = """(() => {
  const canvas = document.getElementById("picture"), gl = canvas.getContext("webgl2"), side = 256;
  const bytes = new Uint8Array(side * side * 4);
  gl.readPixels((canvas.width - side) >> 1, (canvas.height - side) >> 1, side, side, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  return [canvas.width, canvas.height, Array.from(bytes)];
})()"""
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def measure(results: Results) -> None:
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as scratch:
        before = os.environ.get("PENUMBRA_CACHE")
        os.environ["PENUMBRA_CACHE"] = str(Path(scratch, "cache"))
        try:
            pictures(results, Path(scratch, "pictures"))
            steering(results, Path(scratch, "steering"))
        finally:
            if before is None:
                del os.environ["PENUMBRA_CACHE"]
            else:
                os.environ["PENUMBRA_CACHE"] = before


def pictures(results: Results, folder: Path) -> None:
    """From the page's address to its first picture and to the layer at full precision; pixels against OpenColorIO."""
    made = claimed(folder, SHOT.format(width=SIZE[0], height=SIZE[1]))
    made.finish(1001)
    _widen(made, 1001)
    rows = (
        ("first-picture", f"page to first picture of a 1080p frame of {LAYERS} layers, in Chromium", 1.0),
        ("full-layer", "page to the layer at full precision, nothing kept", 2.5),
    )
    if chromium() is None:
        for key, what, must in rows:
            results.add(Row(key, what, None, "s", must=must, note="needs Chromium"))
        return
    first, full = [], []
    with _browser(folder) as browser:
        for run in range(2 if results.quick else 5):
            os.environ["PENUMBRA_CACHE"] = str(folder / f"cache-{run}")  # nothing is kept of the run before
            with _served(made, f"run-{run}") as page:
                browser.open(page)
                browser.until(
                    "document.getElementById('picture')?.dataset.shown === 'picture 1001 beauty'", seconds=300
                )
                browser.run(SETTLED)
                seconds = {name: browser.run(_mark(name)) for name in ("review-preview", "review-picture")}
                first.append(min(value for value in seconds.values() if value is not None))
                full.append(seconds["review-picture"])
                apart = _apart(browser, made)
                browser.press("f")
                browser.run(SETTLED)
                browser.screenshot(folder / "page.png")
    results.picture("page", np.asarray(Image.open(folder / "page.png").convert("RGB")), "the page, at 1280×720")
    results.add(Row(*rows[0][:2], statistics.median(first), "s", must=rows[0][2]))
    results.add(Row(*rows[1][:2], statistics.median(full), "s", must=rows[1][2]))
    results.add(Row("view", "most that a shown pixel is off OpenColorIO's, at +1 stop", apart, "of 255", must=1))


def steering(results: Results, folder: Path) -> None:
    """A change of λ on a proxy that is prepared, on two threads."""
    made = claimed(folder, SHOT.format(width=PROXY[0], height=PROXY[1]))
    for frame in (1001, 1002):
        made.finish(frame)
    steered = Steering(threads=2)
    began = time.perf_counter()
    steered.picture(made.products, 1001, 1.5)
    prepared = time.perf_counter() - began
    for coarser, key, must in ((1, "lambda", 150.0), (2, "lambda-coarse", None)):
        steered.picture(made.products, 1001, 1.5, coarser=coarser)
        taken = []
        for k in range(5 if results.quick else 20):
            began = time.perf_counter()
            steered.picture(made.products, 1001, 2.0 + 0.3 * k, coarser=coarser)
            taken.append(1000 * (time.perf_counter() - began))
        size = f"{PROXY[0] // coarser}×{PROXY[1] // coarser}"
        results.add(
            Row(
                key,
                f"a change of λ, {size}, window of 2 frames, two threads",
                statistics.median(taken),
                "ms",
                must=must,
            )
        )
    results.add(Row("prepare", f"the first picture of a frame for λ, {PROXY[0]}×{PROXY[1]}", prepared, "s"))


def _widen(made: Made, frame: int) -> None:
    """Adds parts to a deliverable until it has as many layers as the row says."""
    name = made.products.name(f"frames/lamp.{frame}.exr")
    path = made.store.path(name)
    assert path is not None
    with OpenEXR.File(str(path), separate_channels=True) as file:
        parts = list(file.parts)
        noise = np.random.default_rng(0).random((SIZE[1], SIZE[0], 3)).astype(np.float16)
        for extra in range(LAYERS - len(parts)):
            channels = {f"light{extra}.{axis}": np.ascontiguousarray(noise[..., k]) for k, axis in enumerate("RGB")}
            parts.append(OpenEXR.Part(dict(parts[0].header), channels, f"light{extra}"))
        stream = io.BytesIO()
        OpenEXR.File(parts).write(stream)
    path.unlink()
    made.store.create(name, stream.getvalue())
    assert len(exr_parts.headers(stream.getvalue())) == LAYERS


def _mark(name: str) -> str:
    """Seconds from the page's beginning to the first mark of a name; null where there is none."""
    return f"(performance.getEntriesByName({json.dumps(name)})[0]?.startTime ?? null) && " + (
        f"performance.getEntriesByName({json.dumps(name)})[0].startTime / 1000"
    )


def _apart(browser: Browser, made: Made) -> int:
    """The largest difference of shown pixels from what OpenColorIO computes on the CPU."""
    browser.press("1")
    for _ in range(4):
        browser.press("]")
    browser.run(SETTLED)
    width, height, data = browser.run(READ)
    seen = np.array(data, np.uint8).reshape(256, 256, 4)[::-1, :, :3].astype(int)
    left, top = round((width - SIZE[0]) / 2), round((height - SIZE[1]) / 2)
    x, y = ((width - 256) >> 1) - left, height - ((height - 256) >> 1) - 256 - top
    beauty = made.beauty[1001][y : y + 256, x : x + 256].astype(np.float32)
    browser.press("0")
    return int(np.abs(seen - viewing.to_display(beauty, exposure=1.0).astype(int)).max())


@contextmanager
def _served(made: Made, name: str) -> Iterator[str]:
    """The page's address, while a server shows the job."""
    tokens = made.project / "tokens.json"
    token = issue(tokens, name, "write")
    app = create_app(Farm.offline(made.store, FarmConfig()), tokens=tokens, project=made.project)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address(listener.getsockname()[1], "lamp", token)
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def _browser(folder: Path) -> Iterator[Browser]:
    browser = Browser(folder / "chromium")
    try:
        yield browser
    finally:
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main("review", "The review page", __doc__.splitlines()[0], measure))
