"""Live progress on stderr: a table that renews itself in a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import click
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.farm.forecast import Interval
from pipeline.farm.progress import FrameSnapshot, JobSnapshot

__all__ = ["Live", "frame_rows", "frame_table", "magnitude", "price", "span", "summary"]

LINE_SECONDS = 10.0
"""Time between two plain lines of a job in which nothing else has happened."""

COLOURS = {
    "done": "green",
    "rendering": "cyan",
    "denoising": "magenta",
    "held": "yellow",
    "review": "yellow",
    "blocked": "yellow",
    "parked": "red",
    "absent": "red",
    "failed": "red",
    "running": "cyan",
    "paused": "yellow",
    "cancelled": "yellow",
}
BUSY_FIRST = {"rendering": 0, "denoising": 0, "parked": 1, "absent": 1, "done": 2, "held": 3, "waiting": 4}


class Live:
    """Shows jobs while they go on. To be used as a context; `show` is told what there is to see.

    Args:
        console: where to; stderr by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._live: RichLive | None = None
        self._said: dict[str, tuple[int, str, str, float]] = {}  # by job: frames done, state, the line, when
        self._note = ""

    def __enter__(self) -> Live:
        if self._console.is_terminal:
            self._live = RichLive(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, jobs: Sequence[JobSnapshot], note: str) -> None:
        """Shows how far jobs are, and in a few words what is going on beside that."""
        if self._live is not None:
            self._live.update(self._picture(jobs, note))
        else:
            self._lines(jobs, note)

    # --- in a terminal --------------------------------------------------------------------------------------------

    def _picture(self, jobs: Sequence[JobSnapshot], note: str) -> Group:
        room = max(4, (self._console.height - 3 * len(jobs) - 2) // max(1, len(jobs)))
        parts: list[Table | Spinner] = [self._job(job, room) for job in jobs]
        if note:
            parts.append(Spinner("dots", text=Text(note, style="dim")))
        return Group(*parts)

    def _job(self, job: JobSnapshot, room: int) -> Table:
        outer = Table.grid(padding=(0, 1))
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(job.job, style="bold"), ProgressBar(total=1.0, completed=job.fraction, width=30), Text(summary(job))
        )
        outer.add_row(head)
        shown = sorted(job.frames, key=lambda frame: (BUSY_FIRST[frame.state], frame.frame))[:room]
        outer.add_row(frame_table(sorted(shown, key=lambda frame: frame.frame), job))
        if len(shown) < len(job.frames):
            outer.add_row(Text(f"  … and {len(job.frames) - len(shown)} more frames", style="dim"))
        return outer

    # --- elsewhere ------------------------------------------------------------------------------------------------

    def _lines(self, jobs: Sequence[JobSnapshot], note: str) -> None:
        if note and note != self._note:
            click.echo(note, err=True)
        self._note = note
        for job in jobs:
            now, line = time.monotonic(), summary(job)
            done, state, said, then = self._said.get(job.job, (-1, "", "", 0.0))
            if line != said and (job.done != done or job.state != state or now - then >= LINE_SECONDS):
                self._said[job.job] = job.done, job.state, line, now
                click.echo(f"{job.job}: {line}", err=True)


def summary(job: JobSnapshot) -> str:
    """One line of a job: state, frames, share, rate of samples, time left with its interval, and what that costs."""
    words = [job.state, f"{job.done}/{len(job.frames)} {'parts' if job.errand else 'frames'}"]
    if job.state not in ("done", "failed"):
        words.append(f"{job.fraction:.0%}")
    if job.absent:
        words.append(f"{job.absent} given up")
    if job.state == "running":
        told = job.forecast
        if told is not None:
            if told.samples.middle > 0.0 and told.seconds.middle > 0.0 and not job.errand:
                words.append(f"{magnitude(told.samples.middle / told.seconds.middle)}samples/s")
            words.append(f"ETA {span(told.seconds)}")
            if told.cost is not None:
                words.append(f"cost {price(told.cost)}")
    if job.state == "review":
        words.append("waits for `pipeline approve`")
    if job.state == "blocked":
        words.append(f"waits for {', '.join(sorted(set(job.blocked.values())))}")
    if job.failures and job.state != "done":
        words.append(f"{len(job.failures)} failed tasks")
    return ", ".join(words)


def frame_table(frames: Sequence[FrameSnapshot], job: JobSnapshot) -> Table:
    """Frames, a row each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("frame", "state", "round", "spp", "error", "p99"):
        table.add_column(name, justify="left" if name == "state" else "right")
    table.add_column("", min_width=20)
    for frame, row in zip(frames, frame_rows(frames, job), strict=True):
        share = 1.0 if frame.state == "done" else min(0.99, frame.samples / frame.expected) if frame.expected else 0.0
        state = Text(row[1], style=COLOURS.get(frame.state, ""))
        table.add_row(row[0], state, *row[2:], ProgressBar(total=1.0, completed=share, width=20))
    return table


def frame_rows(frames: Sequence[FrameSnapshot], job: JobSnapshot) -> Iterator[tuple[str, ...]]:
    """Frame, state, round, samples per pixel, predicted error, its 99th percentile; as texts."""
    for frame in frames:
        yield (
            str(frame.frame),
            _words(frame, job),
            "" if frame.round is None else f"{frame.round + 1}/{job.rounds}",
            "" if frame.spp is None else f"{frame.spp:.0f}",
            "" if frame.error is None else f"{frame.error:.4f}",
            "" if frame.error_p99 is None else f"{frame.error_p99:.4f}",
        )


def _words(frame: FrameSnapshot, job: JobSnapshot) -> str:
    """What state a frame is in; a part of an errand is not rendered."""
    if job.errand and frame.state == "rendering":
        return "working"
    return frame.state + (" (degraded)" if frame.degraded else "")


def magnitude(number: float) -> str:
    """A number with a prefix.

    >>> magnitude(1_234_567), magnitude(950)
    ('1.2 M', '950 ')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:.0f} "


def span(seconds: Interval) -> str:
    """A guess at a time span, with its interval.

    >>> span(Interval(540, 720, 1020)), span(Interval(7000, 10000, 15000)), span(Interval(4, 5, 5))
    ('12 min (9–17)', '2.8 h (1.9–4.2)', '5 s (4–5)')
    """
    unit, size = ("s", 1.0) if seconds.middle < 90.0 else ("min", 60.0) if seconds.middle < 5400.0 else ("h", 3600.0)
    digits = 1 if unit == "h" else 0
    low, middle, high = (f"{value / size:.{digits}f}" for value in (seconds.low, seconds.middle, seconds.high))
    return f"{middle} {unit} ({low}–{high})"


def price(cost: Interval) -> str:
    """A guess at a cost, with its interval.

    >>> price(Interval(1.2, 1.5, 2))
    '1.50 (1.20–2.00)'
    """
    return f"{cost.middle:.2f} ({cost.low:.2f}–{cost.high:.2f})"
