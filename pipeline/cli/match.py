"""`pipeline match`."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import json_option
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.config.shot import Shot
    from pipeline.match.run import Outcome, Progress

__all__ = ["match"]

LINE_SECONDS = 2.0
PICTURE_SECONDS = 6.0


@click.command()
@click.argument("shot", metavar="SHOT")
@click.option(
    "--reference", required=True, metavar="PLATE", type=click.Path(path_type=Path), help="EXR, PNG, TIFF or JPEG."
)
@click.option(
    "--params",
    required=True,
    multiple=True,
    metavar="ID.PROPERTY[:xyz],…",
    help="What is unknown: translate, rotate, scale, intensity, color, roughness, reflectance, texture; camera.fov …",
)
@click.option("--frame", type=int, metavar="F", help="Frame that the plate is of.  [default: the shot's first]")
@click.option(
    "--view",
    type=click.Choice(["linear", "srgb", "aces"]),
    help="How the plate's pixels are coded.  [default: linear for EXR; others must say]",
)
@click.option("--mask", metavar="FILE", type=click.Path(path_type=Path), help="White where the plate counts.")
@click.option("--loss", type=click.Choice(["l2", "log-l2", "multi-scale"]), default="multi-scale", show_default=True)
@click.option("--alpha", is_flag=True, help="Compare the plate's alpha too.")
@click.option(
    "--within", multiple=True, metavar="NAME=LOW:HIGH", help="Limits of a parameter: lamp.translate:x=-1:2. Repeatable."
)
@click.option(
    "--method",
    type=click.Choice(["newton-cg", "newton", "adam", "fr22", "spsa"]),
    default="newton-cg",
    show_default=True,
)
@click.option("--sigma", type=float, default=1.0, show_default=True, help="First smoothing, in the parameters' scales.")
@click.option("--evaluations", type=int, default=2000, show_default=True, help="Pictures of the search, at most.")
@click.option("--pixels", type=int, default=16384, show_default=True, help="Of the pictures compared, at most.")
@click.option("--spp", type=int, default=32, show_default=True, help="Samples per pixel of the last pictures.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--apply", "write_back", is_flag=True, help="Write the result into the shot file, under overrides.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Of the pictures.  [default: match/<shot>]")
@json_option
def match(
    shot: str,
    reference: Path,
    params: tuple[str, ...],
    frame: int | None,
    view: str | None,
    mask: Path | None,
    loss: str,
    alpha: bool,
    within: tuple[str, ...],
    method: str,
    sigma: float,
    evaluations: int,
    pixels: int,
    spp: int,
    seed: int,
    write_back: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Find parameters of a shot's scene at which it looks like a plate.

    While it searches, DIR/comparison.png shows plate, render and difference. Factors are factors of what the scene
    says, translations offsets in world units, angles degrees about the world's axes. Exits with 0: done, 1: failed, 2:
    bad input.
    """
    from pipeline.config.load import find_shot, load_shot
    from pipeline.device import set_variant

    config = load_shot(shot)
    limits = dict(_limit(text) for text in within)
    folder = out or Path("match") / config.shot
    unknowns = tuple(part.strip() for text in params for part in text.split(",") if part.strip())
    settings = {
        "method": method,
        "sigma": (sigma, sigma / 4),
        "evaluations": evaluations,
        "most_spp": spp,
        "seed": seed,
    }
    request = {
        "shot": config,
        "reference": reference,
        "params": unknowns,
        "frame": config.frame_list[0] if frame is None else frame,
        **{"view": view, "mask": mask, "loss": loss, "alpha": alpha, "pixels": pixels, "within": limits},
    }
    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        click.echo(f"warning: {line}", err=True)

    set_variant()  # before anything of Mitsuba is imported
    found = _found(request, settings, folder, warn)
    applied = _applied(find_shot(shot), config, found) if write_back else None
    if as_json:
        click.echo(json.dumps(_document(found, folder, applied, warnings), indent=2, ensure_ascii=False))
    else:
        for name, value in found.parameters.items():
            click.echo(f"{name}: {_told(value)}")
        click.echo(f"error {found.start_error:.4g} → {found.error:.4g}; {folder / 'comparison.png'}", err=True)
        if applied is not None:
            click.echo(f"written into {applied}", err=True)
    return 0


def _found(request: dict[str, Any], settings: dict[str, Any], folder: Path, warn: Any) -> Outcome:
    """Matches; Mitsuba's variant must be set."""
    from pipeline.match.comparison import write
    from pipeline.match.run import Request, run
    from pipeline.match.search import Settings

    picture = folder / "comparison.png"
    looks = _Looks(picture)
    with tempfile.TemporaryDirectory(prefix="penumbra-match-") as blobs:
        found = run(
            Request(**request, settings=Settings(settle=2, **settings)), Path(blobs), on_progress=looks.see, warn=warn
        )
    write(picture, found.plate, found.picture, f"error {found.error:.4g}")
    return found


class _Looks:
    """Shows how far a match is: a line now and then, and the comparison."""

    def __init__(self, picture: Path) -> None:
        self._picture, self._began = picture, time.monotonic()
        self._line = self._drawn = 0.0

    def see(self, progress: Progress) -> None:
        """Told after each step."""
        from pipeline.match.comparison import write

        now = time.monotonic() - self._began
        values = ", ".join(f"{name} {_told(value)}" for name, value in list(progress.parameters.items())[:4])
        line = f"{progress.stage}: {progress.evaluations} pictures, {now:.0f} s: {values}"
        if now - self._line >= LINE_SECONDS:
            click.echo(line, err=True)
            self._line = now
        if now - self._drawn >= PICTURE_SECONDS:
            write(self._picture, progress.plate, progress.picture(), line)
            self._drawn = time.monotonic() - self._began


def _applied(file: Path, shot: Shot, found: Outcome) -> Path:
    """Writes the overrides into the shot file; textures as images beside it."""
    from pipeline.config.write_overrides import write_overrides

    values: dict[str, dict[str, Any]] = {}
    for owner, properties in found.overrides.items():
        for prop, value in properties.items():
            if prop == "texture":
                from pipeline.match.texture_file import write_texture

                value = write_texture(shot.directory, owner, value)
            values.setdefault(owner, {})[prop] = value
    write_overrides(file, values)
    return file


def _document(found: Outcome, folder: Path, applied: Path | None, warnings: list[str]) -> dict[str, Any]:
    return {
        "parameters": found.parameters,
        "deviation": found.deviation,
        "units": found.units,
        "inert": found.inert,
        "error": found.error,
        "start_error": found.start_error,
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "size": list(found.size),
        "diagonal": found.diagonal,
        "reason": found.reason,
        "comparison": str(folder / "comparison.png"),
        "applied": None if applied is None else str(applied),
        "warnings": warnings,
    }


def _limit(text: str) -> tuple[str, tuple[float, float]]:
    """`lamp.translate:x=-1:2` → the name and its limits."""
    name, _, span = text.partition("=")
    low, _, high = span.partition(":")
    try:
        return name.strip(), (float(low or "-inf"), float(high or "inf"))
    except ValueError as error:
        raise ConfigError(f"{text!r:.60} is not NAME=LOW:HIGH", path="--within") from error


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{component} {number:.4g}" for component, number in value.items())
    return f"{value:.4g}"
