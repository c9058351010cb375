"""What the review page promises: how soon a picture is there, how soon it follows λ, and that its pixels are right.

python -m benchmarks.review [--quick] [--json FILE]

A 1080p frame of 20 layers, written by hand, is shown by headless Chromium from the server of `pipeline review`. Server
and browser share the machine, and the browser draws without a graphics card. Times are those at which the page has
drawn, as it tells them itself.
"""

from __future__ import annotations

import io
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import OpenEXR
from PIL import Image

from benchmarks.browser import Browser, chromium
from benchmarks.results import Results, Row, main
from benchmarks.review_server import served
from benchmarks.review_shot import Made, claimed
from pipeline.images import exr_parts, viewing
from pipeline.images.proxy import LAYERS as PROXIED
from pipeline.images.proxy import SIZE as PROXY
from pipeline.images.proxy import proxies
from pipeline.review.layers import layers as layers_of
from pipeline.review.layers import pixels
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
ON_DEMAND = "light0"
"""A layer without a proxy, which nobody has looked at."""
PAGE_SECONDS = 300.0
READ = """(() => {
  const canvas = document.getElementById("picture"), gl = canvas.getContext("webgl2"), side = 256;
  const bytes = new Uint8Array(side * side * 4);
  gl.readPixels((canvas.width - side) >> 1, (canvas.height - side) >> 1, side, side, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  return [canvas.width, canvas.height, Array.from(bytes)];
})()"""
CHANGED = """new Promise((done) => {
  const control = document.getElementById(%s), began = performance.now();
  const count = () => performance.getEntriesByName(%s).length, before = count();
  control.value = %s;
  control.dispatchEvent(new Event(%s, {bubbles: true}));
  const look = () => count() > before ? done((performance.getEntriesByName(%s).at(-1).startTime - began) / 1000)
    : requestAnimationFrame(look);
  look();
})"""
"""Seconds from a change of a control to a mark of the page."""
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def measure(results: Results) -> None:
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as scratch:
        before = os.environ.get("PENUMBRA_CACHE")
        os.environ["PENUMBRA_CACHE"] = str(Path(scratch, "cache"))
        try:
            pictures(results, Path(scratch, "pictures"))
            made = claimed(Path(scratch, "steering"), SHOT.format(width=PROXY[0], height=PROXY[1]))
            for frame in (1001, 1002):
                made.finish(frame)
            steering(results, made)
            slider(results, made, Path(scratch))
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
    layers = _layers(made, 1001)
    began = time.perf_counter()
    proxies(layers)
    seconds = 1000 * (time.perf_counter() - began)
    results.add(Row("proxies", f"making the proxies of a frame of {_told(SIZE)}, when it is published", seconds, "ms"))
    rows = (
        (
            "first-picture",
            f"page to first picture of a frame of {_told(SIZE)}, {LAYERS} layers, from its proxy",
            1.0,
        ),
        ("full-precision", "page to that layer at full precision, nothing kept", None),
        ("layer", "choice of another layer to that layer at full precision, nothing kept", 2.5),
    )
    if chromium() is None:
        for key, what, must in rows:
            results.add(Row(key, what, None, "s", must=must, note="needs Chromium"))
        return
    seen: dict[str, list[float]] = {key: [] for key, _, _ in rows}
    with _browser(folder) as browser:
        for run in range(2 if results.quick else 5):
            os.environ["PENUMBRA_CACHE"] = str(folder / f"cache-{run}")  # nothing is kept of the run before
            with served(made.store, "lamp", project=made.project) as page:
                browser.open(page)
                browser.until(_shows("picture 1001 beauty"), seconds=PAGE_SECONDS)
                seen["first-picture"].append(browser.run(_mark("review-preview")))
                seen["full-precision"].append(browser.run(_mark("review-picture")))
                seen["layer"].append(_changed(browser, "layer-a", ON_DEMAND, "change", "review-picture"))
                browser.set("layer-a", "beauty")
                browser.until(_shows("picture 1001 beauty"), seconds=PAGE_SECONDS)
                apart = _apart(browser, made)
                browser.press("f")
                browser.run(SETTLED)
                browser.screenshot(folder / "page.png")
    results.picture("page", np.asarray(Image.open(folder / "page.png").convert("RGB")), "the page, at 1280×720")
    for key, what, must in rows:
        results.add(Row(key, what, statistics.median(seen[key]), "s", must=must, note=_spread(seen[key])))
    results.add(Row("view", "most that a shown pixel is off OpenColorIO's, at +1 stop", apart, "of 255", must=1))


