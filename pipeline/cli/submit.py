"""`pipeline submit`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, json_option, out_option, store_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pipeline.farm.dry_run import Estimate
    from pipeline.farm.progress import JobSnapshot
    from pipeline.farm.store import Store
    from pipeline.farm.submission import Result

OPTIONS = {
    "frames": "frames",
    "lambda_": "denoise.lambda",
    "max_spp": "sampling.max_spp",
    "target_error": "sampling.target_error",
    "priority": "priority",
}
"""Which key of the shot's configuration each option lays a value over."""


def _complete_sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shots of the current directory, then files."""
    from click.shell_completion import CompletionItem

    shots = sorted(path.parent.name for path in Path("shots").glob("*/shot.yaml"))
    return [
        *(CompletionItem(name) for name in shots if name.startswith(incomplete)),
        CompletionItem(incomplete, "file"),
    ]


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SHOT|DIR|EDIT.otio…", shell_complete=_complete_sources)
@click.option("--frames", metavar="RANGE", help="Frames, as 1001-1008, 1001,1005 or 1001-1100x10.")
@click.option(
    "--lambda", "lambda_", type=float, metavar="X", help="λ of the denoiser: above 1 keeps more detail and noise."
)
@click.option("--max-spp", type=int, metavar="N", help="Most samples per pixel of a frame.")
@click.option("--target-error", type=float, metavar="E", help="Predicted error at which a frame is done.")
@click.option("--priority", type=int, metavar="P", help="0 (last) to 9 (first).")
@click.option(
    "--diff",
    "since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="OLD.otio",
    help="Of one edit: only what changed since this one.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other key: --set sampling.seed=3.")
@farm_option
@out_option
@click.option("--wait/--detach", default=None, help="Wait for the frames.  [default: only without a farm]")
@click.option("--workers", type=click.IntRange(1, 256), metavar="N", help="Local workers, where there is no farm.")
@click.option("--dry-run", is_flag=True, help="Check everything and say what it would take; nothing is enqueued.")
@click.option("--probe/--no-probe", default=True, help="With --dry-run: render a small frame to measure.")
@json_option
def submit(
    sources: tuple[str, ...],
    settings: tuple[str, ...],
    since: Path | None,
    farm: str | None,
    out: str | None,
    wait: bool | None,
    workers: int | None,
    dry_run: bool,
    probe: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Render shots: names in shots/, directories with a shot.yaml, or edits, which stand for all of their shots.

    Without a farm, an embedded Redis and local workers make the frames, and the command ends when they are there.
    With one (PIPELINE_BROKER_URL, --farm), the job is enqueued, and its id printed. The same again goes on where it
    stopped; what changes pixels makes a new version. An edit comes back as OUT/EDIT.rendered.otio, whose clips point at
    the frames. Exits with 0: done or enqueued, 1: failed, 2: bad input.
    """
    from pipeline.cli.live import Live
    from pipeline.farm import submission

    edits = [Path(source) for source in sources if source.lower().endswith(".otio")]
    if since is not None and (len(sources) != 1 or not edits):
        raise click.UsageError(
            "--diff compares one edit with the one before it: pipeline submit NEW.otio --diff OLD.otio"
        )
    if since is not None and dry_run:
        raise click.UsageError("--diff and --dry-run do not go together; pipeline diff says what changed")

    overrides = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    overrides |= dict(setting(text) for text in settings)
    profile = farm_settings(farm)
    if dry_run:
        from pipeline.farm import dry_run as dry

        with Live() as live:
            estimates = dry.dry_run(
                sources, overrides, settings=profile, out=out, workers=workers, probing=probe, show=live.show
            )
        if as_json:
            documents = [asdict(each) for each in estimates]
            click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False))
        else:
            for each in estimates:
                tell_estimate(each)
        return 0
    told: set[str] = set()
    with Live() as live:

        def show(jobs: Sequence[JobSnapshot], note: str) -> None:
            tell_volumes(store_of(profile, out), [job.job for job in jobs], told)
            live.show(jobs, note)

        where: dict[str, Any] = {"settings": profile, "out": out, "wait": wait, "workers": workers, "show": show}
        if since is None:
            results = submission.submit(sources, overrides, **where)
        else:
            from pipeline.farm.edit_changes import submit_changes

            results = submit_changes(edits[0], since, overrides, **where)
    tell_volumes(store_of(profile, out), [result.job for result in results], told)
    if as_json:
        documents = [asdict(result) for result in results]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False))
    else:
        for result in results:
            tell(result)
        if since is not None and not results:
            click.echo("nothing changed that is not rendered")
    if edits:
        from pipeline.farm.edit_changes import write_back

        for path in write_back(edits, store_of(profile, out), results):
            click.echo(f"edit: {path}", err=True)
    return 1 if any(result.state in ("failed", "cancelled") for result in results) else 0


def setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as YAML reads it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f"'{text}' is not KEY=VALUE", param_hint="--set")
    try:
        return key.strip(), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise click.BadParameter(f"'{value}' is not a value as YAML writes them", param_hint="--set") from error


def tell_volumes(store: Store, job_ids: Sequence[str], told: set[str]) -> None:
    """Says on stderr how many bytes jobs will need in the store, once each.

    Args:
        store: where they live.
        job_ids: of the jobs.
        told: ids of those that were told of; added to.
    """
    from pipeline.farm.job import load
    from pipeline.farm.volume import bytes_text, free_bytes, of_job

    for job_id in job_ids:
        if job_id in told:
            continue
        told.add(job_id)
        needed = of_job(store, load(store, job_id))
        if needed is None:
            continue
        words = f"{job_id}: at most {bytes_text(needed.peak)} in the store, {bytes_text(needed.kept)} when it is done"
        free = free_bytes(store)
        if free is not None and free < needed.peak:
            words += f"; {bytes_text(free)} are free there"
        click.echo(words, err=True)


def tell_estimate(found: Estimate) -> None:
    """For people: what a shot would take."""
    from pipeline.cli.live import magnitude, price, span
    from pipeline.farm.volume import bytes_text, volume

    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    told = found.forecast
    low, middle, high = (
        magnitude(value).strip() for value in (told.samples.low, told.samples.middle, told.samples.high)
    )
    click.echo(f"{found.shot}: {found.frames} frames of {found.size[0]}×{found.size[1]}, at most {found.rounds} rounds")
    click.echo(f"  samples        {middle} ({low}–{high})")
    click.echo(f"  time           {span(told.seconds)} on {told.slots:g} slot{'s' * (told.slots != 1)}")
    click.echo(f"  slot time      {span(told.machine_seconds)}")
    if told.cost is not None:
        click.echo(f"  cost           {price(told.cost)}")
    width, height = found.size
    needed = volume(width * height, found.frames, found.rounds, every_round=True)
    click.echo(f"  in the store   at most {bytes_text(needed.peak)}, {bytes_text(needed.kept)} when it is done")
    if not found.probed:
        click.echo("  all of this is assumed: nothing was rendered to measure it")


def tell(result: Result) -> None:
    """For people: what came of it, and where it is."""
    from pipeline.farm.recipes_report import MOVIE, SHEET

    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{result.job}: {result.state}")
    folder = Path(result.directory)
    if result.frames:
        click.echo(f"  frames         {folder / 'frames'}")
    for label, name in (("contact sheet", SHEET), ("movie", MOVIE.format(shot=result.shot))):
        found = folder / name
        if found.is_file():
            click.echo(f"  {label:<14} {found}")
    if result.state in ("waiting", "running"):
        click.echo(f"  pipeline watch {result.job}")
    if result.state == "failed":
        click.echo(f"  pipeline logs {result.job}    shows what the failed tasks said")
        click.echo(f"  pipeline retry {result.job}   tries them again")
