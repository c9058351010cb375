"""Materials made ahead by processes of their own: those of a step are a function of the seed and the step's number."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.capture.maps import CHANNELS, Maps
from pipeline.capture.materials.generate import LEARNT, material

__all__ = ["learnt", "materials"]

_AHEAD = 3  # batches per process

LARGE = 4
"""Every so many steps one material of twice the size takes the place of four: photographs come in all sizes."""

_Packed = NDArray[np.float32]


def learnt(seed: int, step: int, count: int, size: int) -> Maps:
    """The materials of one step."""
    if count >= LARGE and step % LARGE == LARGE - 1:
        count, size = count // LARGE, 2 * size
    return Maps.stack([material(_number(seed, step, k, count), size, families=LEARNT) for k in range(count)])


def materials(seed: int, *, first: int, last: int, count: int, size: int, processes: int) -> Iterator[Maps]:
    """The materials of steps first … last − 1, in order.

    Args:
        processes: that make them; 0 makes them here.
    """
    if processes == 0:
        for step in range(first, last):
            yield learnt(seed, step, count, size)
        return
    context = multiprocessing.get_context("spawn")
    with _pool(processes, context) as pool:
        waiting: deque[Future[_Packed]] = deque()
        for step in range(first, last):
            while len(waiting) < processes * _AHEAD and (ahead := step + len(waiting)) < last:
                waiting.append(pool.submit(_packed, seed, ahead, count, size))
            yield _unpacked(waiting.popleft().result())


@contextmanager
def _pool(processes: int, context: multiprocessing.context.SpawnContext) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _quiet() -> None:
    """Ctrl-C is the parent's; one thread each."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _number(seed: int, step: int, k: int, count: int) -> int:
    """Of a material: no two seeds have one in common below 2³⁰ materials."""
    return (seed << 30) + step * count + k


def _packed(seed: int, step: int, count: int, size: int) -> _Packed:
    """Plain arrays travel between processes without shared memory."""
    maps = learnt(seed, step, count, size)
    return torch.cat([maps.diffuse, maps.specular, maps.normal, maps.roughness], 1).numpy()


def _unpacked(packed: _Packed) -> Maps:
    parts = torch.from_numpy(packed).split([3, 3, 3, 1], 1)
    assert packed.shape[1] == CHANNELS + 1  # a normal's third component is kept
    return Maps(*parts)
