"""Renders the training data: `python -m pipeline.denoise.training.generate --out DIR --count N`.

One file a seed. What is there already is kept, so the same command goes on where it was stopped. A scene that cannot be
rendered, or has nothing to teach, leaves `<seed>.skipped` with the reason; delete it to have it tried again.
"""

from __future__ import annotations

import argparse
import logging
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path

from pipeline.denoise.training import sequences
from pipeline.denoise.training.crew import Done, Job, Member, Skipped, path_of
from pipeline.denoise.training.take import Take
from pipeline.errors import ConfigError, DeviceError, PenumbraError, ProductError

__all__ = ["VALIDATION", "Tally", "generate", "main", "seeds_of"]

log = logging.getLogger(__name__)

SCENES = "pipeline.denoise.training.scenes.recipe"
"""Module that makes the scenes."""

VALIDATION = 1_000_000
"""First seed of the validation data; training data are below."""

VALIDATION_FACTOR = 4
"""A validation reference has so many times the samples: it is looked at more closely than it is learnt from."""

SCENES_A_PROCESS = 40
"""Then a new one is started: compiled kernels are kept for as long as a process lives."""

START_PATIENCE = 120.0
"""Seconds that a process may take until it can render."""

PATIENCE = 120.0
"""Seconds without a sign of life after which a process is taken for stuck, and killed."""

STARTS = 3
"""Processes in a row that may fail before they have begun their first scene."""


@dataclass
class Tally:
    """Seeds by what became of them: rendered now, there already, skipped (now or earlier), lost with their process."""

    made: int = 0
    present: int = 0
    skipped: int = 0
    lost: int = 0


def seeds_of(*, first: int, count: int, validation: bool) -> range:
    """The seeds `first` … `first + count − 1`, those of the validation data counted from `VALIDATION`.

    Raises:
        ConfigError: training data would have seeds of the validation data.
    """
    if first < 0 or count < 0 or (not validation and first + count > VALIDATION):
        raise ConfigError(f"seeds {first} … {first + count - 1} are not between 0 and {VALIDATION - 1}")
    begin = first + (VALIDATION if validation else 0)
    return range(begin, begin + count)


def generate(
    job: Job, seeds: Sequence[int], *, processes: int = 2, minutes: float | None = None, patience: float = PATIENCE
) -> Tally:
    """Renders the seeds that are not there yet, in processes of one thread each.

    Args:
        job: what to make, and where.
        seeds: of the scenes.
        processes: how many at a time.
        minutes: no scene is begun after so many.
        patience: seconds without a sign of life after which a process is killed; its scene is lost to this run.

    Raises:
        DeviceError: nothing can be rendered on this machine.
        OSError: the folder cannot be written.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    waiting = deque(seed for seed in seeds if _is_wanted(job, seed, tally))
    rate = _Rate(len(waiting))
    deadline = None if minutes is None else time.monotonic() + 60.0 * minutes
    crew: list[Member] = []
    failed_starts = 0
    try:
        while True:
            if deadline is not None and time.monotonic() > deadline:
                waiting.clear()
            while waiting and len(crew) < processes:
                crew.append(Member(job))
            if not crew:
                return tally
            heard = wait([member.connection for member in crew], timeout=min(1.0, patience))
            for member in list(crew):
                if member.connection in heard:
                    for message in member.messages():
                        failed_starts = 0
                        if isinstance(message, Done):
                            tally.made += 1
                            log.info("seed %d: %s; %s", message.seed, message.summary, rate.after_one())
                        elif isinstance(message, Skipped):
                            _note_skipped(job, message)
                            tally.skipped += 1
                            log.warning("seed %d skipped: %s; %s", message.seed, message.reason, rate.after_one())
                allowed = patience if member.began else START_PATIENCE
                if member.fate is None and member.silent_for() > allowed:
                    member.kill(f"no sign of life for {allowed:.0f} s")
                if member.fate is not None:
                    crew.remove(member)
                    if member.broken:
                        raise DeviceError(member.fate)
                    if member.seed is not None:
                        tally.lost += 1
                        log.error("seed %d lost: %s; %s", member.seed, member.fate, rate.after_one())
                    elif not member.began:
                        failed_starts += 1
                        if failed_starts >= STARTS:
                            raise DeviceError(f"{STARTS} processes failed to start; the last one: {member.fate}")
                elif member.idle:
                    if waiting and member.served < SCENES_A_PROCESS:
                        member.give(waiting.popleft())
                    else:
                        member.retire()
                        crew.remove(member)
    finally:
        for member in crew:
            member.kill("the run has ended")


def _is_wanted(job: Job, seed: int, tally: Tally) -> bool:
    """Whether a seed is yet to be rendered; a damaged file is made anew."""
    path = path_of(job.out, seed)
    if path.with_suffix(".skipped").exists():
        tally.skipped += 1
        return False
    try:
        sequences.read(path)
    except FileNotFoundError:
        return True
    except ProductError as error:
        log.warning("%s; it is made anew", error)
        return True
    tally.present += 1
    return False


def _note_skipped(job: Job, message: Skipped) -> None:
    path_of(job.out, message.seed).with_suffix(".skipped").write_text(message.reason + "\n", encoding="utf-8")


class _Rate:
    """Scenes a minute since the start, and how long the rest will take."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self._began = total, 0, time.monotonic()

    def after_one(self) -> str:
        """Counts one more; a line for the log."""
        self.done += 1
        per_minute = 60.0 * self.done / max(time.monotonic() - self._began, 1e-3)
        left = int((self.total - self.done) / per_minute)
        return f"{self.done} of {self.total}, {per_minute:.1f} a minute, {left // 60} h {left % 60:02d} min left"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.denoise.training.generate", description="Renders training data of the denoiser."
    )
    take = Take()
    parser.add_argument("--out", type=Path, required=True, help="folder of the sequences")
    parser.add_argument("--count", type=int, required=True, help="scenes")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--radius", type=int, default=take.radius, help="frames on either side of the centre")
    parser.add_argument("--resolution", type=int, default=take.size, help="width and height, pixels")
    parser.add_argument("--processes", type=int, default=2, help="one thread each")
    parser.add_argument("--minutes", type=float, help="begin no scene after so many")
    parser.add_argument("--reference-spp", type=int, default=take.reference_spp, help="of each of three renders")
    parser.add_argument("--validation", action="store_true", help="other scenes, with references of 4× the samples")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    factor = VALIDATION_FACTOR if options.validation else 1
    take = replace(take, radius=options.radius, size=options.resolution, reference_spp=options.reference_spp * factor)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its processes end with it
    try:
        seeds = seeds_of(first=options.first, count=options.count, validation=options.validation)
        job = Job(options.out, take, SCENES)
        tally = generate(job, seeds, processes=options.processes, minutes=options.minutes)
    except PenumbraError as error:
        log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        log.info("stopped; the same command goes on from here")
        return 130
    log.info("%d made, %d there already, %d skipped, %d lost", tally.made, tally.present, tally.skipped, tally.lost)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
