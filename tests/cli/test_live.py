"""Live progress: lines where nobody can see a table, a table where somebody can."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.cli.live import Live, magnitude, price, span, summary
from pipeline.farm.forecast import Forecast, Interval
from pipeline.farm.progress import FrameSnapshot, JobSnapshot

FRAMES = (
    FrameSnapshot(1001, "done", round=2, spp=64.0, error=0.0182, error_p99=0.05, samples=1000, expected=1000.0),
    FrameSnapshot(1002, "rendering", round=1, spp=32.0, error=0.0311, error_p99=0.1, samples=500, expected=1000.0),
    FrameSnapshot(1003, "waiting"),
)
JOB = JobSnapshot(
    job="shot_a.v001",
    shot="shot_a",
    version=1,
    directory="shot_a/v001",
    state="running",
    priority=5,
    frames=FRAMES,
    rounds=4,
    samples=1500,
    expected=3000.0,
    seconds=10.0,
    fraction=0.5,
    forecast=Forecast(
        Interval(1000.0, 1500.0, 2500.0), Interval(540.0, 720.0, 1020.0), Interval(1080.0, 1440.0, 2040.0), None, 2.0
    ),
    failures=(),
)


def plain() -> Live:
    return Live(Console(file=io.StringIO(), force_terminal=False))


def test_the_summary_tells_state_frames_share_rate_and_time_left() -> None:
    assert summary(JOB) == "running, 1/3 frames, 50%, 2 samples/s, ETA 12 min (9–17)"


def test_the_summary_of_a_job_that_has_ended_tells_no_share_and_no_time() -> None:
    assert summary(replace(JOB, state="done", forecast=None)) == "done, 1/3 frames"


def test_without_a_terminal_a_line_comes_when_something_has_happened(capsys: pytest.CaptureFixture[str]) -> None:
    with plain() as live:
        live.show([], "checking scenes")
        live.show([JOB], "")
        live.show([JOB], "")
        live.show([replace(JOB, state="paused", forecast=None)], "")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "checking scenes",
        "shot_a.v001: running, 1/3 frames, 50%, 2 samples/s, ETA 12 min (9–17)",
        "shot_a.v001: paused, 1/3 frames, 50%",
    ]
    assert captured.out == ""


def test_in_a_terminal_every_frame_has_a_row_with_its_round_and_error() -> None:
    screen = io.StringIO()
    with Live(Console(file=screen, force_terminal=True, width=110, height=30)) as live:
        live.show([JOB], "")
    shown = screen.getvalue()
    assert all(text in shown for text in ("shot_a.v001", "1001", "3/4", "0.0182", "1002", "0.0311", "1003", "waiting"))


def test_a_long_job_shows_the_frames_at_work_and_counts_the_rest() -> None:
    frames = tuple(FrameSnapshot(n, "rendering" if n == 900 else "waiting") for n in range(1, 1001))
    screen = io.StringIO()
    with Live(Console(file=screen, force_terminal=True, width=110, height=20)) as live:
        live.show([replace(JOB, frames=frames)], "")
    shown = screen.getvalue()
    assert "900" in shown and "more frames" in shown
    assert shown.count("\n") < 60


@pytest.mark.parametrize(
    ("low", "middle", "high", "text"),
    [(4, 5, 5, "5 s (4–5)"), (540, 720, 1020, "12 min (9–17)"), (7000, 10000, 15000, "2.8 h (1.9–4.2)")],
)
def test_time_spans_have_one_unit_and_an_interval(low: float, middle: float, high: float, text: str) -> None:
    assert span(Interval(low, middle, high)) == text


def test_a_cost_is_told_where_the_farm_has_a_price() -> None:
    assert JOB.forecast is not None
    told = summary(replace(JOB, forecast=replace(JOB.forecast, cost=Interval(1.2, 1.5, 2.0))))

    assert told.endswith("ETA 12 min (9–17), cost 1.50 (1.20–2.00)")
    assert price(Interval(0.0, 0.0, 0.0)) == "0.00 (0.00–0.00)"


@pytest.mark.parametrize(("number", "text"), [(950, "950 "), (1234567, "1.2 M"), (2.5e9, "2.5 G")])
def test_large_numbers_have_prefixes(number: float, text: str) -> None:
    assert magnitude(number) == text
