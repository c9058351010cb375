"""The files that a shot names: whether they are there, and what was probably meant where not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.config.frames import FrameRange
from pipeline.config.problems import Problem, nearest
from pipeline.config.shot import Shot

__all__ = ["missing_references"]


def missing_references(shot: Shot) -> Iterator[Problem]:
    """One problem for each scene, material, texture, mask, λ map or reference of the shot that does not exist."""
    yield from _missing_scenes(shot)
    for bsdf, path in shot.materials.items():
        yield from _missing(shot, ("materials", bsdf), path, "material")
    for name, override in shot.overrides.items():
        if override.texture is not None:
            yield from _missing(shot, ("overrides", name, "texture"), override.texture, "texture", file=True)
    if shot.sampling.importance is not None:
        yield from _missing(shot, ("sampling", "importance"), shot.sampling.importance, "mask")
    if shot.denoise.lambda_map is not None:
        yield from _missing(shot, ("denoise", "lambda_map"), shot.denoise.lambda_map, "λ map")
    if shot.sampling.guide == "oracle":
        yield from _missing_references(shot)


def _missing_scenes(shot: Shot) -> Iterator[Problem]:
    if not shot.scene_per_frame:
        yield from _missing(shot, ("scene",), shot.scene, "scene", file=True)
        return
    missing = [frame for frame in shot.frames if not shot.scene_path(frame).is_file()]
    if missing:
        frames = str(FrameRange.of(missing))
        shown = frames if len(frames) <= 60 else frames[:59] + "…"
        hint = _neighbours(shot.scene_path(missing[0])) if len(missing) == len(shot.frames) else None
        yield Problem(("scene",), f"{shot.scene} does not exist for {len(missing)} frames: {shown}", hint)


def _missing_references(shot: Shot) -> Iterator[Problem]:
    """References of an oracle; a shot that has them and another guide does not read them."""
    missing = {}
    for frame in shot.frames:
        path = shot.sampling.reference_of(frame)
        if path is not None and not (full := shot.resolve(path)).is_file():
            missing[frame] = full
    if missing:
        frames = str(FrameRange.of(missing))
        shown = frames if len(frames) <= 60 else frames[:59] + "…"
        yield Problem(
            ("sampling", "reference"),
            f"reference {shot.sampling.reference} does not exist for {len(missing)} frames: {shown}",
            _neighbours(next(iter(missing.values()))) if len(missing) == len(shot.frames) else None,
        )


def _missing(shot: Shot, keys: tuple[str, ...], path: str, what: str, *, file: bool = False) -> Iterator[Problem]:
    full = shot.resolve(path)
    if full.is_file() or (full.exists() and not file):
        return
    if full.exists():
        yield Problem(keys, f"{what} {path} is not a file")
    else:
        yield Problem(keys, f"{what} {path} does not exist", _neighbours(full))


def _neighbours(path: Path) -> str | None:
    """A name beside `path` that is nearly its own."""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent.name}" if path.parent.name else None
    return nearest(path.name, (entry.name for entry in path.parent.iterdir()))
