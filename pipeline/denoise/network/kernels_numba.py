# mypy: disable-error-code="untyped-decorator"
"""Kernel application on the CPU, compiled: a row of the image at a time, whose planes stay in the cache.

What the shifted views of `kernels` do in a pass over memory for every tap is done here in loops that the compiler
vectorises. Rows are independent, so threads share them; each pixel's sums are taken in the same order whatever the
strip or the thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _typed_intrinsic
from torch import Tensor

from pipeline.denoise.network.kernels import Running
from pipeline.denoise.network.threads import spread

__all__ = ["Compiled"]

_LEAST_ROWS = 8
"""Rows of an image that are worth a thread's turn."""

_FAST = {"contract", "nsz"}
"""Liberties with arithmetic: none with the order of sums, nor with what is not a number."""

_intrinsic: Any = _typed_intrinsic  # its type would ask for the compiler's argument
_f32, _i32 = np.float32, np.int32


def _compiled(function: Callable[..., None]) -> Any:
    """Compiled at the first call and kept on disk, where there is a folder for it."""
    try:
        return numba.njit(nogil=True, fastmath=_FAST, cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        return numba.njit(nogil=True, fastmath=_FAST)(function)


@_intrinsic
def _widened(_: Any, stored: Any) -> Any:
    """float32 of what is stored: bfloat16, as its bits in an int16, or float32."""

    def bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = builder.zext(arguments[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    if stored == types.int16:
        return types.float32(types.int16), bits
    return types.float32(types.float32), lambda context, builder, signature, arguments: arguments[0]


@_intrinsic
def _narrowed(_: Any, value: Any, like: Any) -> Any:
    """A float32 in the type of `like`: the nearest bfloat16's bits, halves to the even, or itself."""

    def bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        wide = builder.bitcast(arguments[0], word)
        odd = builder.and_(builder.lshr(wide, ir.Constant(word, 16)), ir.Constant(word, 1))
        rounded = builder.add(wide, builder.add(odd, ir.Constant(word, 0x7FFF)))
        return builder.trunc(builder.lshr(rounded, ir.Constant(word, 16)), ir.IntType(16))

    if like == types.int16:
        return types.int16(types.float32, types.int16), bits
    plain: Any = lambda context, builder, signature, arguments: arguments[0]  # noqa: E731
    return types.float32(types.float32, types.float32), plain


@_intrinsic
def _of_bits(_: Any, bits: Any) -> Any:
    """The float32 of these 32 bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


@_compiled
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x ≤ 88, to 2 ulp; 0 below −87. Cody and Waite's reduction, a minimax polynomial (the coefficients are
    those of Cephes' expf)."""
    whole = x
    x = max(x, _f32(-87.0))
    n = np.floor(x * _f32(1.4426950408889634) + _f32(0.5))
    f = x - n * _f32(0.693359375)
    f = f - n * _f32(-2.12194440e-4)
    p = _f32(1.9875691500e-4)
    p = p * f + _f32(1.3981999507e-3)
    p = p * f + _f32(8.3334519073e-3)
    p = p * f + _f32(4.1665795894e-2)
    p = p * f + _f32(1.6666665459e-1)
    p = p * f + _f32(5.0000001201e-1)
    p = p * f * f + f + _f32(1.0)
    p *= _of_bits((_i32(n) + _i32(127)) << _i32(23))
    return p if whole >= _f32(-87.0) else _f32(0.0)


@_compiled
def _read(stored, wide):  # type: ignore[no-untyped-def]
    for i in range(stored.size):
        wide[i] = _widened(stored[i])


@_compiled
def _interleave(even, odd, wide):  # type: ignore[no-untyped-def]
    for i in range(wide.size // 2):
        wide[2 * i] = _widened(even[i])
        wide[2 * i + 1] = _widened(odd[i])


@_compiled
def _read_row(logits, k, y, upscale, wide):  # type: ignore[no-untyped-def]
    """One row of the plane of logits k, from cells of upscale × upscale pixels."""
    width = wide.size
    first, cell = (k * upscale + y % upscale) * upscale, y // upscale
    if upscale == 1:
        _read(logits[first, cell], wide)
    elif upscale == 2:
        _interleave(logits[first, cell], logits[first + 1, cell], wide)
        if width % 2:
            wide[width - 1] = _widened(logits[first, cell, width // 2])
    else:
        for x in range(width):
            wide[x] = _widened(logits[first + x % upscale, cell, x // upscale])


@_compiled
def _raise_peak(peak, z):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        peak[i] = max(peak[i], z[i])


@_compiled
def _shifted(maximum, peak, penalty, total, scale):  # type: ignore[no-untyped-def]
    """The new maximum; what its rise multiplies the sums by; and in `peak`, what this frame's logits then are
    relative to."""
    for i in range(maximum.size):
        before = maximum[i]
        now = max(before, peak[i] + penalty[i])
        maximum[i] = now
        scale[i] = _exp(before - now)
        total[i] *= scale[i]
        peak[i] = now - penalty[i]


@_compiled
def _weigh(z, shift, weight, total):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        e = _exp(z[i] - shift[i])
        weight[i] = e
        total[i] += e


@_compiled
def _times(values, by):  # type: ignore[no-untyped-def]
    for i in range(values.size):
        values[i] *= by[i]


@_compiled
def _add_product(total, a, b):  # type: ignore[no-untyped-def]
    for i in range(total.size):
        total[i] += a[i] * b[i]


@_compiled
def _absorb(  # type: ignore[no-untyped-def]
    maximum, total, weighted, image, logits, penalty, size, upscale, first, last
):
    """`Engine.absorb` of rows `first` … `last` − 1 of one image: planes H×W, C×H×W, K·u²×h×w."""
    channels, height, width = image.shape
    reach = size // 2
    z = np.empty((size * size, width), np.float32)
    peak, weight = np.empty(width, np.float32), np.empty(width, np.float32)
    for y in range(first, last):
        peak[:] = _f32(-3e38)
        for dy in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            for dx in range(-reach, reach + 1):
                k = (dy + reach) * size + dx + reach
                left, right = max(0, -dx), min(width, width - dx)
                if left < right:
                    _read_row(logits, k, y, upscale, z[k])
                    _raise_peak(peak[left:right], z[k, left:right])
        _shifted(maximum[y], peak, penalty[y], total[y], weight)
        for c in range(channels):
            _times(weighted[c, y], weight)
        for dy in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            for dx in range(-reach, reach + 1):
                k = (dy + reach) * size + dx + reach
                left, right = max(0, -dx), min(width, width - dx)
                if left < right:
                    _weigh(z[k, left:right], peak[left:right], weight[left:right], total[y, left:right])
                    for c in range(channels):
                        there = image[c, y + dy, left + dx : right + dx]
                        _add_product(weighted[c, y, left:right], weight[left:right], there)


@_compiled
def _gain(stored, z_shift, gain, level, out):  # type: ignore[no-untyped-def]
    for i in range(stored.size):
        e = _exp(_widened(stored[i]) - z_shift[i])
        out[i] = _narrowed(e * (gain[i] - level[i]), stored[i])


@_compiled
def _weight_of(stored, z_shift, weight):  # type: ignore[no-untyped-def]
    for i in range(stored.size):
        weight[i] = _exp(_widened(stored[i]) - z_shift[i])


@_compiled
def _to_logits(slope, level, shift, image, logits, grad, size, first, last):  # type: ignore[no-untyped-def]
    """∂L/∂z of `Engine.differentiate`, rows `first` … `last` − 1 of one image."""
    channels, height, width = image.shape
    reach = size // 2
    gain = np.empty(width, np.float32)
    for y in range(first, last):
        for dy in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            for dx in range(-reach, reach + 1):
                k = (dy + reach) * size + dx + reach
                left, right = max(0, -dx), min(width, width - dx)
                if left < right:
                    gain[:] = _f32(0)
                    for c in range(channels):
                        there = image[c, y + dy, left + dx : right + dx]
                        _add_product(gain[left:right], slope[c, y, left:right], there)
                    _gain(
                        logits[k, y, left:right],
                        shift[y, left:right],
                        gain[left:right],
                        level[y, left:right],
                        grad[k, y, left:right],
                    )


@_compiled
def _to_image(slope, shift, logits, grad, size):  # type: ignore[no-untyped-def]
    """∂L/∂c of `Engine.differentiate`, of one whole image: rows add to their neighbours'."""
    channels, height, width = slope.shape
    reach = size // 2
    weight = np.empty(width, np.float32)
    for y in range(height):
        for dy in range(max(-reach, -y), min(reach, height - 1 - y) + 1):
            for dx in range(-reach, reach + 1):
                k = (dy + reach) * size + dx + reach
                left, right = max(0, -dx), min(width, width - dx)
                if left < right:
                    _weight_of(logits[k, y, left:right], shift[y, left:right], weight[left:right])
                    for c in range(channels):
                        there = grad[c, y + dy, left + dx : right + dx]
                        _add_product(there, slope[c, y, left:right], weight[left:right])


class Compiled:
    """The engine for the CPU: float32 sums, of logits in float32 or bfloat16."""

    def absorb(
        self,
        running: Running,
        image: Tensor,
        logits: Tensor,
        penalty: Tensor | None,
        *,
        size: int,
        upscale: int = 1,
    ) -> None:
        shape = running.maximum.shape
        for item in range(shape[0]):
            planes = (
                _written(running.maximum[item]),
                _written(running.total[item]),
                _written(running.weighted[item]),
                _read_only(image[item].float()),
                _read_only(logits[item]),
                _read_only(running.total.new_zeros(shape[1:]) if penalty is None else penalty[item]),
            )
            _in_rows(shape[1], partial(_absorb, *planes, size, upscale))

    def differentiate(
        self,
        slope: Tensor,
        level: Tensor,
        maximum: Tensor,
        image: Tensor,
        logits: Tensor,
        penalty: Tensor | None,
        grad_image: Tensor | None,
        grad_logits: Tensor | None,
        *,
        size: int,
    ) -> None:
        shift = maximum if penalty is None else maximum - penalty
        for item in range(shift.shape[0]):
            slopes, shifts, z = _read_only(slope[item]), _read_only(shift[item]), _read_only(logits[item])
            if grad_logits is not None:
                planes = (slopes, _read_only(level[item]), shifts, _read_only(image[item].float()), z)
                grads = _written(grad_logits[item])
                _in_rows(shift.shape[1], partial(_to_logits, *planes, grads, size))
            if grad_image is not None:
                _to_image(slopes, shifts, z, _written(grad_image[item]), size)


def _read_only(tensor: Tensor) -> Any:
    """Its planes, in rows of memory; bfloat16 as its bits."""
    return _written(tensor.contiguous())


def _written(tensor: Tensor) -> Any:
    """The same memory."""
    assert tensor.is_contiguous()
    stored = tensor.detach()
    return stored.view(torch.int16).numpy() if stored.dtype == torch.bfloat16 else stored.numpy()


def _in_rows(height: int, work: Callable[[int, int], None]) -> None:
    """`work` on all rows, by as many threads as torch has here."""
    parts = max(1, min(4 * torch.get_num_threads(), height // _LEAST_ROWS))
    edges = [height * part // parts for part in range(parts + 1)]
    spread([partial(work, first, last) for first, last in pairwise(edges)])
