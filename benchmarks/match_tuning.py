"""The free number of each method of the matching benchmark, chosen task by task.

python -m benchmarks.match_tuning [--starts N] [TASK…]

Every number of a method's grid is tried from starts that the benchmark never uses. The one with the least median of
evaluations to 99 % in parameters is kept in `match_settings.json`, with all that was tried; a failure counts its
budget, and where all fail the least final distance decides. Trials are kept in `build/match/tuning`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import ROOT
from benchmarks.match import tasks
from benchmarks.match_methods import METHODS, SETTINGS, TUNING, Contender
from benchmarks.match_tasks import Task
from benchmarks.match_trials import kept

__all__ = ["main", "tuned"]

KEPT = ROOT / "build" / "match" / "tuning"


def tuned(task: Task, method: Contender, starts: int, folder: Path) -> tuple[float, list[dict[str, float]]]:
    """The best number of a method's grid on one task, and what each number came to."""
    tried = []
    for number in method.numbers:
        trials = [kept(task, method, number, TUNING + index, folder) for index in range(starts)]
        costs = [trial.cost(0.99, "parameter", 0)[0] for trial in trials]
        left = [trial.path[-1][2] if trial.path else 1.0 for trial in trials]
        tried.append({"number": number, "evaluations": float(np.median(costs)), "left": float(np.median(left))})
    best = min(tried, key=lambda each: (each["evaluations"], each["left"]))
    return best["number"], tried


def main(argv: Sequence[str] | None = None) -> int:
    """Tunes, and adds to the settings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.match_tuning", description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=5, help="starts that each number is tried from")
    parser.add_argument("--methods", nargs="*", metavar="METHOD", help="by key; all by default")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="by key; all by default")
    arguments = parser.parse_args(argv)
    from pipeline.device import set_variant

    set_variant()
    settings = json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {"chosen": {}, "tried": {}}
    with tempfile.TemporaryDirectory(prefix="penumbra-match-") as name:
        for task in tasks(Path(name), only=arguments.tasks):
            for method in METHODS:
                if not task.takes(method) or (arguments.methods and method.key not in arguments.methods):
                    continue
                number, tried = tuned(task, method, arguments.starts, KEPT)
                settings["chosen"].setdefault(task.key, {})[method.key] = number
                settings["tried"].setdefault(task.key, {})[method.key] = {"starts": arguments.starts, "grid": tried}
                print(f"{task.key} {method.key}: {number:g}", file=sys.stderr, flush=True)
                SETTINGS.write_text(json.dumps(settings, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
