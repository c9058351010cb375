"""`pipeline fit`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import json_option
from pipeline.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from pipeline.optim.fields.image import ImageSignal
    from pipeline.optim.fields.occupancy import OccupancySignal

__all__ = ["fit"]

LOOKS = 10

WEIGHTS, PICTURE = ".safetensors", ".png"


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--activation", default="sine", show_default=True, metavar="NAME", help="sine, gaussian, wavelet, …")
@click.option(
    "--optimizer", "optimizers", multiple=True, default=("auto",), metavar="NAME",
    help="auto, adam, esgd, …; given more than once, they are compared.  [default: auto]",
)  # fmt: skip
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Learning rate.  [default: the optimiser's own]")
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Of training.")
@click.option("--batch", type=click.IntRange(8), default=512, show_default=True, help="Samples of a step.")
@click.option("--width", type=click.IntRange(4, 1024), default=128, show_default=True, help="Of the field's layers.")
@click.option("--depth", type=click.IntRange(1, 16), default=4, show_default=True, help="Layers with an activation.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all]")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Weights (.safetensors), or a picture (.png)."
)
@json_option
def fit(
    source: Path,
    activation: str,
    optimizers: tuple[str, ...],
    rate: float | None,
    steps: int,
    batch: int,
    width: int,
    depth: int,
    seed: int,
    threads: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Train a neural field on an image or a closed mesh, and compare optimisers.

    FILE is a PNG, JPEG, TIFF, BMP or EXR, or a PLY, OBJ or serialised mesh. An image is judged by PSNR, a mesh by the
    IoU of points that were not trained with. Every optimiser begins with the same weights and sees the same batches;
    --out holds the field of the best one. Exits with 0: done, 1: failed, 2: bad input.
    """
    import torch

    from pipeline.optim.choose import build, choose
    from pipeline.optim.fields.fit import fit as train
    from pipeline.optim.fields.sources import open_signal

    choices = [choose(activation, name) for name in dict.fromkeys(optimizers)]
    if out is not None and out.suffix not in (WEIGHTS, PICTURE):
        raise ConfigError(f"must end in {WEIGHTS} or {PICTURE}, not '{out.suffix}'", path="--out")
    signal = open_signal(source)
    if out is not None and out.suffix == PICTURE and not hasattr(signal, "rendered"):
        raise ConfigError(f"a mesh has no picture: name a file that ends in {WEIGHTS}", path="--out")
    if threads:
        torch.set_num_threads(threads)
    at = frozenset(round(steps * k / LOOKS) for k in range(1, LOOKS + 1))
    runs: list[dict[str, Any]] = []
    best: tuple[float, Any] | None = None
    for choice in choices:
        click.echo(f"optimizer {choice.optimizer}: {choice.reason}", err=True)
        field = signal.field(activation, width=width, depth=depth, seed=seed)
        optimizer = build(field.parameters(), choice, activation, rate=rate, seed=seed)
        looks = []
        for look in train(signal, field, optimizer, steps=steps, batch=batch, seed=seed, looks=at):
            looks.append(look)
            click.echo(
                f"step {look.step} of {steps}: {look.quality:.4g} {signal.measure}, {look.seconds:.1f} s", err=True
            )
        if not looks or looks[-1].step < steps:
            click.echo(f"optimizer {choice.optimizer}: the loss is not finite any more: try a lower --rate", err=True)
        elif best is None or looks[-1].quality > best[0]:
            best = looks[-1].quality, field
        runs.append(
            {"optimizer": choice.optimizer, "rate": rate or choice.rate, "looks": [vars(look) for look in looks]}
        )
    if best is not None and out is not None:
        _write(out, best[1], signal, {"activation": activation, "width": width, "depth": depth})
    document = {"file": str(source), "measure": signal.measure, "runs": runs, "out": None if out is None else str(out)}
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif best is not None:
        click.echo(f"{best[0]:.4g} {signal.measure}")
    return 0 if best is not None else 1


def _write(out: Path, field: Any, signal: ImageSignal | OccupancySignal, shape: dict[str, Any]) -> None:
    """The field's weights with what rebuilds it, or its picture; whole or not at all."""
    from pipeline.images.viewing import png_bytes

    if out.suffix == PICTURE:
        import numpy as np

        pixels = np.clip(np.rint(signal.rendered(field).numpy() * 255), 0, 255).astype(np.uint8)  # type: ignore[union-attr]
        data = png_bytes(np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels[..., :3])
    else:
        from safetensors.torch import save

        weights = {name: value.contiguous() for name, value in field.state_dict().items()}
        data = save(weights, {name: str(value) for name, value in shape.items()})
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"{out}: cannot be written: {error.strerror or error}") from error
