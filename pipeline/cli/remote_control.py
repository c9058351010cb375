"""What `pipeline --api URL` asks of jobs and workers: the commands of this machine, with their own arguments and words,
asked of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import control as local
from pipeline.cli import workers as local_workers
from pipeline.cli.remote import api_client, print_documents

if TYPE_CHECKING:
    from pipeline.api.client import ApiClient

Ask = Callable[..., dict[str, Any]]
"""Asks something of a job or a worker by its name; the server's answer."""

LOCAL = ("farm", "out")
"""Parameters that say where a farm is: the server knows."""


def _remote(here: click.Command, names: str) -> Callable[[Ask], click.Command]:
    """The command of this machine, asked of a server.

    Args:
        here: the command of this machine.
        names: which of its parameters names whom it is about.
    """

    def made(ask: Ask) -> click.Command:
        @click.pass_context
        def command(ctx: click.Context, /, as_json: bool = False, **asked: Any) -> None:
            about = asked.pop(names)
            with api_client(ctx) as client:
                said = [ask(client, name, **asked) for name in ((about,) if isinstance(about, str) else about)]
            if as_json:
                print_documents(said)
                return
            for each in said:
                click.echo(f"{each['job'] if names == 'jobs' else each['worker']}: {each['told']}")

        kept = [parameter for parameter in here.params if parameter.name not in LOCAL]
        return click.Command(here.name, params=kept, callback=command, help=here.help)

    return made


# --- jobs ---------------------------------------------------------------------------------------------------------


@_remote(local.pause, "jobs")
def pause(client: ApiClient, name: str, *, after_task: bool) -> dict[str, Any]:
    return client.control(name, "pause", after_task=after_task)


@_remote(local.resume, "jobs")
def resume(client: ApiClient, name: str) -> dict[str, Any]:
    return client.control(name, "resume")


@_remote(local.cancel, "jobs")
def cancel(client: ApiClient, name: str, *, after_task: bool) -> dict[str, Any]:
    return client.control(name, "cancel", after_task=after_task)


@_remote(local.retry, "jobs")
def retry(client: ApiClient, name: str, *, tasks: tuple[str, ...]) -> dict[str, Any]:
    return client.control(name, "retry", task=list(tasks))


@_remote(local.skip, "jobs")
def skip(client: ApiClient, name: str, *, frames: str) -> dict[str, Any]:
    return client.control(name, "skip", frames=frames)


@_remote(local.priority, "jobs")
def priority(client: ApiClient, name: str, *, level: int) -> dict[str, Any]:
    return client.priority(name, level)


@_remote(local.approve, "jobs")
def approve(client: ApiClient, name: str) -> dict[str, Any]:
    return client.control(name, "approve")


@_remote(local.adjust, "jobs")
def adjust(client: ApiClient, name: str, *, settings: tuple[str, ...]) -> dict[str, Any]:
    return client.adjust(name, local.values(settings))


@_remote(local.change, "jobs")
def change(client: ApiClient, name: str, *, settings: tuple[str, ...], **named: Any) -> dict[str, Any]:
    return client.change(name, local.overrides_of(settings, named))


# --- workers ------------------------------------------------------------------------------------------------------


@click.command(help=local_workers.workers.help)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@click.pass_context
def workers(ctx: click.Context, as_json: bool) -> None:
    with api_client(ctx) as client:
        found = client.workers()
    local_workers.tell(found, as_json=as_json)


@_remote(local_workers.drain, "names")
def drain(client: ApiClient, name: str) -> dict[str, Any]:
    return client.order(name, "drain")


@_remote(local_workers.bar, "names")
def bar(client: ApiClient, name: str, *, job: str | None, reason: str) -> dict[str, Any]:
    return client.order(name, "bar", job=job, reason=reason)


@_remote(local_workers.allow, "names")
def allow(client: ApiClient, name: str, *, job: str | None) -> dict[str, Any]:
    return client.order(name, "allow", job=job)
