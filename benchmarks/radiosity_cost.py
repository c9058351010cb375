"""What previews take: a step, a picture, the first picture in a browser, and a path of free viewpoints."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT
from benchmarks.radiosity_browser import Browser
from benchmarks.radiosity_subjects import Image, Subject, free_views, reference, traced
from benchmarks.radiosity_trials import SPP, Sizes, Variant, plan, trained
from benchmarks.referee import Interval, median_ratio, timed_pairs
from pipeline.images import metrics
from pipeline.radiosity.render import guides, render

__all__ = ["Race", "first_picture", "picture_seconds", "race", "step_ratio"]

WARM_UP, STEPS = 8, 16
VIEWS = 100
JUDGED = 5  # of the free views
PATIENCE = 600.0


def step_ratio(subject: Subject, sizes: Sizes, *, pairs: int) -> Interval:
    """Seconds of blocks of steps, semi-gradient over full gradient, in turn."""
    from pipeline.radiosity.train import Trainer

    pair = [Trainer(subject.opened.sources, plan(Variant(method), sizes, 0)) for method in ("semi", "full")]

    def steps(which: int) -> None:
        pair[which].advance(pair[which].progress.step + STEPS)

    return median_ratio(timed_pairs(lambda: steps(0), lambda: steps(1), pairs=pairs, warm_up=1))


def picture_seconds(subject: Subject, sizes: Sizes, *, count: int) -> float:
    """Median seconds of a 320×180 left-hand side at one sample per pixel, after the compiler has run."""
    from pipeline.radiosity.train import Trainer

    trainer = Trainer(subject.opened.sources, plan(Variant(), sizes, 0))
    view = subject.view.at(320, 180)
    times = []
    for number in range(count + 1):
        began = time.perf_counter()
        render(subject.opened.sources, trainer.shown, view, first=number, hide_emitters=subject.opened.hide_emitters)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def first_picture(shot: str, steps: int = 50) -> float:
    """Seconds from the command to the browser's first picture of a cache that was trained so many steps.

    Raises:
        TimeoutError: no page, or no picture.
    """
    program = shutil.which("pipeline") or str(Path(sys.executable).with_name("pipeline"))
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "preview", str(ROOT / "shots" / shot), "--steps", str(steps), "--port", "0", "--fresh"]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            port = next((int(found[1]) for line in process.stderr if (found := re.search(r"://\S+:(\d+)", line))), None)
            if port is None:
                raise TimeoutError("the viewer gave no address")
            browser = Browser(port)
            browser.look((0.0, 1.0, 2.0), (0.0, 1.0, 0.0), (320, 180))
            latest = None
            kept = Path(folder) / "previews" / shot
            # The course is kept when it has ended: what comes afterwards was trained to the end.
            while latest is None or not any(kept.glob("*.cache")):
                latest = browser.picture(PATIENCE)
                if latest is None:
                    raise TimeoutError("the viewer sent no picture")
            browser.close()
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Race:
    """A hundred free viewpoints: the cache against a denoised path tracer that gets the same time.

    Attributes:
        seconds: of all, training included.
        cache, tracer: relMSE, trimmed, mean over judged views.
        spp: of the tracer.
        even: views from which on the cache is better; None: not up to the ones measured.
        pictures: of the first judged view: cache, tracer, reference.
    """

    seconds: float
    cache: float
    tracer: float
    spp: int
    even: int | None
    pictures: tuple[Image, Image, Image]


def race(subject: Subject, sizes: Sizes, folder: Path) -> Race:
    """Trains, draws, and traces against the clock."""
    from pipeline.radiosity.cleaned import cleaned, denoiser

    views = free_views(subject, VIEWS)
    judged = views[:: VIEWS // JUDGED]
    truths = [reference(subject, view, f"free{k}", sizes.reference_spp, folder) for k, view in enumerate(judged)]
    hides = subject.opened.hide_emitters
    began = time.perf_counter()
    trainer = trained(subject, Variant(), sizes, 0)
    training = time.perf_counter() - began
    render(subject.opened.sources, trainer.shown, judged[0], hide_emitters=hides)  # compiles
    began = time.perf_counter()
    drawn = [render(subject.opened.sources, trainer.shown, view, spp=SPP, hide_emitters=hides) for view in judged]
    a_picture = (time.perf_counter() - began) / len(judged)

    oidn = denoiser("oidn")

    def tracer(view: object, spp: int) -> Image:
        picture = traced(subject, view, spp, 99)  # type: ignore[arg-type]
        return cleaned(oidn, picture, guides(subject.opened.sources, view, hide_emitters=hides))  # type: ignore[arg-type]

    tracer(judged[0], 1)
    counts = (1, 4, 16, 64)
    errors, times = [], []
    for spp in counts:
        began = time.perf_counter()
        pictures = [tracer(view, spp) for view in judged]
        times.append((time.perf_counter() - began) / len(judged))
        errors.append(_error(pictures, truths))
    ours = _error(drawn, truths)
    total = training + VIEWS * a_picture
    spp = int(np.clip(np.interp(total / VIEWS, times, counts), 1, 4096))
    theirs = [tracer(view, spp) for view in judged]
    # The tracer's time for an error as small as ours; extrapolated as Monte Carlo error falls, 1/n.
    slope = np.log(errors)[::-1], np.log(times)[::-1]
    needed = float(np.exp(np.interp(np.log(ours), *slope))) if ours > errors[-1] else times[-1] * errors[-1] / ours
    even = int(np.ceil(training / (needed - a_picture))) if needed > a_picture else None
    return Race(total, ours, _error(theirs, truths), spp, even, (drawn[0], theirs[0], truths[0].image))


def _error(pictures: list[Image], truths: list) -> float:  # type: ignore[type-arg]
    return float(np.mean([metrics.rel_mse(a, b.image) for a, b in zip(pictures, truths, strict=True)]))
