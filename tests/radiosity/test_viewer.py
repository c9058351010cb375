"""The viewer, over loopback."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("viser")


def test_a_browser_gets_a_picture_while_the_cache_trains(furnace: Any, plan: Any, tmp_path: Path) -> None:
    from benchmarks.radiosity_browser import Browser
    from pipeline.config.shot import Shot
    from pipeline.radiosity.caches import begin
    from pipeline.radiosity.cameras import View
    from pipeline.radiosity.course import Course
    from pipeline.radiosity.identity import Identity
    from pipeline.radiosity.session import Opened
    from pipeline.radiosity.train import Trainer
    from pipeline.radiosity.viewer import Viewer
    from pipeline.scene.animation import look_at

    view = View(look_at((0.5, 0.2, 0.5), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)), 60.0, 64, 36)
    shot = Shot(shot="furnace", scene="scene.xml", frames="1-4").at(tmp_path)
    opened = Opened(shot, 1, furnace, Identity("a", "b"), view, False, None, None, {}, tmp_path)  # type: ignore[arg-type]
    begun = begin(Trainer(furnace, plan()), opened.identity, tmp_path, say=pytest.fail)
    course = Course(begun, opened.identity, steps=10**6)
    viewer = Viewer(opened, begun, course, host="127.0.0.1", port=0, say=pytest.fail)
    browser = Browser(int(viewer.url.rpartition(":")[2]))
    seen: list[bytes | None] = []

    def sit() -> None:
        browser.look((0.5, 0.2, 0.5), (0.0, 0.0, 0.0), (64, 36))
        seen.append(browser.picture(300.0))
        browser.look((0.4, 0.3, 0.5), (0.0, 0.0, 0.0), (64, 36))
        seen.append(browser.picture(300.0))
        viewer.close()

    sitting = threading.Thread(target=sit)
    sitting.start()
    try:
        viewer.run(seconds=600.0)
    finally:
        sitting.join()
        browser.close()
        viewer.stop()
    for data in seen:
        assert data is not None
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (36, 64, 3) and pixels.mean() > 20
    assert begun.trainer.progress.step > 0
    course.keep()
    assert begun.file.exists()