def steering(results: Results, made: Made) -> None:
    """A change of λ on a proxy that is prepared, on two threads: what the server does."""
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
        what = f"a change of λ, {_told((PROXY[0] // coarser, PROXY[1] // coarser))}, window of 2 frames, two threads"
        results.add(Row(key, what, statistics.median(taken), "ms", must=must, note=_spread(taken)))
    results.add(Row("prepare", f"the first picture of a frame for λ, {_told(PROXY)}", prepared, "s"))


def slider(results: Results, made: Made, folder: Path) -> None:
    """The same, seen from the page: from the slider to what is drawn, as coarse as the page has chosen."""
    key, what = "lambda-page", "λ slider to the drawn picture in Chromium, as coarse as the page chooses while it moves"
    if chromium() is None:
        results.add(Row(key, what, None, "ms", note="needs Chromium"))
        return
    with _browser(folder) as browser, served(made.store, "lamp", project=made.project) as page:
        browser.open(page)
        browser.until(_shows("picture 1001 beauty"), seconds=PAGE_SECONDS)
        places = [0.05 + 0.9 * k / 23 for k in range(12 if results.quick else 24)]
        taken = [1000 * _changed(browser, "lambda", f"{place:.3f}", "input", "review-steered") for place in places]
        size = browser.run("document.getElementById('steered').textContent").partition(",")[0]
    settled = taken[len(taken) // 3 :]  # until then the page learns how fast this machine is
    note = f"{size}; {_spread(settled)}"
    results.add(Row(key, what, statistics.median(settled), "ms", must=150.0, note=note))


def _layers(made: Made, frame: int) -> dict[str, np.ndarray]:
    """The layers of a deliverable as they were before it was written."""
    path = made.store.path(made.products.name(f"frames/lamp.{frame}.exr"))
    assert path is not None
    data = path.read_bytes()
    return {each.name: pixels(data, each).astype(np.float32) for each in layers_of(data) if each.name in PROXIED}


def _changed(browser: Browser, control: str, value: str, event: str, mark: str) -> float:
    """Seconds from a change of a control to the next mark of that name."""
    texts = [json.dumps(each) for each in (control, mark, value, event, mark)]
    return float(browser.run(CHANGED % tuple(texts)))


def _shows(what: str) -> str:
    return f"document.getElementById('picture')?.dataset.shown === {json.dumps(what)}"


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _spread(values: list[float]) -> str:
    return f"{min(values):.3g} … {max(values):.3g}, {len(values)} times"


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
    """Seconds from the page's beginning to the first mark of a name."""
    return f"performance.getEntriesByName({json.dumps(name)})[0].startTime / 1000"


def _apart(browser: Browser, made: Made) -> int:
    """The largest difference of shown pixels from what OpenColorIO computes on the CPU."""
    browser.press("1")
    for _ in range(4):
        browser.press("]")
    browser.run(SETTLED)
    width, height, data = browser.run(READ)
    seen = np.array(data, np.uint8).reshape(256, 256, 4)[::-1, :, :3].astype(int)
    # As the page rounds: halves up.
    left, top = (math.floor((extent - size) / 2 + 0.5) for extent, size in zip((width, height), SIZE, strict=True))
    x, y = ((width - 256) >> 1) - left, height - ((height - 256) >> 1) - 256 - top
    beauty = made.beauty[1001][y : y + 256, x : x + 256].astype(np.float32)
    browser.press("0")
    return int(np.abs(seen - viewing.to_display(beauty, exposure=1.0).astype(int)).max())


@contextmanager
def _browser(folder: Path) -> Iterator[Browser]:
    browser = Browser(folder / "chromium")
    try:
        yield browser
    finally:
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main("review", "The review page", __doc__.splitlines()[0], measure))
