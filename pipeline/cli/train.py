"""`pipeline train`: the networks, and the data that they learn from."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

__all__ = ["train"]

STEPS = {"fast": (60_000, 20_000, 8_000), "paper": (300_000, 60_000, 20_000), "tiny": (2_000, 500, 200)}
"""Of the stages single, temporal and lambda, by preset."""

ENCODER_STEPS = 4_000


@click.group()
def train() -> None:
    """Train the networks, and make the data that they learn from."""


@train.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder of the sequences.")
@click.option("--count", default=2000, show_default=True, help="Sequences, from --first on; those that exist are kept.")
@click.option("--first", default=0, show_default=True, help="Seed of the first scene.")
@click.option("--validation", is_flag=True, help="For validation: other scenes, with better references.")
@click.option("--radius", default=1, show_default=True, help="Frames on either side of each centre.")
@click.option("--processes", default=2, show_default=True, help="Side by side, of one thread each.")
@click.option("--minutes", type=float, help="Stop after so long.")
@click.pass_context
def data(context: click.Context, /, out: Path, validation: bool, **options: Any) -> None:
    """Render training sequences of procedural scenes.

    Every scene is a function of its seed: three frames or more with a moving camera and moving objects, noisy in
    several independent sub-buffers, and a reference of the one in the middle. Run again, it goes on.
    """
    from pipeline.denoise.training.generate import main

    arguments = ["--out", str(out), "--validation"] if validation else ["--out", str(out)]
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name}", str(value)]
    context.exit(main(arguments))


@train.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), metavar="DIR", help="Sequences.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The training's folder.")
@click.option("--preset", type=click.Choice(sorted(STEPS)), default="fast", show_default=True)
@click.option(
    "--source", default="penumbra", show_default=True, help="Kind of data; of another, only the encoder is trained."
)
@click.option("--start", type=click.Path(path_type=Path), help="Weights to begin with; for --source: the shipped ones.")
@click.option("--steps", metavar="STAGE=N,…", help="Steps of the stages single, temporal, lambda.")
@click.option("--batch", default=4, show_default=True)
@click.option("--patch", default=96, show_default=True, help="Pixels of a patch's side.")
@click.option("--rate", default=1e-3, show_default=True, help="Learning rate.")
@click.option("--every", default=1000, show_default=True, help="Steps between validations.")
@click.option("--seed", default=0, show_default=True)
@click.option("--minutes", type=float, help="Stop after so long, with a checkpoint.")
@click.option("--threads", type=int, help="CPU threads.  [default: all]")
@click.option("--install", is_flag=True, help="Put the weights, once trained, where the denoiser finds them.")
def denoiser(
    data: Path,
    out: Path,
    preset: str,
    source: str,
    start: Path | None,
    steps: str | None,
    minutes: float | None,
    threads: int | None,
    install: bool,
    **settings: Any,
) -> None:
    """Train the kernel-predicting denoiser; run again, it goes on where it was.

    Stages: the single-frame network end to end; then, on locked features, the comparison of frames; then λ. With
    --source, only an encoder for that kind of data, everything else locked.
    """
    import torch

    from pipeline.denoise import weights
    from pipeline.denoise.frame import OWN_SOURCE
    from pipeline.denoise.network.sources import SOURCES
    from pipeline.denoise.network.weights_file import load, save_bytes
    from pipeline.denoise.training.stages import STAGES as DENOISER_STAGES
    from pipeline.denoise.training.train import Plan
    from pipeline.denoise.training.train import train as run

    if threads:
        torch.set_num_threads(threads)
    if source != OWN_SOURCE:
        stages = {"encoder": ENCODER_STEPS}
        start = start or weights.path(preset)
    else:
        stages = dict(zip(("single", "temporal", "lambda"), STEPS[preset], strict=True))
    if steps is not None:
        stages = _steps(steps, DENOISER_STAGES)
    others = tuple(name for name in SOURCES if name != OWN_SOURCE) if source == OWN_SOURCE else ()
    plan = Plan(
        others=others,
        preset=preset,
        source=source,
        stages=stages,
        start=None if start is None else str(start),
        **settings,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    best = run(plan, data, out, device=device, say=lambda line: click.echo(line, err=True), minutes=minutes)
    if install:
        target = weights.path(preset)
        target.parent.mkdir(exist_ok=True)
        # As bfloat16, which is what the CPU computes with: half the bytes, and the same pictures.
        target.write_bytes(save_bytes(load(best), stage=list(stages)[-1]))
        shutil.copyfile(out / "card.json", target.with_suffix(".json"))
        click.echo(target)
    else:
        click.echo(best)


@train.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), metavar="DIR", help="Sequences.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The training's folder.")
@click.option("--preset", type=click.Choice(sorted(STEPS)), default="fast", show_default=True, help="Of the denoiser.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Metric to predict.  [default: all four]")
@click.option("--apart", is_flag=True, help="A network for each metric, as in the paper, in place of one for all.")
@click.option("--variants", default=4, show_default=True, help="Denoised frames per sequence.")
@click.option("--steps", default=6000, show_default=True, help="Of descent, for each network.")
@click.option("--batch", default=8, show_default=True, help="Frames of a step.")
@click.option("--every", default=500, show_default=True, help="Steps between two lines.")
@click.option("--seed", default=0, show_default=True)
@click.option("--minutes", type=float, help="Stop after so long, with a checkpoint.")
@click.option("--threads", type=int, help="CPU threads.  [default: all]")
@click.option("--install", is_flag=True, help="Put the weights where the error predictor is looked for.")
def error(data: Path, out: Path, threads: int | None, install: bool, **settings: Any) -> None:
    """Train the network that predicts the denoiser's errors; run again, it goes on where it was.

    It learns from the very denoiser that is installed, whose frames are made first, and belongs to it alone: after new
    weights of the denoiser it is trained anew, into the same folder.
    """
    import torch

    from pipeline.config.sampling import METRICS
    from pipeline.denoise.training.error_course import Course, install_predictors, run

    if threads:
        torch.set_num_threads(threads)
    metrics = settings.pop("metrics") or METRICS
    if unknown := [name for name in metrics if name not in METRICS]:
        raise click.BadParameter(f"{unknown[0]!r}: there are {', '.join(METRICS)}", param_hint="--metric")
    minutes = settings.pop("minutes")
    course = Course(metrics=tuple(name for name in METRICS if name in metrics), **settings)
    made = run(course, data, out, threads=threads, minutes=minutes, say=lambda line: click.echo(line, err=True))
    if not made:
        click.echo("not ended yet: run the same again", err=True)
        return
    for file in install_predictors(course.preset, made) if install else made:
        click.echo(file)


@train.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The training's folder.")
@click.option("--preset", type=click.Choice(["small", "full", "tiny"]), default="small", show_default=True)
@click.option("--photographs", default=1, show_default=True, help="Photographs of each material that are given.")
@click.option("--gradients/--no-gradients", default=True, help="Whether the refiner sees the likelihood's gradient.")
@click.option("--iterations", default=6, show_default=True, help="T: steps of the refiner.")
@click.option("--steps", default="initialiser=8000,joint=6000", show_default=True, metavar="STAGE=N,…")
@click.option("--start", type=click.Path(path_type=Path), help="Weights to begin with.")
@click.option("--batch", default=4, show_default=True)
@click.option("--size", default=128, show_default=True, help="Texels of a material's side.")
@click.option("--rate", default=1e-3, show_default=True, help="Learning rate.")
@click.option("--every", default=250, show_default=True, help="Steps between validations.")
@click.option("--seed", default=0, show_default=True)
@click.option("--minutes", type=float, help="Stop after so long, with a checkpoint.")
@click.option("--threads", type=int, help="CPU threads of the networks.  [default: all]")
@click.option("--processes", default=1, show_default=True, help="That make materials beside them.")
@click.option("--install", is_flag=True, help="Put the weights where `pipeline capture` finds them.")
def capture(
    out: Path,
    steps: str,
    start: Path | None,
    minutes: float | None,
    threads: int | None,
    processes: int,
    install: bool,
    **settings: Any,
) -> None:
    """Train the networks that turn flash photographs into materials; run again, it goes on where it was.

    Materials are made while it trains: there are no data to prepare. Stages: the initialiser alone, then both networks.
    """
    import torch

    from pipeline.capture import weights
    from pipeline.capture.training.train import STAGES, Plan
    from pipeline.capture.training.train import train as run

    if threads:
        torch.set_num_threads(threads)
    plan = Plan(stages=_steps(steps, STAGES), start=None if start is None else str(start), **settings)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def say(line: str) -> None:
        click.echo(line, err=True)

    best = run(plan, out, device=device, processes=processes, say=say, minutes=minutes)
    click.echo(weights.install(best, plan.preset, plan.photographs) if install else best)


def _steps(text: str, known: Collection[str]) -> dict[str, int]:
    """`single=1000,temporal=500` → the stages, each one of those that are known."""
    stages = {}
    for part in text.split(","):
        name, _, count = part.partition("=")
        if name not in known or not count.isdigit():
            raise click.BadParameter(f"{part!r}: wanted STAGE=N of {', '.join(known)}", param_hint="--steps")
        stages[name] = int(count)
    return stages
