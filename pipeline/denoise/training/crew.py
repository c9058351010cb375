"""A process that renders training scenes, one after another, and the end of the line at which it is told which.

A process of one thread renders more in a minute than a share of a process of several. It tells of each launch, so that
one that is stuck is found out; and whatever happens to it, the others go on.
"""

from __future__ import annotations

import importlib
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from pipeline.denoise.training import sequences
from pipeline.denoise.training.take import Scenes, Take
from pipeline.errors import DeviceError, PenumbraError

__all__ = ["Done", "Job", "Member", "Skipped", "path_of"]

FAREWELL = 10.0
"""Seconds that a process is given to end by itself."""


@dataclass(frozen=True)
class Job:
    """What to render.

    Attributes:
        out: folder of the sequences.
        take: what is rendered of every scene.
        scenes: name of a module with the functions of `record.Scenes`.
    """

    out: Path
    take: Take
    scenes: str


@dataclass(frozen=True)
class Ready:
    """The process can render."""


@dataclass(frozen=True)
class Alive:
    """A launch has ended."""


@dataclass(frozen=True)
class Broken:
    """The process cannot render here, and neither could another."""

    reason: str


@dataclass(frozen=True)
class Done:
    """A sequence was written."""

    seed: int
    summary: str


@dataclass(frozen=True)
class Skipped:
    """A scene cannot be rendered, or there is nothing to learn from it."""

    seed: int
    reason: str


Message = Ready | Alive | Broken | Done | Skipped


def path_of(folder: Path, seed: int) -> Path:
    """The file of a seed's sequence."""
    return folder / f"{seed:08d}{sequences.SUFFIX}"


class Member:
    """A process, seen from outside.

    Attributes:
        connection: what to wait for.
        seed: the scene that it is at; None between scenes.
        served: scenes that it was given.
        began: it was once ready.
        fate: why there is no process any more; None while there is one.
        broken: it said that nothing can be rendered on this machine.
    """

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")  # threads of Dr.Jit do not outlive a fork
        self._blobs = tempfile.TemporaryDirectory(prefix="penumbra-training-")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(job, Path(self._blobs.name), theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the line
        self.seed: int | None = None
        self.served = 0
        self.began = self.broken = False
        self.fate: str | None = None
        self._heard = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether it waits for a scene."""
        return self.began and self.seed is None and self.fate is None

    def silent_for(self) -> float:
        """Seconds since it last gave a sign of life, or a scene."""
        return time.monotonic() - self._heard

    def messages(self) -> Iterator[Message]:
        """What it has said since it was last asked; takes note of it."""
        try:
            while self.connection.poll():
                message: Message = self.connection.recv()
                self._heard = time.monotonic()
                if isinstance(message, Ready):
                    self.began = True
                elif isinstance(message, (Done, Skipped)):
                    self.seed = None
                elif isinstance(message, Broken):
                    self.broken = True
                    self.kill(message.reason)
                yield message
                if self.broken:
                    return
        except (EOFError, OSError):
            self._process.join(FAREWELL)
            self.kill(f"its process ended with code {self._process.exitcode}")

    def give(self, seed: int) -> None:
        """Has it render a scene."""
        self.seed = seed
        self.served += 1
        self._heard = time.monotonic()
        self.connection.send(seed)

    def retire(self) -> None:
        """Lets an idle process go."""
        self.connection.send(None)
        self._process.join(FAREWELL)
        self.kill("it has retired")

    def kill(self, why: str) -> None:
        """Ends the process, if it still runs, and removes its files."""
        self.fate = why
        self._process.kill()
        self._process.join()
        self.connection.close()
        self._blobs.cleanup()


# --- Inside the process -----------------------------------------------------------------------------------------------


def _serve(job: Job, blobs: Path, connection: Connection[Any, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; who started this will end it
    try:
        from pipeline.device import LLVM, set_variant

        set_variant(LLVM)
        import drjit as dr

        dr.set_thread_count(1)
        scenes = cast(Scenes, importlib.import_module(job.scenes))
    except (PenumbraError, ImportError) as error:
        connection.send(Broken(str(error)))
        return
    connection.send(Ready())
    while (seed := connection.recv()) is not None:
        connection.send(_made(job, scenes, seed, blobs, connection))


def _made(job: Job, scenes: Scenes, seed: int, blobs: Path, connection: Connection[Any, Any]) -> Message:
    from pipeline.denoise.training.record import record  # needs a variant of Mitsuba

    try:
        sequence = record(scenes, seed, blobs, job.take, on_launch=lambda: connection.send(Alive()))
    except DeviceError as error:
        return Broken(str(error))
    except Exception as error:  # whatever is wrong with one scene, the next one may be well
        return Skipped(seed, f"{type(error).__name__}: {error}")
    sequences.write(path_of(job.out, seed), sequence)
    meta = sequence.meta
    return Done(seed, f"{meta['kind']}, SMAPE {meta['smape_16spp']:.3f} at 16 spp, {meta['seconds']:.1f} s")
