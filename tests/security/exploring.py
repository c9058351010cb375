"""How long Hypothesis looks: a few seconds in the suite, `PENUMBRA_FUZZ_SECONDS` for each test when somebody asks.

PENUMBRA_FUZZ_SECONDS=180 python -m pytest tests/security/test_explored.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

__all__ = ["SECONDS", "explored"]

SECONDS: Final = float(os.environ.get("PENUMBRA_FUZZ_SECONDS", "0"))
EXAMPLES: Final = 25
LONGEST: Final = 30_000
"""Milliseconds of one example: more is a hang."""


def explored(strategy: SearchStrategy[Any], test: Callable[[Any], None], *, examples: int = EXAMPLES) -> None:
    """Runs a test on examples: always the same ones in the suite; new ones, as long as is asked for, otherwise."""
    calm = settings(
        max_examples=examples,
        deadline=LONGEST,
        database=None,
        derandomize=not SECONDS,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    until, round_ = time.monotonic() + SECONDS, 0
    while True:
        once = given(strategy)(lambda value: test(value))
        calm(seed(time.time_ns())(once) if SECONDS else once)()
        round_ += 1
        if time.monotonic() >= until:
            return
