"""A shot whose products are written by hand: frames that are done, begun, waiting, given up, cut short and missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.review_shot import Made, claimed
from pipeline.farm import names

WIDTH, HEIGHT = 96, 54
DONE, BEGUN, WAITING, ABSENT, CUT, GONE = (1001, 1002), 1003, 1004, 1005, 1006, 1007

SHOT = """# A lamp in a room.
shot: lamp   # its name
scene: scene.xml
frames: 1001-1007
resolution: [96, 54]

denoise: {backend: kpcn, preset: fast,  lambda: 2}  # steered by hand
sampling: {first_spp: 4, max_spp: 16, target_error: 0.05, guide: variance}
"""


def make(folder: Path) -> Made:
    """The shot, in a folder."""
    made = claimed(folder, SHOT)
    for frame in (*DONE, CUT, GONE):
        made.finish(frame)
    made.begin(BEGUN)
    made.products.record(names.absent(ABSENT), {"reason": "<img src=x onerror=alert(1)> crashed five times"})
    cut = folder / "renders" / made.products.name(f"frames/lamp.{CUT}.exr")
    cut.write_bytes(cut.read_bytes()[:-2000])
    (folder / "renders" / made.products.name(f"frames/lamp.{GONE}.exr")).unlink()
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("review")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield make(folder)
