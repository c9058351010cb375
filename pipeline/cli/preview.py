"""`pipeline preview`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, json_option
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.shot import Shot
    from pipeline.radiosity.errand import Wanted
    from pipeline.radiosity.train import Progress

__all__ = ["preview"]

FOLDER = "previews"
PORT = 8080


@click.command()
@click.argument("shot")
@click.option("--frame", type=int, metavar="F", help="Frame whose scene is shown.  [default: the shot's first]")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Train so many steps.  [default: the preset's]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="M", help="Train so long, at most.")
@click.option("--preset", type=click.Choice(["fast", "smooth", "paper"]), help="Of the cache.  [default: the shot's]")
@click.option("--guiding", is_flag=True, help="Train a guide of incident directions as well.")
@click.option("--optimizer", default="auto", show_default=True, metavar="NAME", help="auto, adam, esgd, …")
@click.option(
    "--camera-path", metavar="orbit|shot|FILE", help="Make a movie: around the view, along the shot, or as FILE says."
)
@click.option(
    "--pictures", type=click.IntRange(2), default=48, show_default=True, metavar="N", help="Of an orbit, once around."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Picture (.exr, .png), or movie (.mp4).")
@click.option(
    "--spp", type=click.IntRange(1), default=None, help="Samples per pixel of --out; 16, of a movie's pictures 4."
)
@click.option("--side", type=click.Choice(["lhs", "rhs"]), default="lhs", show_default=True)
@click.option("--rhs", "side", flag_value="rhs", help="The same as --side rhs: slower, and sharper.")
@click.option("--denoise", type=click.Choice(["none", "oidn", "kpcn"]), default="none", show_default=True)
@click.option("--exposure", type=float, default=0.0, show_default=True, metavar="STOPS", help="Of .png and .mp4.")
@click.option("--resolution", metavar="W×H", help="Of --out, as 480x270.  [default: the shot's]")
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="FILE", help="Checkpoint to go on with, and to write."
)
@click.option("--fresh", is_flag=True, help="Train anew, whatever caches there are.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--serve/--no-serve", default=None, help="Open the viewer.  [default: without --out]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the viewer listens on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: a free one.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads of the network.  [default: all]")
@click.option("--on-farm", is_flag=True, help="Train as tasks of the farm, then go on here.")
@farm_option
@click.option("--detach", is_flag=True, help="With --on-farm: do not wait; the same command again fetches the cache.")
@json_option
def preview(
    shot: str,
    frame: int | None,
    steps: int | None,
    minutes: float | None,
    preset: str | None,
    guiding: bool,
    optimizer: str,
    camera_path: str | None,
    pictures: int,
    out: Path | None,
    spp: int | None,
    side: str,
    denoise: str,
    exposure: float,
    resolution: str | None,
    cache: Path | None,
    fresh: bool,
    seed: int,
    serve: bool | None,
    host: str,
    port: int,
    threads: int | None,
    on_farm: bool,
    farm: str | None,
    detach: bool,
    as_json: bool,
) -> int:
    """Look at a shot from anywhere: train a cache of its light, and open a viewer or write a picture or a movie.

    SHOT is a name, a folder or a shot.yaml. Nothing is rendered beforehand; the cache learns from the scene alone, and
    is kept in previews/<shot>: an unchanged scene finds it again, and one whose lights or materials were changed begins
    with it. --on-farm trains on the farm, or on local workers where none is configured. Exits with 0: done, 1: failed,
    2: bad input.
    """
    from pipeline.config.load import load_shot

    if camera_path is not None and out is None:
        raise click.UsageError("--camera-path makes a movie: say where, with --out FILE.mp4")
    if detach and not on_farm:
        raise click.UsageError("--detach leaves the training to a farm: add --on-farm")
    if on_farm and (minutes is not None or cache is not None or fresh):
        raise click.UsageError("the farm trains so many --steps, and keeps what it has: no --minutes, --cache, --fresh")
    if serve is False and out is None and steps is None and minutes is None and not on_farm:
        raise click.UsageError("--no-serve leaves nothing to do: add --out FILE, --steps N or --minutes M")
    loaded = load_shot(shot, {} if preset is None else {"preview.preset": preset})
    size = None if resolution is None else _size(resolution)
    _require_torch()

    from pipeline.radiosity.errand import Errand, Wanted

    def say(line: str) -> None:
        click.echo(f"preview: {line}", err=True)

    wanted = Wanted(
        frame=frame,
        steps=steps,
        seconds=None if minutes is None else 60 * minutes,
        guiding=guiding,
        optimizer=optimizer,
        seed=seed,
        threads=threads,
        cache=cache,
        fresh=fresh,
        camera_path=camera_path,
        pictures=pictures,
        out=out,
        spp=spp,
        side="rhs" if side == "rhs" else "lhs",
        denoise=denoise,
        exposure=exposure,
        resolution=size,
    )
    folder = Path(FOLDER) / loaded.shot
    errand = Errand(loaded, wanted, folder, say=say, on_progress=_Line())
    if on_farm:
        jobs = _train_on_farm(loaded, wanted, folder, farm, wait=not detach, say=say)
        if detach:
            if as_json:
                click.echo(json.dumps({"shot": loaded.shot, "jobs": jobs}))
            return 0
    document: dict[str, Any] = (
        {"shot": loaded.shot, **errand.made()} if out or serve is False else {"shot": loaded.shot}
    )
    if serve or (serve is None and out is None):
        errand.serve(host, port, ready=lambda url: click.echo(f"preview: {url}  (Ctrl-C ends it)", err=True))
        document |= errand.told()
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif out is not None:
        click.echo(out)
    return 0


def _train_on_farm(
    shot: Shot, wanted: Wanted, folder: Path, farm: str | None, *, wait: bool, say: Callable[[str], None]
) -> list[str]:
    """Has the farm train what the shot's folder of caches lacks; ids of the jobs."""
    from pipeline.cli.live import Live
    from pipeline.farm import carry_out, previewing
    from pipeline.radiosity.errand import ALONG

    frames = previewing.frames_of(shot, wanted.frame, along=wanted.camera_path == ALONG)
    training = previewing.Training(shot, frames, wanted.steps, wanted.guiding, wanted.optimizer, wanted.seed)
    service = carry_out.place(farm_settings(farm), wait=wait)
    with Live() as live:
        return previewing.train(training, folder, service, wait=wait, show=live.show, say=say)


class _Line:
    """How far the training is, every few seconds on stderr."""

    EVERY = 5.0

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, progress: Progress, steps: int) -> None:
        if time.monotonic() - self._said < self.EVERY:
            return
        self._said = time.monotonic()
        residual = f", residual {progress.checks[-1].residual:.3f}" if progress.checks else ""
        of = f" of {steps}" if steps < 10**9 else ""
        click.echo(f"step {progress.step}{of}{residual}", err=True)


def _size(text: str) -> tuple[int, int]:
    """(width, height) of `480x270`."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.isdigit() and 1 <= int(part) <= 16384 for part in parts):
        raise ConfigError(f"must be width and height in pixels, as 480x270, not {text!r:.40}", path="--resolution")
    return int(parts[0]), int(parts[1])


def _require_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise ConfigError(
            "previews need the package `torch`, which is not installed",
            suggestion="pip install 'penumbra-pipeline[learn,preview]'",
        )
