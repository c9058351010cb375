"""Work that is spread runs as it would in the caller's thread."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest
import torch

from pipeline.denoise.network.threads import spread


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def seen() -> tuple[bool, bool, bool, int, str]:
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
    return *modes, torch.get_num_threads(), threading.current_thread().name


@pytest.mark.parametrize(
    "mode",
    [
        contextlib.nullcontext,
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
)
def test_the_callers_modes_hold(mode) -> None:  # type: ignore[no-untyped-def]
    with mode():
        mine, theirs = seen(), spread([seen] * 4)

    assert all(found[:3] == mine[:3] for found in theirs)
    assert all(threads == 1 and name.startswith("strips") for *_, threads, name in theirs)
    assert torch.get_num_threads() == 2


def test_results_are_in_order_and_errors_arrive() -> None:
    assert spread([lambda k=k: k for k in range(50)]) == list(range(50))  # type: ignore[misc]
    with pytest.raises(ZeroDivisionError):
        spread([lambda: 1 / 0, lambda: 1.0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_has_threads_of_its_own() -> None:
    assert spread([lambda: 1, lambda: 2]) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(0 if spread([lambda: 1, lambda: 2]) == [1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
