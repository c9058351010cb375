"""A probe of a job that is about to be submitted: one frame, small and rough, in a process of its own as workers do it.

    python -m pipeline.farm.probe STORE JOB

Each round that is judged is told at once, a JSON document a line: a probe that takes too long has told something.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pipeline.farm.job import Frozen, claim, load
from pipeline.farm.names import Frame
from pipeline.farm.store import BLOBS, LocalStore

__all__ = ["Probe", "probe"]

SECONDS: Final = 20.0
"""A probe may take so long."""
WIDTH: Final = 192
"""Pixels across, at most."""
FIRST_SPP, MAX_SPP = 8, 32


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe has seen.

    Attributes:
        pixels: of its frame.
        history: samples per pixel and predicted mean error after each round.
        p99: of the last round.
        samples_per_second: of the fastest round: the first ones compile.
        denoise_seconds: of one round; 0 where none is denoised.
    """

    pixels: int
    history: tuple[tuple[float, float], ...]
    p99: float
    samples_per_second: float
    denoise_seconds: float


def probe(store: LocalStore, shot: str, frozen: Frozen, frame: Frame, size: tuple[int, int]) -> Probe | None:
    """Renders one frame of what is about to be submitted; None if it shows no error in time.

    Args:
        store: a scratch one, with the frozen scenes.
        shot: the shot's name.
        frozen: what is to be submitted.
        frame: to be rendered.
        size: (width, height) of the shot.
    """
    job, _ = claim(store, shot, _small(frozen, size), frames=[frame])
    command = [sys.executable, "-m", "pipeline.farm.probe", store.url, job.id]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False
        ).stdout
    except subprocess.TimeoutExpired as late:
        done = late.stdout or b""
    told = [json.loads(line) for line in done.decode().splitlines() if line.startswith("{") and line.endswith("}")]
    if not told:
        return None
    return Probe(
        pixels=told[0]["pixels"],
        history=tuple((each["spp"], each["mean"]) for each in told),
        p99=told[-1]["p99"],
        samples_per_second=max(each["samples_per_second"] for each in told),
        denoise_seconds=min(each["denoise_seconds"] for each in told),
    )


def _small(frozen: Frozen, size: tuple[int, int]) -> Frozen:
    """The same at a small size, in three rounds; without pictures of the frame's own size."""
    config: dict[str, Any] = dict(frozen.config)
    scale = min(1.0, WIDTH / size[0])
    config["resolution"] = [max(8, round(length * scale)) for length in size]
    config["film"] = {**(config.get("film") or {}), "crop": None, "overscan": [0, 0, 0, 0]}
    config["sampling"] = {
        **config["sampling"],
        **{"first_spp": FIRST_SPP, "max_spp": MAX_SPP, "budget_spp": None, "target_error": 0.0, "importance": None},
    }
    config["denoise"] = {**config["denoise"], "lambda_map": None}
    return replace(frozen, config=config)


def main(url: str, job_id: str) -> None:
    """Makes the job's rounds, and tells of each."""
    from pipeline.farm import names, plan, recipes
    from pipeline.farm.context import Context
    from pipeline.farm.job_plan import JobPlan
    from pipeline.farm.products import Products

    store = LocalStore(url)
    job = load(store, job_id)
    products, wanted, frame = Products(store, job), JobPlan.of(job), job.frames[0]
    context = Context(blobs=store.path(BLOBS))
    denoising = 0.0
    while not products.exists(names.stop(frame)):
        for task in plan.runnable(wanted, products):
            began = time.perf_counter()
            facts, arrays = recipes.make(task, job, products, context)
            products.publish(task, facts, arrays)
            kind, r = names.parse(task).kind, names.parse(task).round
            if kind in ("denoised", "draft"):
                denoising = time.perf_counter() - began
            if kind == "error":
                pixels = products.facts(names.samples(frame, r or 0))["bounds"][-1]
                print(json.dumps(_told(facts, pixels, denoising)), flush=True)


def _told(facts: Mapping[str, Any], pixels: int, denoising: float) -> dict[str, float]:
    known = {key: float(facts[key]) for key in ("spp", "mean", "p99", "samples_per_second")}
    return {**known, "pixels": pixels, "denoise_seconds": denoising}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
