"""The `pipeline` command: its table of commands, and what becomes of errors.

A command's module is imported only when that command is called, so that `pipeline --help` and shell completion
answer at once; this module imports neither numpy, Celery, Mitsuba nor torch.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from pipeline.errors import PenumbraError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["COMMANDS", "Entry", "cli", "main", "run"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it: 128 + SIGINT."""


@dataclass(frozen=True)
class Entry:
    """One row of the table of commands: where the command is, and its line in `pipeline --help`."""

    name: str
    topic: str
    place: str  # module:attribute
    summary: str


COMMANDS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("submit", "Render", "pipeline.cli.submit:submit", "Render shots: claim a version, make its frames."),
        Entry("redenoise", "Render", "pipeline.cli.redenoise:redenoise", "Denoise a rendered version anew: another λ."),
        Entry("denoise", "Render", "pipeline.cli.denoise:denoise", "Denoise EXR sequences, ours and others'."),
        Entry("match", "Render", "pipeline.cli.match:match", "Find parameters at which a shot looks like a plate."),
        Entry("shots", "Render", "pipeline.cli.shots:shots", "List the shots that an edit names."),
        Entry("diff", "Render", "pipeline.cli.diff:diff", "Say what changed between two edits."),
        Entry("import", "Render", "pipeline.cli.import_:import_scene", "Make a shot of a glTF or USD scene."),
        Entry("config", "Render", "pipeline.cli.config:config", "Print a shot's settings, and where each came from."),
        Entry("status", "Look", "pipeline.cli.status:status", "How far a shot's frames are."),
        Entry("watch", "Look", "pipeline.cli.status:watch", "Follow jobs live, until they end."),
        Entry("list", "Look", "pipeline.cli.status:list_jobs", "List all jobs of the store."),
        Entry("usage", "Look", "pipeline.cli.usage:usage", "What jobs have used: device time, price, bytes."),
        Entry("workers", "Look", "pipeline.cli.workers:workers", "List the farm's workers."),
        Entry("logs", "Look", "pipeline.cli.logs:logs", "Show what tasks printed."),
        Entry("maps", "Look", "pipeline.cli.maps:maps", "Show each round of a frame: picture, error, samples."),
        Entry("review", "Look", "pipeline.cli.review:review", "Look at a shot in the browser; steer λ live."),
        Entry("preview", "Look", "pipeline.cli.preview:preview", "Look at a shot from anywhere while it is lit."),
        Entry("pause", "Control", "pipeline.cli.control:pause", "Stop handing out a job's tasks."),
        Entry("resume", "Control", "pipeline.cli.control:resume", "Go on with a paused job."),
        Entry("cancel", "Control", "pipeline.cli.control:cancel", "Give a job up; what is made stays."),
        Entry("retry", "Control", "pipeline.cli.control:retry", "Try a job's failed tasks again."),
        Entry("skip", "Control", "pipeline.cli.control:skip", "Leave frames of a job out."),
        Entry("priority", "Control", "pipeline.cli.control:priority", "Change the priority of a running job."),
        Entry("approve", "Control", "pipeline.cli.control:approve", "Let a job go on after its first passes."),
        Entry("adjust", "Control", "pipeline.cli.control:adjust", "Change a job's pool, tags, order, licences …"),
        Entry("change", "Control", "pipeline.cli.control:change", "Another λ or target: a version that reuses."),
        Entry("drain", "Control", "pipeline.cli.workers:drain", "Have workers end after their running tasks."),
        Entry("bar", "Control", "pipeline.cli.workers:bar", "Keep workers off a job, or off the farm."),
        Entry("allow", "Control", "pipeline.cli.workers:allow", "Let workers take tasks again."),
        Entry("clean", "Control", "pipeline.cli.clean:clean", "Remove what finished jobs can do without."),
        Entry(
            "train", "Networks", "pipeline.cli.train:train", "Train the networks, and make the data they learn from."
        ),
        Entry("capture", "Materials", "pipeline.cli.capture:capture", "Make a material of flash photographs."),
        Entry("assets", "Materials", "pipeline.cli.assets:assets", "List captured materials; print the card."),
        Entry("encode", "Networks", "pipeline.cli.encode:encode", "Make a neural map of a texture or an environment."),
        Entry("fit", "Networks", "pipeline.cli.fit:fit", "Train a field on an image or a mesh; compare optimisers."),
        Entry("worker", "Machine", "pipeline.cli.worker:worker", "Work for a farm on this machine."),
        Entry("api", "Machine", "pipeline.cli.api:api", "Serve the farm over HTTP; make tokens."),
        Entry("doctor", "Machine", "pipeline.cli.doctor:doctor", "Say what is wrong with this machine, and the cure."),
        Entry("completion", "Machine", "pipeline.cli.completion:completion", "Print the shell's completion script."),
    )
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed from the table without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        if ctx.params.get("api"):
            remote = importlib.import_module("pipeline.cli.remote")
            if cmd_name in remote.REMOTE:
                module = remote.module_of(cmd_name)
            elif ctx.get_parameter_source("api") is click.core.ParameterSource.COMMANDLINE:
                ctx.fail(f"'{cmd_name}' works on this machine; through --api go {', '.join(remote.REMOTE)}")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        command.short_help = entry.summary
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            ctx.fail(
                f"No such command '{name}'" + (f"; did you mean '{near[0]}'?" if near else "; see pipeline --help")
            )
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [CompletionItem(e.name, help=e.summary) for e in COMMANDS.values() if e.name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for topic in dict.fromkeys(entry.topic for entry in COMMANDS.values()):
            rows = [(e.name.ljust(width), e.summary) for e in COMMANDS.values() if e.topic == topic]
            with formatter.section(topic):
                formatter.write_dl(rows)


def _show_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"pipeline {version('penumbra-pipeline')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version and exit.",
)
@click.option("--debug", is_flag=True, help="With an error, show its traceback; log more.")
@click.option(
    "--api",
    metavar="URL",
    envvar="PIPELINE_API",
    help="Ask a farm's server in place of this machine; may stand behind the command too.  [$PIPELINE_API]",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool, api: str | None) -> None:
    """Render shots with Mitsuba 3 on a farm, or on this machine alone.

    \b
    pipeline submit shot_010        renders shots/shot_010 into renders/
    pipeline COMMAND --help         says what a command takes
    """
    ctx.obj = debug
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        stream=sys.stderr,
        format="pipeline: %(levelname)s: %(message)s"
        if not debug
        else "%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    0: done; 1: failed; 2: usage or bad input; 130: interrupted. An error that a user is expected to meet is shown
    as its message alone, and so is an unexpected one, with the way to its traceback.
    """
    words = _api_first(list(sys.argv[1:] if arguments is None else arguments))
    debug = "--debug" in words[: _first_command(words)]
    try:
        code = cli.main(args=words, prog_name="pipeline", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("pipeline: interrupted", err=True)
        return INTERRUPTED
    except PenumbraError as error:
        _show(error, str(error), debug)
        return error.exit_code
    except BrokenPipeError:
        # The reader of a pipe went away (`pipeline list | head`): nothing is left to say, nor anyone to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        hint = "" if debug else " (this is a fault of Penumbra's; pipeline --debug … shows where)"
        _show(error, f"{type(error).__name__}: {error}{hint}", debug)
        return 1
    return code if isinstance(code, int) else 0


def _api_first(words: list[str]) -> list[str]:
    """The words with `--api URL` in front, wherever it stood: it decides which commands there are.

    >>> _api_first(["status", "shot_010", "--api", "http://farm:8080"])
    ['--api=http://farm:8080', 'status', 'shot_010']
    """
    end = words.index("--") if "--" in words else len(words)
    for index, word in enumerate(words[:end]):
        if word.startswith("--api="):
            return [word, *words[:index], *words[index + 1 :]]
        if word == "--api" and index + 1 < end:
            return [f"--api={words[index + 1]}", *words[:index], *words[index + 2 :]]
    return words


def _first_command(words: list[str]) -> int:
    return next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))


def _show(error: Exception, message: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    click.echo(f"pipeline: {message}", err=True)


def main() -> NoReturn:
    """The console script."""
    sys.exit(run())
