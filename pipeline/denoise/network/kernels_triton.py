# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Kernel application fused for CUDA: one program for a block of pixels, the taps in a loop, nothing held but the sums.

It does what `kernels._Views` does, in one pass over the logits (their maximum needs none of its own). Gradients of the
images are gathered, each source pixel from the pixels that read it, and not scattered with atomics: the same bits every
time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.denoise.network.kernels import in_pixels

if TYPE_CHECKING:
    from pipeline.denoise.network.kernels import Running

__all__ = ["Fused"]

BLOCK = 128  # pixels of a program


@triton.jit
def _absorb(
    image, logits, penalty, maximum, total, weighted,
    height, width, channels,
    image_b, image_c, image_y, image_x,
    logits_b, logits_k, logits_y, logits_x,
    penalty_b,
    RADIUS: tl.constexpr, CHANNELS: tl.constexpr, PENALTY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    area = height * width
    real = pixel < area
    y = pixel // width
    x = pixel % width
    channel = tl.arange(0, CHANNELS).to(tl.int64)[None, :]
    every = real[:, None] & (channel < channels)

    plane = batch * area + pixel
    planes = (batch * channels + channel) * area + pixel[:, None]
    most = tl.load(maximum + plane, mask=real, other=0.0)
    sum_e = tl.load(total + plane, mask=real, other=0.0)
    sum_ec = tl.load(weighted + planes, mask=every, other=0.0)
    bias = tl.zeros([BLOCK], tl.float32)
    if PENALTY:
        bias = tl.load(penalty + batch * penalty_b + pixel, mask=real, other=0.0)

    z_at = logits + batch * logits_b + y * logits_y + x * logits_x
    c_at = image + batch * image_b + channel * image_c + (y * image_y + x * image_x)[:, None]
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            inside = real & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
            z = tl.load(z_at, mask=inside, other=float("-inf")).to(tl.float32) + bias
            c = tl.load(c_at + (dy * image_y + dx * image_x), mask=inside[:, None] & every, other=0.0).to(tl.float32)
            now = tl.maximum(most, z)
            scale = tl.exp(most - now)
            e = tl.exp(z - now)
            sum_e = sum_e * scale + e
            sum_ec = sum_ec * scale[:, None] + e[:, None] * c
            most = now
            z_at += logits_k

    tl.store(maximum + plane, most, mask=real)
    tl.store(total + plane, sum_e, mask=real)
    tl.store(weighted + planes, sum_ec, mask=every)


@triton.jit
def _differentiate_logits(
    slope, level, maximum, image, logits, penalty, grad_logits,
    height, width, channels,
    image_b, image_c, image_y, image_x,
    logits_b, logits_k, logits_y, logits_x,
    penalty_b, grad_b,
    RADIUS: tl.constexpr, CHANNELS: tl.constexpr, PENALTY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    area = height * width
    real = pixel < area
    y = pixel // width
    x = pixel % width
    channel = tl.arange(0, CHANNELS).to(tl.int64)[None, :]
    every = real[:, None] & (channel < channels)

    plane = batch * area + pixel
    planes = (batch * channels + channel) * area + pixel[:, None]
    shift = tl.load(maximum + plane, mask=real, other=0.0)
    if PENALTY:
        shift -= tl.load(penalty + batch * penalty_b + pixel, mask=real, other=0.0)
    pull = tl.load(slope + planes, mask=every, other=0.0)
    mean = tl.load(level + plane, mask=real, other=0.0)

    z_at = logits + batch * logits_b + y * logits_y + x * logits_x
    c_at = image + batch * image_b + channel * image_c + (y * image_y + x * image_x)[:, None]
    grad_at = grad_logits + batch * grad_b + pixel
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            inside = real & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
            z = tl.load(z_at, mask=inside, other=float("-inf")).to(tl.float32)
            c = tl.load(c_at + (dy * image_y + dx * image_x), mask=inside[:, None] & every, other=0.0).to(tl.float32)
            gain = tl.exp(z - shift) * (tl.sum(pull * c, axis=1) - mean)
            tl.store(grad_at, gain.to(grad_logits.dtype.element_ty), mask=real)
            z_at += logits_k
            grad_at += area


@triton.jit
def _differentiate_image(
    slope, maximum, logits, penalty, grad_image,
    height, width, channels,
    logits_b, logits_k, logits_y, logits_x,
    penalty_b, grad_b,
    RADIUS: tl.constexpr, CHANNELS: tl.constexpr, PENALTY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)  # q, which p = q − o_k reads
    area = height * width
    real = pixel < area
    y = pixel // width
    x = pixel % width
    channel = tl.arange(0, CHANNELS).to(tl.int64)[None, :]
    every = real[:, None] & (channel < channels)

    gathered = tl.zeros([BLOCK, CHANNELS], tl.float32)
    z_at = logits + batch * logits_b + y * logits_y + x * logits_x
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            inside = real & (y - dy >= 0) & (y - dy < height) & (x - dx >= 0) & (x - dx < width)
            reader = pixel - dy * width - dx
            z = tl.load(z_at - (dy * logits_y + dx * logits_x), mask=inside, other=float("-inf")).to(tl.float32)
            shift = tl.load(maximum + batch * area + reader, mask=inside, other=0.0)
            if PENALTY:
                shift -= tl.load(penalty + batch * penalty_b + reader, mask=inside, other=0.0)
            at = (batch * channels + channel) * area + reader[:, None]
            pull = tl.load(slope + at, mask=inside[:, None] & every, other=0.0)
            gathered += tl.exp(z - shift)[:, None] * pull
            z_at += logits_k

    tl.store(grad_image + batch * grad_b + channel * area + pixel[:, None], gathered, mask=every)


class Fused:
    """The engine for CUDA and float32 sums; arguments are those of `kernels.Engine`."""

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
        grid, extents, options = _launch(image, penalty, size)
        logits = in_pixels(logits, upscale, *extents[:2])
        with torch.cuda.device_of(image):
            _absorb[grid](
                image, logits, image if penalty is None else penalty,
                running.maximum, running.total, running.weighted,
                *extents, *image.stride(), *logits.stride(), 0 if penalty is None else penalty.stride(0),
                **options,
            )  # fmt: skip

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
        grid, extents, options = _launch(image, penalty, size)
        mask = image if penalty is None else penalty  # what is not read must still be a tensor
        mask_b = 0 if penalty is None else penalty.stride(0)
        slope, level = slope.contiguous(), level.contiguous()
        with torch.cuda.device_of(image):
            if grad_logits is not None:
                _differentiate_logits[grid](
                    slope, level, maximum, image, logits, mask, grad_logits,
                    *extents, *image.stride(), *logits.stride(), mask_b, grad_logits.stride(0),
                    **options,
                )  # fmt: skip
            if grad_image is not None:
                _differentiate_image[grid](
                    slope, maximum, logits, mask, grad_image,
                    *extents, *logits.stride(), mask_b, grad_image.stride(0),
                    **options,
                )  # fmt: skip


def _launch(
    image: Tensor, penalty: Tensor | None, size: int
) -> tuple[tuple[int, int], tuple[int, int, int], dict[str, int | bool]]:
    """The grid, the extents (height, width, channels), and the constants of a kernel over `image`, B×C×H×W."""
    batch, channels, height, width = image.shape
    options = {
        "RADIUS": size // 2,
        "CHANNELS": triton.next_power_of_2(channels),
        "PENALTY": penalty is not None,
        "BLOCK": BLOCK,
    }
    return (triton.cdiv(height * width, BLOCK), batch), (height, width, channels), options
