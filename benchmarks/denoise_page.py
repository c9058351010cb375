"""The page's tables per sequence, and the crops in which denoisers differ most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from benchmarks.denoise_peers import PEERS
from benchmarks.denoise_trials import LAMBDAS, OURS, SINGLE, STILL_SPP, Findings
from benchmarks.results import Results
from pipeline.images import metrics
from pipeline.images.viewing import to_display
from pipeline.render.buffers import luminance

__all__ = ["crop", "pages", "strip"]

Image = NDArray[Any]

CROP = (80, 54)
"""Width and height, pixels."""

ENLARGED = 2
GAP = 2  # pixels between two crops
KEY = 0.18  # a crop's mean luminance (geometric) is shown as middle grey

SHOWN = {
    "noisy": "noisy",
    OURS: "ours",
    "balanced": "OIDN balanced",
    "clean_aux": "OIDN high, prefiltered features",
    "reference": "reference",
}
LABELS = {OURS: "ours", SINGLE: "ours, single frame", **{peer.key: peer.label for peer in PEERS}}


def pages(results: Results, found: Sequence[Findings]) -> None:
    """Everything below the table of rows."""
    results.text("## Crops\n\n" + f"{STILL_SPP} samples per pixel. " + " | ".join(SHOWN.values()) + ".")
    for each in found:
        results.picture(each.clip.name, strip(each.pictures), f"{each.clip.name}: {each.clip.about}")
    for metric in ("smape", "dssim", "flip"):
        _errors(results, found, metric)
    _time(results, found)
    _lambda(results, found)
    _references(results, found)


def _errors(results: Results, found: Sequence[Findings], metric: str) -> None:
    results.text(f"## {metric.upper()} by sequence\n\nMean over seeds, first judged frame.")
    lines = []
    for each in found:
        for spp in sorted({spp for _, spp, _ in each.scores}):
            means = []
            for method in LABELS:
                seen = [getattr(s, metric) for (key, n, _), s in each.scores.items() if (key, n) == (method, spp)]
                means.append(float(np.mean(seen)))
            lines.append([each.clip.name, spp, *means])
    results.table(["sequence", "spp", *LABELS.values()], lines)


def _time(results: Results, found: Sequence[Findings]) -> None:
    results.text(
        "## In time\n\nError of the change between two frames, mean |Δd − Δr| of sRGB-encoded values, "
        f"{STILL_SPP} samples per pixel; and SMAPE in the regions where a temporal filter could go wrong, with the "
        "window over that of the single frame (share of the image)."
    )
    regions = ("moving", "reprojection", "shading")
    lines = []
    for each in found:
        change = {
            key: np.mean([v for (k, spp, _), v in each.change.items() if (k, spp) == (key, STILL_SPP)])
            for key in (OURS, SINGLE, "balanced", "clean_aux")
        }
        ratios = []
        for region in regions:
            pairs = [v for (k, spp, _), v in each.ghosting.items() if (k, spp) == (region, STILL_SPP)]
            told = math.exp(np.mean([math.log(ours / single) for ours, single in pairs])) if pairs else None
            ratios.append("–" if told is None else f"{told:.3f} ({100 * each.regions[region]:.1f} %)")
        lines.append([each.clip.name, *change.values(), *ratios])
    columns = ["sequence", "ours", "ours, single frame", "OIDN balanced", "OIDN high, prefiltered"]
    results.table([*columns, "moving objects", "failed reprojection", "moving shadows, reflections"], lines)


def _lambda(results: Results, found: Sequence[Findings]) -> None:
    results.text(
        "## λ\n\nSMAPE to the noisy input, and residual noise (half of the SMAPE between two independent inputs), at "
        f"λ = {', '.join(f'{value:g}' for value in LAMBDAS)}; fireflies at the largest λ, and in the blend of noisy "
        "and neutral that looks most like it (Figure 18)."
    )
    lines = []
    for each in found:
        if (sweep := each.sweep) is not None:
            steps = (" ".join(f"{value:.3g}" for value in values) for values in (sweep.to_noisy, sweep.noise))
            lines.append([each.clip.name, *steps, sweep.fireflies, sweep.blend_fireflies, sweep.beta])
    results.table(["sequence", "to the input", "residual noise", "fireflies", "… in the blend", "β"], lines)


def _references(results: Results, found: Sequence[Findings]) -> None:
    results.text(
        "## References\n\nNoise: half of the SMAPE between two independent halves, none of them denoised; it should be "
        "at most a quarter of the smallest error that it judges."
    )
    lines = []
    for each in found:
        least = min(score.smape for (key, *_), score in each.scores.items() if key != "noisy")
        lines.append([each.clip.name, each.noise, least, "yes" if each.noise <= least / 4 else "no", *each.halves])
    columns = ["sequence", "noise", "smallest SMAPE", "at most a quarter"]
    results.table([*columns, "many samples: squared error / input", "relative"], lines)


# --- Pictures -----------------------------------------------------------------------------------------------------


def strip(pictures: Mapping[str, Image]) -> NDArray[np.uint8]:
    """Crops of all pictures side by side, tone mapped alike, each pixel shown as a square."""
    rows, columns = crop([pictures[key] for key in (OURS, "balanced", "clean_aux")])
    key = float(np.exp(np.mean(np.log(luminance(pictures["reference"][rows, columns]) + 1e-4))))
    exposure = float(np.clip(math.log2(KEY / key), -3.0, 6.0))
    tiles = []
    for name in SHOWN:
        shown = to_display(pictures[name][rows, columns], exposure=exposure)
        tile = shown.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
        tiles += [tile, np.full((tile.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(tiles[:-1], axis=1)


def crop(images: Sequence[Image]) -> tuple[slice, slice]:
    """Rows and columns of the region in which the images differ most, as sRGB shows them."""
    encoded = np.stack([metrics.srgb_encode(image) for image in images])
    height, width = encoded.shape[1:3]
    wide, high = min(CROP[0], width), min(CROP[1], height)
    apart = uniform_filter(encoded.std(axis=0).mean(axis=-1), size=(high, wide), mode="constant")
    inner = apart[high // 2 : height - (high - 1) // 2, wide // 2 : width - (wide - 1) // 2]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape)
    return slice(int(top), int(top) + high), slice(int(left), int(left) + wide)
