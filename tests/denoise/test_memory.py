"""The kept heap: what it computes is what is computed without it."""

from __future__ import annotations

import psutil
import pytest
import torch

from pipeline.denoise.memory import kept_heap


def test_freed_blocks_stay_until_the_end_of_the_context_and_then_go_back() -> None:
    process = psutil.Process()
    with kept_heap():
        before = process.memory_info().rss
        block = torch.ones(64 * 2**20 // 4)
        del block
        inside = process.memory_info().rss
    after = process.memory_info().rss
    if inside - before < 32 * 2**20:
        pytest.skip("the C library is not glibc")
    assert after < inside - 32 * 2**20


def test_an_error_ends_the_context_as_well() -> None:
    with pytest.raises(RuntimeError, match="sought"), kept_heap():
        raise RuntimeError("sought")
    assert float(torch.ones(2**23).sum()) == 2**23
