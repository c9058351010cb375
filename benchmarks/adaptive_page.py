"""The page below the rows: errors by guide, Figure 9's matrix, calibration, and sample maps as in Figure 19."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.adaptive_eta import Forecasted
from benchmarks.adaptive_kit import DEFAULT, Case
from benchmarks.adaptive_races import Race
from benchmarks.adaptive_rows import MATRIX_METRICS, Trials, by_clip, calibration, pairs
from benchmarks.adaptive_trials import MATRIX, ORACLE, PICTURED_SPP, STUDIED, UNIFORM, Sizes, Trial
from benchmarks.denoise_sequences import Clip
from benchmarks.results import Results
from pipeline.images.false_colour import Scale, bar, colours
from pipeline.images.viewing import to_display
from pipeline.render.buffers import luminance

__all__ = ["pages", "panel"]

LABELS = {
    "uniform-smape": "uniform",
    "variance-smape": "relative variance",
    "error-smape": "predicted SMAPE",
    "error-mrse": "predicted MrSE",
    "error-dssim": "predicted DSSIM",
    "error-ms_dssim": "predicted MS-DSSIM",
    "oracle-smape": "true SMAPE (oracle)",
}
KEY = 0.18  # a picture's mean luminance (geometric) is shown as middle grey
GAP = 4
TITLE = 20
LEAST_WIDTH = 240
"""Pixels of a map; smaller ones are enlarged, each pixel to a square."""
NAMES = {"mrse": "MrSE", "smape": "SMAPE", "dssim": "DSSIM", "ms_dssim": "MS-DSSIM"}


def pages(
    results: Results,
    clips: Sequence[Clip],
    trials: Trials,
    stopped: Mapping[tuple[str, int], Trial],
    races: Mapping[tuple[str, int], Race],
    jobs: Sequence[Forecasted],
    sizes: Sizes,
) -> None:
    """Everything below the table of rows."""
    _maps(results, clips, trials)
    _errors(results, clips, trials, sizes)
    _curves(results, clips, trials)
    _matrix(results, trials, sizes)
    _calibration(results, clips, trials)
    _stops(results, clips, stopped)
    _races(results, races)
    _jobs(results, jobs)


# --- Figure 19 ----------------------------------------------------------------------------------------------------


def _maps(results: Results, clips: Sequence[Clip], trials: Trials) -> None:
    ratios = by_clip(pairs(trials, DEFAULT, UNIFORM, "smape", PICTURED_SPP))
    oracle = by_clip(pairs(trials, ORACLE, UNIFORM, "smape", PICTURED_SPP))
    if not ratios:
        results.text("## Sample maps\n\nNo predicted maps: there are no weights that predict the denoiser's errors.")
        return
    order = sorted(ratios, key=lambda name: ratios[name])
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    results.text(
        f"## Sample maps (Figure 19)\n\n{PICTURED_SPP} samples per pixel, seed 0: the picture that predicted "
        "SMAPE guided, its samples, and the oracle's. Best, median and worst sequence by SMAPE over uniform's; equal "
        "colours are equal numbers of samples."
    )
    for place, name in chosen.items():
        ours, true = trials[name, DEFAULT, 0], trials[name, ORACLE, 0]
        told = (f"predicted: {ratios[name]:.3f} of uniform", f"oracle: {oracle[name]:.3f} of uniform")
        caption = f"{place}: {name}. SMAPE over uniform's: {told[0].split()[1]} predicted, {told[1].split()[1]} oracle"
        results.picture(f"maps-{place}", panel(ours.pictures, true.pictures, told), caption)


def panel(
    ours: Mapping[str, NDArray[Any]], true: Mapping[str, NDArray[Any]], told: tuple[str, str]
) -> NDArray[np.uint8]:
    """Picture, predicted sample map and the oracle's side by side, with a title above each and their scale below.

    Args:
        ours, true: `pictures` of two trials.
        told: titles of the maps.
    """
    picture = ours["denoised"].astype(np.float32)
    key = float(np.exp(np.mean(np.log(luminance(picture) + 1e-4))))
    exposure = float(np.clip(math.log2(KEY / key), -3.0, 6.0))
    both = np.concatenate([ours["spent"].ravel(), true["spent"].ravel()])
    scale = Scale(max(1.0, float(both.min())), float(both.max()), logarithmic=True)
    tiles = [to_display(picture, exposure=exposure), colours(ours["spent"], scale), colours(true["spent"], scale)]
    times = max(1, -(-LEAST_WIDTH // picture.shape[1]))
    tiles = [tile.repeat(times, axis=0).repeat(times, axis=1) for tile in tiles]
    height, width = tiles[0].shape[:2]
    legend = bar(scale, 2 * width + GAP)
    sheet = Image.new("RGB", (3 * width + 2 * GAP, TITLE + height + legend.shape[0]), (18, 19, 22))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for k, (tile, title) in enumerate(zip(tiles, ("denoised", *told), strict=True)):
        left = k * (width + GAP)
        sheet.paste(Image.fromarray(tile), (left, TITLE))
        draw.text((left + 2, TITLE // 2), title, font=font, fill=(236, 238, 241), anchor="lm")
    sheet.paste(Image.fromarray(legend), (width + GAP, TITLE + height))
    return np.asarray(sheet)


# --- Errors -------------------------------------------------------------------------------------------------------


def _errors(results: Results, clips: Sequence[Clip], trials: Trials, sizes: Sizes) -> None:
    for metric in ("smape", "dssim", "flip"):
        results.text(f"## {metric.upper()} by sequence and guide\n\nMean over frames and seeds.")
        lines = []
        for clip in clips:
            for spp in sizes.levels:
                means = [_mean(trials, clip.name, case, metric, spp) for case in STUDIED]
                lines.append([clip.name, spp, *("–" if mean is None else mean for mean in means)])
        results.table(["sequence", "spp", *(LABELS[case.name] for case in STUDIED)], lines)


def _mean(trials: Trials, name: str, case: Case, metric: str, spp: float) -> float | None:
    found = [
        trial.error(metric, spp)
        for (of, by, _), trial in trials.items()
        if (of, by) == (name, case) and spp in trial.levels
    ]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def _curves(results: Results, clips: Sequence[Clip], trials: Trials) -> None:
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(clips) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows))
    for k, clip in enumerate(clips):
        axes = figure.add_subplot(rows, columns, k + 1)
        for case, style in zip(STUDIED, ("o-", "s-", "^-", "k--"), strict=True):
            levels = sorted(
                {n for (name, by, _), t in trials.items() if (name, by) == (clip.name, case) for n in t.levels}
            )
            points = [(n, mean) for n in levels if (mean := _mean(trials, clip.name, case, "smape", n)) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, markersize=3, label=LABELS[case.name])
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_title(clip.name, fontsize=9)
        axes.tick_params(labelsize=7, which="both")
        if k == 0:
            axes.legend(fontsize=6)
    figure.tight_layout()
    results.figure("curves", figure, "SMAPE over mean samples per pixel, by guide")


def _matrix(results: Results, trials: Trials, sizes: Sizes) -> None:
    from matplotlib.figure import Figure

    results.text(
        "## Guides × metrics (Figure 9)\n\nError relative to uniform sampling with as many samples, geometric mean "
        "over sequences and seeds; lower is better. MrSE leaves out the worst 0.1 % of pixels."
    )
    levels = (min(sizes.levels), sizes.deep)
    figure = Figure(figsize=(9.0, 3.2))
    lines = []
    for place, spp in enumerate(levels):
        axes = figure.add_subplot(1, len(levels), place + 1)
        for k, case in enumerate(MATRIX):
            cells = [_cell(trials, case, metric, spp) for metric in MATRIX_METRICS.values()]
            lines.append([spp, LABELS[case.name], *("–" if cell is None else cell for cell in cells)])
            heights = [math.nan if cell is None else cell for cell in cells]
            axes.bar(np.arange(len(cells)) + 0.16 * (k - 2), heights, 0.15, label=LABELS[case.name])
        axes.axhline(1.0, color="0.4", linewidth=0.8)
        axes.set_xticks(range(len(MATRIX_METRICS)), [NAMES[name] for name in MATRIX_METRICS])
        axes.set_title(f"{spp} samples per pixel", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.set_ylim(bottom=0.0)
        if place == 0:
            figure.legend(fontsize=7, loc="lower center", ncols=len(MATRIX))
    figure.subplots_adjust(bottom=0.2)
    results.table(["spp", "guide", *(NAMES[name] for name in MATRIX_METRICS)], lines)
    results.figure("matrix", figure, "Error relative to uniform sampling, by guide and metric")


def _cell(trials: Trials, case: Case, metric: str, spp: int) -> float | None:
    means = [math.log(a / b) for a, b in pairs(trials, case, UNIFORM, metric, spp).values()]
    return math.exp(float(np.mean(means))) if means else None


# --- Calibration, stops -------------------------------------------------------------------------------------------


def _calibration(results: Results, clips: Sequence[Clip], trials: Trials) -> None:
    from matplotlib.figure import Figure

    whole = calibration(trials)
    if whole is None:  # nothing is predicted
        return
    results.text(
        "## Calibration\n\nPredicted against true SMAPE of the denoised pictures, in deciles of the prediction; every "
        "round of every seed. `worst` is the largest distance of a decile, over the mean error."
    )
    figure = Figure(figsize=(5.0, 4.4))
    axes = figure.add_subplot()
    lines = []
    for name in (*(clip.name for clip in clips), None):
        found = calibration(trials, name)
        if found is None:
            continue
        style = {"color": "black", "linewidth": 2.0} if name is None else {"linewidth": 0.9}
        axes.plot(found.predicted, found.true, "o-", markersize=3, label=name or "all", **style)
        means = float(np.mean(found.predicted)), float(np.mean(found.true))
        lines.append([name or "all", *means, means[0] / means[1], found.worst])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axline((1e-3, 1e-3), (1.0, 1.0), linestyle=":", color="0.5")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("predicted SMAPE")
    axes.set_ylabel("true SMAPE")
    axes.legend(fontsize=6)
    results.table(["sequence", "predicted", "true", "predicted / true", "worst"], lines)
    told = [[k + 1, p, t] for k, (p, t) in enumerate(zip(whole.predicted, whole.true, strict=True))]
    results.table(["decile", "predicted", "true"], told)
    results.figure("calibration", figure, "Predicted against true SMAPE by decile")


def _stops(results: Results, clips: Sequence[Clip], stopped: Mapping[tuple[str, int], Trial]) -> None:
    if not stopped:
        return
    results.text("## Where frames stop\n\nTarget: the sequence's SMAPE under uniform sampling at 64 samples per pixel.")
    lines = []
    for clip in clips:
        ends = [one for (name, _), trial in stopped.items() if name == clip.name for one in trial.stops]
        here = [one for one in ends if one.reason == "target"]
        means = [
            float(np.mean([getattr(one, key) for one in here])) if here else "–" for key in ("spp", "predicted", "true")
        ]
        lines.append([clip.name, f"{len(here)} of {len(ends)}", *means])
    results.table(["sequence", "frames at the target", "spp there", "predicted SMAPE", "true SMAPE"], lines)


# --- Time ---------------------------------------------------------------------------------------------------------


def _races(results: Results, found: Mapping[tuple[str, int], Race]) -> None:
    results.text(
        "## Against the clock\n\nSeconds of both frames of a sequence, medians over runs: ours at 64 samples per "
        "pixel, `mi.render` with Open Image Denoise in the same time, plain path tracing at 256, and ours when its "
        "SMAPE was at most that."
    )
    lines = []
    for name in dict.fromkeys(name for name, _ in found):
        runs = [one for (of, _), one in found.items() if of == name]
        keys = ("ours_seconds", "ours_smape", "peer_seconds", "peer_spp", "peer_smape", "plain_seconds", "plain_smape")
        reached = [one for one in runs if one.reached_seconds > 0]
        ends = [
            float(np.median([getattr(one, key) for one in reached])) if reached else "never"
            for key in ("reached_seconds", "reached_spp")
        ]
        lines.append([name, *(float(np.median([getattr(one, key) for one in runs])) for key in keys), *ends])
    columns = ["ours, s", "SMAPE", "OIDN, s", "spp", "SMAPE", "plain, s", "SMAPE", "ours to that, s", "spp"]
    results.table(["sequence", *columns], lines)


def _jobs(results: Results, jobs: Sequence[Forecasted]) -> None:
    results.text("## Forecasts at 20 % of a job's time")
    lines: list[list[object]] = []
    for one in jobs:
        said = "nothing yet" if one.left is None else f"{one.left:.1f} ({one.low:.1f}–{one.high:.1f})"
        lines.append([one.name, one.seconds, said, 0.8 * one.seconds, f"{100 * one.error:.0f} %"])
    results.table(["job", "took, s", "ETA said, s", "was left, s", "off by"], lines)
