"""Curvature-aware training of neural fields: optimisers × activations on images, a shape, posed pictures and the cache.

python -m benchmarks.optim [--quick] [--json FILE]

Every trial is kept in the user's cache directory as soon as it is made: run again, it goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import optim_cache, optim_cost, optim_page, optim_theory
from benchmarks import optim_rows as rows
from benchmarks.adaptive_cache import Kept, kept
from benchmarks.optim_rows import CONTENDERS, SMOOTH
from benchmarks.optim_signals import Named, Pair, images, rooms, shapes
from benchmarks.optim_sizes import FULL, QUICK, Course, Sizes
from benchmarks.optim_trials import CORRECTED, PUBLIC, Trial, code, trial
from benchmarks.optim_tuning import Tuned, tuned
from benchmarks.referee import Interval, Results, main
from pipeline.device import cache_directory
from pipeline.optim.activations import ACTIVATIONS

__all__ = ["measure"]

TITLE = "Optimisers of neural fields"
ABOUT = (
    "Fields of a few layers learn images, a shape and posed pictures; all optimisers get the same steps, batches and "
    "tuning, on other signals than those that judge. Curvature is taken from an eighth of each batch. Rows are medians "
    "of ratios over signals and seeds; a run that misses its target counts its full budget."
)

SHAPED = ("sgd", "adam", "esgd", "adahessian_e", "adahessian_j", "shampoo")
POSED = ("adam", "esgd")
ALWAYS = ("adam", "esgd")
"""Optimisers that run on all images; the others on the first ones."""

Rates = dict[tuple[str, str, str], Tuned]


def measure(results: Results, sizes: Sizes | None = None, folder: Path | None = None) -> None:
    """All rows.

    Args:
        sizes, folder: in place of the usual ones; smaller ones try the benchmark itself.
    """
    sizes = sizes or (QUICK if results.quick else FULL)
    folder = folder or cache_directory() / "benchmarks" / "optim"
    found: Rates = {}

    pictures = images(sizes.pixels, folder, count=max(sizes.tuning, sizes.test))
    learned = Pair(pictures.tuning[: sizes.tuning], pictures.test[: sizes.test])
    flat = _races("images", learned, ACTIVATIONS, CONTENDERS, sizes.images, sizes, found, folder)
    public = _races("images", learned, ["gaussian"], (PUBLIC, CORRECTED), sizes.images, sizes, found, folder)
    solid = _races("shapes", shapes(sizes.points, folder), ["gaussian"], SHAPED, sizes.shapes, sizes, found, folder)
    seen = rooms(sizes.view, sizes.samples, folder)
    posed = _races("rooms", seen, ["gaussian"], POSED, sizes.rooms, sizes, found, folder)

    costs = _costs(sizes, folder)
    products = {name: both[0] for name, both in costs[1].items()}
    rows.images(results, flat, products)
    rows.table(results, flat)
    rows.bias(results, {**flat, **public}, {name: found["images", "gaussian", name] for name in (PUBLIC, CORRECTED)})
    rows.shapes(results, solid)
    rows.rooms(results, posed)
    probed = {
        name: _probed(learned.test[0], name, found["images", name, "adam"].rate, sizes, folder) for name in ACTIVATIONS
    }
    rows.density(results, probed)
    conditioned = {
        (name, seed): optim_theory.conditions(learned.test[0], name, found["images", name, "adam"].rate, seed, folder)
        for name in SMOOTH
        for seed in range(sizes.conditions)
    }
    rows.condition(results, conditioned)
    rows.cost(results, *costs)
    rows.memory(results, _memory(sizes, folder))

    optim_page.curves(results, "images", "2D images: medians and quartiles", flat, "PSNR, dB")
    optim_page.optimizers(results, "2D images", {**flat, **public}, products)
    optim_page.curves(results, "shapes", "3D occupancy: medians and quartiles", solid, "IoU")
    optim_page.optimizers(results, "3D occupancy", solid, products)
    optim_page.curves(results, "rooms", "Posed pictures, held-out views: medians and quartiles", posed, "PSNR, dB")
    optim_page.densities(results, probed)
    optim_page.conditions(results, conditioned)
    courses = {"images": sizes.images, "shapes": sizes.shapes, "rooms": sizes.rooms}
    optim_page.rates(results, found, {task: course.steps for task, course in courses.items()})
    optim_cache.rows(results, *optim_cache.trainings(sizes.cache, folder))


def _races(
    task: str,
    signals: Pair,
    activations: Iterable[str],
    names: Sequence[str],
    course: Course,
    sizes: Sizes,
    found: Rates,
    folder: Path,
) -> dict[tuple[str, str], dict[tuple[str, int], Trial]]:
    """Tunes, then runs what judges; optimisers innermost, so that those that are compared run side by side."""
    races: dict[tuple[str, str], dict[tuple[str, int], Trial]] = {}
    for activation in activations:
        for name in names:
            best = tuned(signals.tuning, activation, name, course, sizes.rates, folder)
            found[task, activation, name] = best
            _say(f"{task}, {activation}, {name}: rate {best.rate:.2g}")
        for number, signal in enumerate(signals.test):
            for seed in range(sizes.seeds):
                for name in names:
                    if name in ALWAYS or number < sizes.table:
                        rate = found[task, activation, name].rate
                        made = trial(signal, activation, name, rate, course, seed, folder)
                        races.setdefault((activation, name), {})[signal.name, seed] = made
            _say(f"{task}, {activation}, {signal.name}: done")
    return races


def _probed(signal: Named, activation: str, rate: float, sizes: Sizes, folder: Path) -> dict[int, list[float]]:
    """Densities of Hv by step, of each seed."""
    seeds = [
        optim_theory.densities(signal, activation, rate, sizes.images, seed, folder) for seed in range(sizes.probes)
    ]
    return {step: [each[step] for each in seeds] for step in seeds[0]}


def _costs(sizes: Sizes, folder: Path) -> tuple[tuple[float, Interval], dict[str, tuple[float, float]]]:
    """A step's cost, and that of products by activation."""
    batch, width = sizes.timed

    def make() -> Kept:
        mean, later = optim_cost.step_cost(batch, width, pairs=sizes.pairs)
        products = {name: optim_cost.products(name, batch, width, pairs=sizes.pairs) for name in ACTIVATIONS}
        return Kept({"step": [mean, *vars(later).values()], "products": products})

    figures = kept(folder / code() / f"cost-{batch}-{width}-{sizes.pairs}.npz", make).figures
    mean, *later = figures["step"]
    return (mean, Interval(*later)), {name: (both[0], both[1]) for name, both in figures["products"].items()}


def _memory(sizes: Sizes, folder: Path) -> dict[str, float]:
    width = sizes.timed[1]

    def make() -> Kept:
        return Kept(optim_cost.memory(("adam", "esgd", "esgd:whole"), width=width, repeats=sizes.pairs))

    grown: dict[str, float] = kept(folder / code() / f"memory-{width}-{sizes.pairs}.npz", make).figures
    return grown


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main("optim", TITLE, ABOUT, measure))
