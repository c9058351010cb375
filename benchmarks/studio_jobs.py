"""Jobs that grow: frames added to a done one, more samples on chosen frames, a higher maximum. What is made twice?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.config.farm import Farm
from pipeline.config.load import load_shot
from pipeline.farm import names, plan, recipes, submission
from pipeline.farm.context import Context
from pipeline.farm.job import Job
from pipeline.farm.products import Products
from pipeline.farm.recipes_frame import planned
from pipeline.farm.store import BLOBS, LocalStore

__all__ = ["made_twice"]

SCENE: Final = """<scene version="3.0.0"><sensor type="perspective">
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="sphere" id="ball"><bsdf type="roughplastic"/></shape></scene>"""
SHOT: Final = """shot: growing
scene: scene.xml
frames: 1-5x2
resolution: [32, 18]
animate: {ball: {1: {translate: [0, 0, 0]}, 5: {translate: [0.4, 0, 0]}}}
sampling: {first_spp: 4, max_spp: 8, target_error: 0.0001, guide: variance, max_depth: 4}
denoise: {backend: none}
"""
RENDERED: Final = ("passes", "buffers", "error")
"""Plans of rounds (`samples`) are decisions of their version: they render nothing."""


def made_twice(folder: Path) -> Iterator[tuple[str, str, int, int]]:
    """Makes a small job grow: (key, what was done, products made that were there, products made) of each step."""
    (folder / "scene.xml").write_text(SCENE)
    (folder / "shot.yaml").write_text(SHOT)
    store = LocalStore(folder / "renders")
    there: set[str] = set()

    def run(**overrides: Any) -> tuple[Job, list[str]]:
        shot = load_shot(str(folder / "shot.yaml"), {key.replace("__", "."): value for key, value in overrides.items()})
        prepared = submission.prepare([shot], store, {"variant": _variant(), "key": "0123456789ab"})
        (claimed,) = submission.claim_all(prepared, store)
        job, made = claimed.job, list[str]()
        products, context = Products(store, job), Context(blobs=store.path(BLOBS), farm=Farm())
        while tasks := plan.runnable(planned(job, products), products):
            for task in tasks:
                products.publish(task, *recipes.make(task, job, products, context))
                made.append(task)
        return job, made

    steps: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("first", "every second frame", {}),
        ("frames", "the frames between are added", {"frames": "1-5"}),
        ("maximum", "a higher maximum, all frames", {"frames": "1-5", "sampling__max_spp": 16}),
        ("chosen", "more samples on two frames", {"frames": "2,4", "sampling__max_spp": 32}),
    )
    for key, what, overrides in steps:
        _, made = run(**overrides)
        rounds = {task for task in made if names.parse(task).kind in RENDERED}
        twice = rounds & there
        there |= rounds
        if key != "first":
            yield key, what, len(twice), len(made)


def _variant() -> str:
    import mitsuba as mi

    return str(mi.variant())
