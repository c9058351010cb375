"""Work on strips of an image, spread over CPU threads that each run torch on their own.

A strip's planes stay in its core's cache from one operation to the next, which operations over whole images, each by
all threads, do not allow: they wait for memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

__all__ = ["spread"]

T = TypeVar("T")


def spread(work: Sequence[Callable[[], T]], device: torch.device | None = None) -> list[T]:
    """Results in order, by as many threads as torch has here, in the caller's modes (inference, gradients, autocast).

    Args:
        work: what may run at the same time.
        device: that it computes on; one that is not the CPU is fed by the caller's thread. None: the CPU.
    """
    threads = min(torch.get_num_threads(), len(work))
    if threads <= 1 or (device is not None and device.type != "cpu"):
        return [each() for each in work]
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    mixed = torch.is_autocast_enabled("cpu")

    def run(each: Callable[[], T]) -> T:
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", torch.bfloat16, enabled=mixed),
        ):
            return each()

    return list(_pool(threads).map(run, work))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="strips", initializer=_alone)
    ready = [pool.submit(_started) for _ in range(threads)]
    for each in ready:
        each.result()
    torch.set_num_threads(before)  # what the initialiser set is also what threads to come would begin with
    return pool


def _alone() -> None:
    """Torch in this thread uses no other."""
    torch.set_num_threads(1)
    torch.get_num_threads()  # only then the thread keeps it: else its first operation takes what was set last by any


def _started() -> None:
    """So that a thread exists."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # the parent's threads are not the child's
