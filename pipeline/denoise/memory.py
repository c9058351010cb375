"""The C library's memory, kept by the process while a network runs.

A tensor of tens of megabytes that comes fresh from the kernel costs its pages a fault each: most of the time of an
elementwise operation. Nothing here changes what is computed.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

__all__ = ["give_back", "kept_heap"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h
_MMAPS = 65536
_TRIM = 128 * 1024  # bytes; both glibc's own


@contextlib.contextmanager
def kept_heap(*, after: bool = False) -> Iterator[None]:
    """Large blocks come from the heap, and freed ones stay in it until the end of this context, which gives them back.

    No effect where the C library is not glibc.

    Args:
        after: they stay for the next time, as far as nothing else claims them: for short work that is done again soon.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _MMAPS)
        library.mallopt(_TRIM_THRESHOLD, _TRIM)
        if not after:
            library.malloc_trim(0)


def give_back() -> None:
    """What was freed goes back to the system, from the middle of the heap too. For large images, between steps that
    each need much."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
