"""Settings that the schema knows and that nothing here can carry out yet."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.problems import Problem, Source
from pipeline.config.shot import Shot

__all__ = ["require_available"]


def require_available(shot: Shot, source: Source | None = None) -> None:
    """Refuses a shot that asks for networks whose weights are not shipped.

    Raises:
        ConfigError: names the setting and what to use instead; placed by `source`.
    """
    problems = [*_denoiser(shot), *_predictor(shot)]
    if problems:
        raise (source or Source()).error(problems)


def _denoiser(shot: Shot) -> Iterator[Problem]:
    from pipeline.denoise import weights  # what ships is known where it lies; it brings neither numpy nor torch

    preset = shot.denoise.preset
    if shot.denoise.backend != "kpcn" or preset in weights.shipped():
        return
    others = weights.denoisers()
    if others:
        yield Problem(
            ("denoise", "preset"),
            f"preset {preset} needs network weights, and none are shipped yet",
            f"use {' or '.join(others)}",
        )
    else:
        yield Problem(
            ("denoise", "backend"),
            "backend kpcn needs network weights, and none are shipped yet",
            "use oidn or none",
        )


def _predictor(shot: Shot) -> Iterator[Problem]:
    from pipeline.denoise import weights

    preset, metric = shot.denoise.preset, shot.sampling.metric
    if shot.sampling.guide != "error":
        return
    if shot.denoise.backend != "kpcn":
        yield Problem(
            ("sampling", "guide"),
            f"guide error predicts the errors of the denoiser kpcn, and denoise.backend is {shot.denoise.backend}",
            "use denoise.backend kpcn, or guide variance or uniform",
        )
    elif weights.predictor_of(preset, metric) is None:
        known = weights.predicted_metrics(preset)
        if known:
            yield Problem(
                ("sampling", "metric"),
                f"the shipped weights predict no {metric} of preset {preset}",
                f"use {' or '.join(known)}",
            )
        else:
            yield Problem(
                ("sampling", "guide"),
                f"guide error needs network weights, and none are shipped yet for preset {preset}",
                "use variance or uniform",
            )
