"""`pipeline worker`."""

from __future__ import annotations

import os
import sys

import click

from pipeline.cli.options import farm_option


@click.command()
@farm_option
@click.option("--broker", metavar="URL", help="Redis of the farm.  [default: the profile's, or $PIPELINE_BROKER_URL]")
@click.option("--store", metavar="URL", multiple=True, help="Store to serve; may be given several times.")
@click.option("--device", metavar="auto|cpu|cuda[:N]", default="auto", show_default=True, help="Device to render with.")
@click.option("--slots", type=click.IntRange(1, 64), default=1, show_default=True, help="Tasks at a time.")
@click.option("--name", help="Unique in the farm.  [default: made from the host, the device and the process]")
@click.option("--pools", default="", help="Pools, by commas. Without any: jobs of no pool.")
@click.option("--tags", default="", help="Tags, by commas, that jobs may ask for.")
@click.option("--memory", type=click.FloatRange(min=0, min_open=True), metavar="GIB", help="Of the device, for a slot.")
@click.option("--hours", default="", help="Take tasks in these hours alone: 'mon-fri 19:00-08:00, sat-sun'.")
@click.option("--queues", default="light,denoise,render,train", show_default=True, help="Kinds of tasks to take.")
@click.option("--no-events", is_flag=True, help="Tell monitors such as Flower nothing.")
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True
)
def worker(
    farm: str | None,
    broker: str | None,
    store: tuple[str, ...],
    device: str,
    slots: int,
    name: str | None,
    pools: str,
    tags: str,
    memory: float | None,
    hours: str,
    queues: str,
    no_events: bool,
    log_level: str,
) -> None:
    """Take tasks of a farm until Ctrl-C. Start one for each GPU: --device cuda:0, cuda:1 and so on.

    Ctrl-C (or SIGTERM) lets the running task finish; a second Ctrl-C ends it at once, and another worker makes it.
    """
    arguments = ["--device", device, "--slots", str(slots), "--queues", queues, "--log-level", log_level]
    offered = (("--pools", pools), ("--tags", tags), ("--hours", hours), ("--memory", str(memory) if memory else None))
    for option, value in (("--farm", farm), ("--broker", broker), ("--name", name), *offered):
        arguments += [option, value] if value else []
    for url in store:
        arguments += ["--store", url]
    if no_events:
        arguments.append("--no-events")
    # The worker takes this process' place: it imports the Celery application, which this package never does.
    os.execv(sys.executable, [sys.executable, "-m", "workers", *arguments])
