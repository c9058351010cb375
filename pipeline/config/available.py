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
    problems = list(_unavailable(shot))
    if problems:
        raise (source or Source()).error(problems)


def _unavailable(shot: Shot) -> Iterator[Problem]:
    from pipeline.denoise.weights import (  # what ships is known where it lies; it brings neither numpy nor torch
        predictor,
        shipped,
    )

    if shot.sampling.guide == "error" and shot.denoise.backend != "kpcn":
        yield Problem(
            ("sampling", "guide"),
            f"guide error predicts the errors of the denoiser kpcn, and denoise.backend is {shot.denoise.backend}",
            "use denoise.backend kpcn, or guide variance or uniform",
        )
    elif shot.sampling.guide == "error" and predictor(shot.denoise.preset) not in shipped():
        yield Problem(
            ("sampling", "guide"),
            f"guide error needs network weights, and none are shipped yet for preset {shot.denoise.preset}",
            "use variance or uniform",
        )
    if shot.sampling.guide == "oracle":
        yield Problem(
            ("sampling", "guide"), "guide oracle needs a reference, and takes none yet", "use variance or uniform"
        )
    if shot.denoise.backend == "kpcn" and shot.denoise.preset not in shipped():
        if shipped():
            yield Problem(
                ("denoise", "preset"),
                f"preset {shot.denoise.preset} needs network weights, and none are shipped yet",
                f"use {' or '.join(shipped())}",
            )
        else:
            yield Problem(
                ("denoise", "backend"),
                "backend kpcn needs network weights, and none are shipped yet",
                "use oidn or none",
            )
