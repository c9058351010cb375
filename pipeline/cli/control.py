"""`pipeline pause`, `resume`, `cancel` and `retry`: what is asked of running jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of
from pipeline.cli.status import farm_of

if TYPE_CHECKING:
    from pipeline.farm.client import Farm
    from pipeline.farm.job import Job


def _command(ask: Callable[[Farm, Job], str]) -> click.Command:
    """A command that asks something of each job that is named."""

    @click.command(name=ask.__name__, help=ask.__doc__)
    @jobs_argument(name="jobs")
    @farm_option
    @out_option
    @json_option
    def command(jobs: tuple[str, ...], farm: str | None, out: str | None, as_json: bool) -> None:
        from pipeline.farm.lookup import find_job

        settings = farm_settings(farm)
        store = store_of(settings, out)
        found = [find_job(store, text) for text in jobs]
        service = farm_of(settings, store)
        said: list[dict[str, Any]] = [{"job": job.id, "told": ask(service, job)} for job in found]
        if as_json:
            click.echo(json.dumps(said[0] if len(said) == 1 else said, indent=2, ensure_ascii=False))
        else:
            for each in said:
                click.echo(f"{each['job']}: {each['told']}")

    return command


@_command
def pause(farm: Farm, job: Job) -> str:
    """Stop handing out a job's tasks; what runs lets go within seconds. `resume` goes on."""
    farm.pause(job)
    return "paused"


@_command
def resume(farm: Farm, job: Job) -> str:
    """Go on with a job that was paused or cancelled."""
    farm.resume(job)
    return "resumed" + _alone(farm)


@_command
def cancel(farm: Farm, job: Job) -> str:
    """Give a job up. What is made stays: `resume`, or submitting it again, goes on from there."""
    farm.cancel(job)
    return "cancelled"


@_command
def retry(farm: Farm, job: Job) -> str:
    """Try a job's failed tasks again, and the frames that were given up because of them."""
    tasks = farm.retry(job)
    if not tasks:
        return "nothing has failed"
    return f"{len(tasks)} failed task{'s' * (len(tasks) != 1)} will be tried again{_alone(farm)}"


def _alone(farm: Farm) -> str:
    """What is to be done where no farm works by itself."""
    return "" if farm.config.broker_url else " (without a farm: by pipeline submit, now or as soon as it is started)"
