"""The page's tables, curves and sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.capture_contenders import Contender
from benchmarks.capture_judge import MAPS, Score, rerenders
from benchmarks.capture_subjects import Subject
from benchmarks.results import Results
from pipeline.capture.asset.pictures import labelled, shown, sphere
from pipeline.capture.maps import Maps, decode
from pipeline.capture.shading import render

__all__ = ["iterations", "residue", "sheets", "table"]

Scores = Mapping[str, Mapping[str, Score]]
"""Contender → subject → figures."""


def table(results: Results, title: str, scores: Scores) -> None:
    """Errors of re-renders and of each map, means over subjects."""
    results.text(f"## {title}\n\nMeans over subjects: re-renders (20 pairs; DSSIM and FLIP: 4), and RMSE of each map.")
    lines = []
    for name, found in scores.items():
        each = list(found.values())
        means = [float(np.mean([getattr(s, key) for s in each])) for key in ("rmse", "dssim", "flip")]
        maps = [float(np.mean([s.maps[key] for s in each])) for key in MAPS]
        lines.append([name, *means, *maps, float(np.median([s.seconds for s in each]))])
    results.table(["", "RMSE", "DSSIM", "FLIP", *MAPS, "seconds"], lines)


def residue(results: Results, scores: Scores) -> None:
    """Correlation of each map's error with the flash lobe."""
    results.text("## What is left of the highlight\n\nMean |correlation| of each map's error with the flash lobe.")
    lines = [
        [name, *(float(np.mean([s.residue[key] for s in found.values()])) for key in MAPS)]
        for name, found in scores.items()
    ]
    results.table(["", *MAPS], lines)


def iterations(results: Results, one: Sequence[tuple[int, float]], several: Sequence[tuple[int, float]]) -> None:
    """Figure 3: one model run for more steps than it was trained for, and models trained for other numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2))
    axes = figure.subplots()
    axes.plot(*zip(*one, strict=True), marker="o", label="one model, trained for 6")
    if several:
        axes.plot(*zip(*several, strict=True), marker="s", linestyle="--", label="a model for each T")
    axes.set(xlabel="steps", ylabel="RMSE of re-renders")
    axes.legend()
    results.figure("iterations", figure, "RMSE over the steps of the refiner (Figure 3)")


def sheets(results: Results, subjects: Sequence[Subject], contenders: Sequence[Contender]) -> None:
    """Maps and re-renders of each contender beside the truth."""
    results.text(
        "## Sheets\n\nThe photograph, and what each way makes of it; maps, two pairs, a ball. The truth comes last."
    )
    for subject in subjects:
        photographs = subject.photograph
        rows = []
        for contender in contenders:
            rows.append((contender.name, decode(contender.make(photographs))))
        rows.append(("truth", subject.maps))
        pixels = [_row(name, maps, subject, first=k == 0) for k, (name, maps) in enumerate(rows)]
        page = labelled(pixels, title=subject.name, cell=160)
        results.picture(subject.name, np.asarray(page), f"{subject.name}: {', '.join(name for name, _ in rows)}")


def _row(name: str, maps: Maps, subject: Subject, *, first: bool) -> list[tuple[str, np.ndarray]]:
    lit, taken = rerenders(maps, subject.name), subject.photograph
    again = render(maps, taken.shot)[0, 0]
    flat = (maps.roughness[0].expand(3, -1, -1), maps.normal[0] * 0.5 + 0.5)
    rough, normal = ((each.permute(1, 2, 0).numpy().clip(0, 1) * 255).astype(np.uint8) for each in flat)
    return [
        ("photograph", shown(taken.pixels[0, 0])) if first else (f"{name}: again", shown(again)),
        (f"{name}: albedo", shown(maps.diffuse[0])),
        ("specular", shown(maps.specular[0])),
        ("roughness", rough),
        ("normal", normal),
        ("pair 1", shown(lit[0])),
        ("pair 2", shown(lit[1])),
        ("ball", sphere(maps, 160)),
    ]
