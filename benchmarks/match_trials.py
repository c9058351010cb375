"""Trials of the matching benchmark: one method on one task from one start; kept, so that a run that stopped goes on.

A trial is a file of its own, named by what was tried: task, size, method and its one free number, seed, budget. Figures
are what it took until an error had fallen by 90, 99 and 99.9 % for good; a trial that never got there counts its whole
budget.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.match_methods import Contender
from benchmarks.match_tasks import Task
from pipeline.errors import PenumbraError
from pipeline.match.minimise import Record

__all__ = ["REDUCTIONS", "Trial", "kept", "run", "trials"]

REDUCTIONS = (0.9, 0.99, 0.999)
FORMAT = 2  # of the files; another number makes them anew
ERRORS = 60  # pictures judged per trial, at most
STEADY = 6  # steps in a row that end a trial


@dataclass(frozen=True)
class Trial:
    """What came of one trial.

    Attributes:
        number: the method's free one.
        reached: by reduction (`"0.99"`) and space (`parameter`, `picture`): evaluations, gradients, seconds and idle
            seconds (not spent rendering), or None where it was never reached.
        budget: the same four, of the whole trial.
        path: (evaluations, seconds, parameter error, picture error) along the way, errors over their start.
        error: of the unsmoothed loss at the end, fresh seeds, over its start.
        reason: why it ended.
    """

    task: str
    method: str
    number: float
    seed: int
    reached: dict[str, dict[str, list[float] | None]]
    budget: list[float]
    path: list[list[float]]
    error: float
    reason: str

    def cost(self, reduction: float, space: str, what: int = 2) -> tuple[float, bool]:
        """What a reduction took (0 evaluations, 1 gradients, 2 seconds, 3 idle seconds), and whether it was reached; a
        failure counts the budget."""
        found = self.reached[str(reduction)][space]
        return (self.budget[what], False) if found is None else (found[what], True)


def trials(task: Task, methods: Iterable[Contender], seeds: Iterable[int], folder: Path) -> Iterator[Trial]:
    """Trials that were kept, and those that are run now: all methods from one start, then from the next."""
    for seed in seeds:
        for method in methods:
            if task.takes(method):
                yield kept(task, method, method.number(task.key), seed, folder)


def kept(task: Task, method: Contender, number: float, seed: int, folder: Path) -> Trial:
    """One trial, run now if it was not kept."""
    name = f"v{FORMAT}.{task.key}.{task.size}.{method.key}.{number:g}.{seed}.{task.evaluations}.json"
    path = folder / name
    if path.exists():
        return Trial(**json.loads(path.read_text()))
    made = run(task, method, number, seed)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(made)))
    temporary.replace(path)
    return made


def run(task: Task, method: Contender, number: float, seed: int) -> Trial:
    """One trial."""
    start = task.start(seed)
    near = task.distance(start) * (1 - REDUCTIONS[-1]) / 10
    history: list[Record] = []

    def note(record: Record) -> bool:
        """Keeps a step; True once nothing is left to be reached."""
        history.append(record)
        return len(history) >= STEADY and all(task.distance(r.theta) < near for r in history[-STEADY:])

    began = time.perf_counter()
    try:
        reason = task.solve(method, number, seed, note)
    except PenumbraError as error:
        reason = str(error)
    seconds = time.perf_counter() - began
    last = history[-1] if history else None
    # What ended before its time, without success, counts as if it had gone on at the same pace.
    share = task.evaluations / max(last.evaluations if last else 1, 1)
    gradients, idle = (float(last.gradients), last.idle) if last else (0.0, seconds)
    budget = [float(task.evaluations), *(max(share, 1.0) * value for value in (gradients, seconds, idle))]
    first = task.distance(start), task.error(start)
    shown = _thinned(history)
    pictures = {record.evaluations: task.error(record.theta) / first[1] for record in shown}
    path = [
        [record.evaluations, record.seconds, task.distance(record.theta) / first[0], pictures[record.evaluations]]
        for record in shown
    ]
    reached = {
        str(reduction): {
            "parameter": _reached(history, [task.distance(r.theta) / first[0] for r in history], reduction),
            "picture": _reached(shown, [pictures[r.evaluations] for r in shown], reduction),
        }
        for reduction in REDUCTIONS
    }
    end = task.error(last.theta if last else start) / first[1]
    return Trial(task.key, method.key, number, seed, reached, budget, path, end, reason)


def _reached(history: list[Record], errors: list[float], reduction: float) -> list[float] | None:
    """The step after which the error stayed below 1 − reduction."""
    above = [index for index, error in enumerate(errors) if not error <= 1.0 - reduction]
    first = above[-1] + 1 if above else 0
    if first >= len(history):
        return None
    record = history[first]
    return [float(record.evaluations), float(record.gradients), record.seconds, record.idle]


def _thinned(history: list[Record]) -> list[Record]:
    """At most `ERRORS` steps, evenly in the logarithm of their number, the last one among them."""
    if len(history) <= ERRORS:
        return history
    places = np.unique(np.round(np.geomspace(1, len(history), ERRORS)).astype(int) - 1)
    return [history[place] for place in places]
