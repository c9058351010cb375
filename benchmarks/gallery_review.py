"""The pictures of the review page in the guide, from a rendered job. They need Chromium.

pipeline submit shot_010
python -m benchmarks.gallery_review renders
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.browser import Browser, chromium
from benchmarks.gallery import IMAGES
from benchmarks.machine import ROOT
from benchmarks.review_server import served
from pipeline.farm import job as jobs
from pipeline.farm.store import open_store

SHOT, FRAME = "shot_010", 1004
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def main(store_directory: str) -> int:
    """Writes docs/images/review-*.png from the newest version of the shot; 1 where there is no Chromium.

    Args:
        store_directory: where the shot was rendered.
    """
    if chromium() is None:
        print("there is no Chromium here: apt-get install chromium", file=sys.stderr)
        return 1
    store = open_store(store_directory)
    job = jobs.load(store, jobs.jobs(store, SHOT)[-1])
    place = list(job.frames).index(FRAME)
    with TemporaryDirectory(prefix="penumbra-gallery-") as scratch, served(store, job.id, project=ROOT) as page:
        browser = Browser(Path(scratch, "chromium"))
        try:
            browser.open(page)
            browser.until("document.getElementById('picture')?.dataset.shown?.startsWith('picture')")
            browser.set("scrubber", str(place), event="input")
            _shows(browser, f"picture {FRAME} beauty")
            browser.press("w")
            _shows(browser, f"other {FRAME} beauty")
            _keep(browser, "wipe")
            browser.press("w")
            browser.set("layer-a", "error")
            _shows(browser, f"picture {FRAME} error")
            _keep(browser, "error")
            browser.press("g")
            cells = f"document.querySelectorAll('#sheet img').length >= {len(job.frames)}"
            browser.until(f"{cells} && [...document.querySelectorAll('#sheet img')].every((each) => each.complete)")
            _keep(browser, "sheet")
        finally:
            browser.close()
    return 0


def _shows(browser: Browser, what: str) -> None:
    browser.until(f"document.getElementById('picture').dataset.shown === '{what}'")


def _keep(browser: Browser, name: str) -> None:
    browser.run(SETTLED)
    browser.screenshot(IMAGES / f"review-{name}.png")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else "renders"))
