"""What the weights that are there decide: which guide `auto` is, and what a shot may not ask for."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.problems import Problem, Source
from pipeline.config.sampling import NOISY_METRICS
from pipeline.config.shot import Shot

__all__ = ["require_available", "resolved"]


def resolved(shot: Shot) -> Shot:
    """The shot with the guide that `sampling.guide: auto` stands for: `error` where its weights are there, and else
    `variance`.

    Raises:
        ConfigError: a model card is damaged.
    """
    if shot.sampling.guide != "auto":
        return shot
    guide = "error" if _predicted(shot) else "variance"
    return shot.model_copy(update={"sampling": shot.sampling.model_copy(update={"guide": guide})})


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


def _predicted(shot: Shot) -> bool:
    """Whether weights are there that predict the denoiser's errors in the shot's metric."""
    from pipeline.denoise import weights

    preset, metric = shot.denoise.preset, shot.sampling.metric
    return shot.denoise.backend == "kpcn" and weights.predictor_of(preset, metric) is not None


def _predictor(shot: Shot) -> Iterator[Problem]:
    from pipeline.denoise import weights

    preset, metric = shot.denoise.preset, shot.sampling.metric
    if shot.sampling.guide == "auto" and metric not in NOISY_METRICS and not _predicted(shot):
        yield Problem(
            ("sampling", "metric"),
            f"nothing predicts {metric} of denoise.backend {shot.denoise.backend}, and without a prediction "
            f"the guide is variance, which knows the metrics {' and '.join(NOISY_METRICS)}",
            f"use {' or '.join(NOISY_METRICS)}",
        )
    if shot.sampling.guide != "error":
        return
    if shot.denoise.backend != "kpcn":
        yield Problem(
            ("sampling", "guide"),
            f"guide error predicts the errors of the denoiser kpcn, and denoise.backend is {shot.denoise.backend}",
            "use denoise.backend kpcn, or guide auto, variance or uniform",
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
