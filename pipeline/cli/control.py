"""What is asked of running jobs: `pause`, `cancel`, `retry`, `skip`, `priority`, `approve`, `adjust`, `change` …"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of
from pipeline.cli.status import farm_of

if TYPE_CHECKING:
    from pipeline.farm.client import Farm
    from pipeline.farm.job import Job

Ask = Callable[..., str]
AFTER_TASK = click.option("--after-task", is_flag=True, help="Let running tasks come to their end.")


def _command(*parameters: Callable[[Any], Any], many: bool = True) -> Callable[[Ask], click.Command]:
    """A command that asks something of each job that is named.

    Args:
        parameters: of the command, beside the jobs.
        many: several jobs may be named; else one, before other arguments.
    """

    def made(ask: Ask) -> click.Command:
        @click.command(name=ask.__name__, help=ask.__doc__)
        @jobs_argument(name="jobs", many=many)
        @farm_option
        @out_option
        @json_option
        def command(
            jobs: tuple[str, ...] | str, farm: str | None, out: str | None, as_json: bool, **asked: Any
        ) -> None:
            from pipeline.farm.lookup import find_job

            settings = farm_settings(farm)
            store = store_of(settings, out)
            found = [find_job(store, text) for text in ((jobs,) if isinstance(jobs, str) else jobs)]
            service = farm_of(settings, store)
            said: list[dict[str, Any]] = [{"job": job.id, "told": ask(service, job, **asked)} for job in found]
            if as_json:
                click.echo(json.dumps(said[0] if len(said) == 1 else said, indent=2, ensure_ascii=False))
            else:
                for each in said:
                    click.echo(f"{each['job']}: {each['told']}")

        for parameter in reversed(parameters):
            command = parameter(command)
        return command

    return made


@_command(AFTER_TASK)
def pause(farm: Farm, job: Job, *, after_task: bool) -> str:
    """Stop handing out a job's tasks; what runs lets go within seconds. `resume` goes on."""
    farm.pause(job, after_task=after_task)
    return "paused after the tasks that run" if after_task else "paused"


@_command()
def resume(farm: Farm, job: Job) -> str:
    """Go on with a job that was paused or cancelled."""
    farm.resume(job)
    return "resumed" + _alone(farm)


@_command(AFTER_TASK)
def cancel(farm: Farm, job: Job, *, after_task: bool) -> str:
    """Give a job up. What is made stays: `resume`, or submitting it again, goes on from there."""
    farm.cancel(job, after_task=after_task)
    return "cancelled after the tasks that run" if after_task else "cancelled"


@_command(click.option("--task", "tasks", multiple=True, metavar="TASK", help="This one alone; may be given again."))
def retry(farm: Farm, job: Job, *, tasks: tuple[str, ...]) -> str:
    """Try a job's failed tasks again, and the frames that were given up because of them."""
    found = farm.retry(job, tasks or None)
    if not found:
        return "nothing has failed" if not tasks else "none of these has failed"
    return f"{len(found)} failed task{'s' * (len(found) != 1)} will be tried again{_alone(farm)}"


@_command(click.argument("frames"), many=False)
def skip(farm: Farm, job: Job, *, frames: str) -> str:
    """Leave frames out: SHOT 1003,1010-1012. Submitting them again brings them back."""
    from pipeline.config.frames import FrameRange

    named = FrameRange.parse(frames)
    farm.skip(job, named)
    return f"{named} are skipped"


@_command(click.argument("level", type=click.IntRange(0, 9), metavar="0-9"), many=False)
def priority(farm: Farm, job: Job, *, level: int) -> str:
    """Change the priority of a job, also while it runs: 0 (last) to 9 (first)."""
    farm.priority(job, level)
    return f"priority {level}"


@_command()
def approve(farm: Farm, job: Job) -> str:
    """Let a job go on that waits after its first passes (`farm.approve` in shot.yaml)."""
    if job.terms(farm.control(job)).approve == "no":
        return "waits for no approval"
    farm.approve(job)
    return "approved" + _alone(farm)


def values(settings: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE, the values as YAML reads them."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    found: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"'{text}' is not KEY=VALUE")
        try:
            found[key.strip()] = YAML(typ="safe", pure=True).load(value)
        except YAMLError as error:
            raise click.BadParameter(f"'{value}' is not a value as YAML writes them") from error
    return found


@_command(click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE…"), many=False)
def adjust(farm: Farm, job: Job, *, settings: tuple[str, ...]) -> str:
    """Change the terms of a job while it runs: pool, tags, memory, licences, max_tasks, order, approve, after.

    No pixel changes: `pipeline adjust shot_010 order=middle-out memory=24 tags=[fast]`.
    """
    terms = values(settings)
    farm.adjust(job, terms)
    return ", ".join(f"{key} is {json.dumps(value)}" for key, value in terms.items())


CHANGES: Mapping[str, str] = {
    "lambda_": "denoise.lambda",
    "target_error": "sampling.target_error",
    "max_spp": "sampling.max_spp",
}


@_command(
    click.option("--lambda", "lambda_", type=float, metavar="X", help="λ of the denoiser."),
    click.option("--target-error", type=float, metavar="E", help="Predicted error at which a frame is done."),
    click.option("--max-spp", type=int, metavar="N", help="Most samples per pixel of a frame."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other key."),
)
def change(farm: Farm, job: Job, *, settings: tuple[str, ...], **named: Any) -> str:
    """Change λ, the target or the cap of a job, also while it runs: a new version, which reuses what is the same.

    The version before is cancelled after the tasks that run.
    """
    from pipeline.farm.change import changed

    overrides = overrides_of(settings, named)
    found, attached = changed(farm, job, overrides, owner=getpass.getuser())
    if found.id == job.id:
        return "is like that already"
    return f"{found.id} {'goes on' if attached else 'takes its place'}{_alone(farm)}"


def overrides_of(settings: tuple[str, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """What `change` is to change, by dotted key. Raises click.UsageError: nothing."""
    overrides = {CHANGES[name]: value for name, value in named.items() if value is not None} | values(settings)
    if not overrides:
        raise click.UsageError("nothing is to be changed; --lambda, --target-error, --max-spp or --set says what")
    return overrides


def _alone(farm: Farm) -> str:
    """What is to be done where no farm works by itself."""
    return "" if farm.config.broker_url else " (without a farm: by pipeline submit, now or as soon as it is started)"
