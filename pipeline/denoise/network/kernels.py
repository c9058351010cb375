"""Kernel application: a denoised pixel is the weighted mean of its neighbourhoods in the frames of a window.

With z the logits that the network predicts, c the colour, and N_f(p) the neighbourhood of pixel p in frame f:

    d_p = Σ_f Σ_{q ∈ N_f(p)} w_pq c_q                                    (equation 3)
    w_pq = exp([z_p]_q) / Σ_f' Σ_{q' ∈ N_f'(p)} exp([z_p]_q')            (equation 4, joint over the frames: §3.3)

A tap is one weight of a kernel: one offset in one frame. Nothing is unfolded: every tap is a pass over a shifted view
of the image, and the softmax is online (a running maximum, sum, and weighted sum), so that what is held beside the
input is a few planes. A tap that leaves the image counts for nothing, there as in the normalisation.

Source: Vogels et al. 2018; Milakov and Gimelshein 2018 (the online softmax).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["MASKED", "apply_kernels", "apply_progressively", "apply_repositioned", "kernel_weights"]

MASKED = -1e4
"""Added to the logits of a neighbour where it shows something else than the centre does: exp of it is 0."""

STRIP_PIXELS = 1 << 17
"""Pixels of the strips of rows that images are worked on in: planes that stay in the cache, passes longer than their
start takes."""


def apply_kernels(images: Tensor, logits: Tensor, valid: Tensor | None = None, *, size: int) -> Tensor:
    """Kernels applied to images that are aligned with the centre; equations 3 and 4.

    Sums are float32, or float64 where the images or the logits are. Gradients flow to `images` and `logits`, once:
    there are no second derivatives.

    Args:
        images: B×F×C×H×W, linear; frame 0 is the centre.
        logits: B×F×K×H×W of any float dtype, K = size²; weight k of pixel p is for pixel p + o_k, offsets row-major.
        valid: B×F×H×W: where it is 0, its logits get `MASKED` added; those of frame 0 never do. None: 1 everywhere.
        size: width of the kernels, odd.

    Returns:
        B×C×H×W, float32 (float64).

    Raises:
        ValueError: the shapes do not fit each other, or `size` is not odd.
    """
    _check(images, size, logits=logits, valid=valid)
    penalty = _penalty(valid, _wide(images, logits))
    denoised: Tensor = _ApplyKernels.apply(images, logits, penalty, size)
    return denoised


@torch.no_grad()
def apply_progressively(
    images: Tensor, logits_of: Callable[[int], Tensor], valid: Tensor | None = None, *, size: int, upscale: int = 1
) -> Tensor:
    """`apply_kernels` without gradients, for logits that are too large to be held for all frames at once.

    Args:
        images, valid, size: as in `apply_kernels`.
        logits_of: the logits of a frame by its place in the window, called once for each, in order:
            B×K·u²×⌈H/u⌉×⌈W/u⌉, the u² pixels of a cell as channels, as `pixel_shuffle` takes them.
        upscale: u.

    Returns:
        B×C×H×W, float32 (float64 where the images are).

    Raises:
        ValueError: as `apply_kernels`.
    """
    _check(images, size, valid=valid)
    running = Running.nothing(images, _wide(images))
    penalty = _penalty(valid, running.total.dtype)

    def absorb(frame: int, logits: Tensor) -> None:
        cells = tuple(-(-extent // upscale) for extent in images.shape[3:])
        _fits(f"logits of frame {frame}", logits, (images.shape[0], (size * upscale) ** 2, *cells))
        _engine(running.total, logits.dtype).absorb(
            running, images[:, frame], logits, _of_frame(penalty, frame), size=size, upscale=upscale
        )

    for frame in range(images.shape[1]):
        absorb(frame, logits_of(frame))  # no name keeps the logits alive while the next frame's are made
    return running.mean()


def apply_repositioned(
    images: Tensor, offsets: Tensor, logits: Tensor, valid: Tensor | None = None, *, size: int
) -> Tensor:
    """Kernels moved rigidly along the motion, applied to images that were not warped (§3.3, second approach).

    Weight k of pixel p is for pixel p + offset_f(p) + o_k of frame f. It gathers where `apply_kernels` shifts views,
    and is slower by far; plain autograd.

    Args:
        images: B×F×C×H×W, linear, each as it was rendered; frame 0 is the centre.
        offsets: B×F×2×H×W, pixels (x right, y down) from the centre to frame f, rounded to the nearest here. Those of
            frame 0 are not read; one that is not finite leaves the image.
        logits, valid, size: as in `apply_kernels`.

    Returns:
        B×C×H×W, float32 (float64).

    Raises:
        ValueError: the shapes do not fit each other, or `size` is not odd.
    """
    _check(images, size, logits=logits, valid=valid)
    batch, frames, channels, height, width = images.shape
    _fits("offsets", offsets, (batch, frames, 2, height, width))
    dtype = _wide(images, logits)
    penalty = _penalty(valid, dtype)
    colours = images.to(dtype).flatten(3)
    beyond = height + width + size
    # Halves go up in every pixel: to the even, every other pixel of a motion by x.5 would be doubled.
    steps = torch.floor(offsets.float().nan_to_num(nan=beyond).clamp(-beyond, beyond) + 0.5).long()
    steps[:, 0] = 0

    def strip(rows: slice) -> Tensor:
        y = torch.arange(height, device=images.device)[rows, None] + steps[:, :, 1, rows]
        x = torch.arange(width, device=images.device) + steps[:, :, 0, rows]
        inside = torch.stack([_within(y + dy, height) & _within(x + dx, width) for dy, dx in _offsets(size)], dim=2)
        penalties = None if penalty is None else penalty[:, :, rows]
        weights = _softmax(logits[:, :, :, rows].to(dtype), penalties, inside)
        denoised = colours.new_zeros((batch, channels, *y.shape[2:]))
        for k, (dy, dx) in enumerate(_offsets(size)):
            flat = (y + dy).clamp(0, height - 1) * width + (x + dx).clamp(0, width - 1)
            taken = colours.gather(3, flat.flatten(2).unsqueeze(2).expand(-1, -1, channels, -1))
            taken = taken.reshape(batch, frames, channels, *y.shape[2:])
            denoised = denoised + (weights[:, :, k].unsqueeze(2) * taken).sum(dim=1)
        return denoised

    return torch.cat([strip(rows) for rows in _strips(batch * frames, height, width)], dim=2)


def kernel_weights(logits: Tensor, valid: Tensor | None = None, *, size: int) -> Tensor:
    """The weights w of equation 4 themselves, all at once: to look at, and to test against.

    Args:
        logits, valid, size: as in `apply_kernels`.

    Returns:
        B×F×K×H×W, float32 (float64); they sum to 1 over F and K in every pixel.

    Raises:
        ValueError: the shapes do not fit each other, or `size` is not odd.
    """
    if logits.dim() != 5:
        raise ValueError(f"logits are B×F×K×H×W, not {_shape(logits.shape)}")
    _check(logits, size, logits=logits, valid=valid)
    height, width = logits.shape[-2:]
    dtype = _wide(logits)
    y = torch.arange(height, device=logits.device)[:, None]
    x = torch.arange(width, device=logits.device)
    inside = torch.stack([_within(y + dy, height) & _within(x + dx, width) for dy, dx in _offsets(size)])
    return _softmax(logits.to(dtype), _penalty(valid, dtype), inside)


def _softmax(scores: Tensor, penalty: Tensor | None, inside: Tensor) -> Tensor:
    """Equation 4 over frames and offsets: B×F×K×H×W of scores, B×F×H×W of penalties, what is inside of the image."""
    if penalty is not None:
        scores = scores + penalty.unsqueeze(2)
    scores = scores.masked_fill(~inside, -torch.inf)
    return scores.flatten(1, 2).softmax(dim=1).reshape(scores.shape)


# ---- what all of them are made of ------------------------------------------------------------------------------------


def _check(images: Tensor, size: int, *, logits: Tensor | None = None, valid: Tensor | None = None) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"kernels have an odd width: size is {size}")
    if images.dim() != 5:
        raise ValueError(f"images are B×F×C×H×W, not {_shape(images.shape)}")
    batch, frames, _, height, width = images.shape
    if logits is not None:
        _fits("logits", logits, (batch, frames, size**2, height, width))
    if valid is not None:
        _fits("valid", valid, (batch, frames, height, width))


def _fits(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be {_shape(shape)} to fit, not {_shape(tensor.shape)}")


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _wide(*tensors: Tensor) -> torch.dtype:
    """The dtype that sums are kept in."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def _penalty(valid: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What validity adds to the logits: B×F×H×W, contiguous."""
    if valid is None:
        return None
    penalty = torch.where(valid == 0, MASKED, 0.0).to(dtype).contiguous()
    penalty[:, 0] = 0.0
    return penalty


def _of_frame(penalty: Tensor | None, frame: int) -> Tensor | None:
    return None if penalty is None else penalty[:, frame]


def _offsets(size: int) -> list[tuple[int, int]]:
    """(dy, dx) of the taps, row-major."""
    reach = range(-(size // 2), size // 2 + 1)
    return [(dy, dx) for dy in reach for dx in reach]


def _within(coordinate: Tensor, extent: int) -> Tensor:
    return (coordinate >= 0) & (coordinate < extent)


def _strips(batch: int, height: int, width: int) -> Iterator[slice]:
    """Rows of the image, in strips of about `STRIP_PIXELS` over the batch."""
    rows = max(1, STRIP_PIXELS // (batch * width))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


@dataclass(frozen=True)
class Running:
    """Sums over the taps seen so far, relative to the largest logit among them; updated in place."""

    maximum: Tensor  # B×H×W     max z
    total: Tensor  # B×H×W       Σ exp(z − max)
    weighted: Tensor  # B×C×H×W  Σ exp(z − max) c

    @staticmethod
    def nothing(images: Tensor, wide: torch.dtype) -> Running:
        """Before the first tap, for images B×F×C×H×W."""
        batch, _, channels, height, width = images.shape
        plane = torch.zeros((batch, height, width), dtype=wide, device=images.device)
        # Not −∞, whose difference to itself is not a number.
        lowest = torch.full_like(plane, torch.finfo(wide).min)
        return Running(lowest, plane, plane.new_zeros((batch, channels, height, width)))

    def mean(self) -> Tensor:
        """Equation 3: B×C×H×W."""
        return self.weighted / self.total.unsqueeze(1)


class Engine(Protocol):
    """How one frame's taps are added to the running sums, and how gradients come back."""

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
        """Adds the taps of one frame: `image` B×C×H×W, `penalty` B×H×W, `logits` as of `apply_progressively`."""

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
        """Writes the gradients of one frame where they are asked for; both are zero before.

        With L the loss and e = exp(z − maximum), so that w = e / total:

            ∂L/∂z_pq = w_pq (Σ_c ∂L/∂d_p c_q − Σ_c ∂L/∂d_p d_p) = e_pq (slope_p · c_q − level_p)
            ∂L/∂c_q = Σ_p w_pq ∂L/∂d_p = Σ_p e_pq slope_p

        Args:
            slope: B×C×H×W: ∂L/∂d / total.
            level: B×H×W: slope · d.
            maximum: B×H×W, of all frames.
            image, logits, penalty, size: as in `absorb`.
            grad_image, grad_logits: B×C×H×W and B×K×H×W to write to.
        """


class _ApplyKernels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, logits: Tensor, penalty: Tensor | None, size: int) -> Tensor:
        running = Running.nothing(images, _wide(images, logits))
        engine = _engine(running.total, logits.dtype)
        for frame in range(images.shape[1]):
            engine.absorb(running, images[:, frame], logits[:, frame], _of_frame(penalty, frame), size=size)
        denoised = running.mean()
        ctx.save_for_backward(images, logits, penalty, running.maximum, running.total, denoised)
        ctx.size = size
        return denoised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, logits, penalty, maximum, total, denoised = ctx.saved_tensors
        slope = grad / total.unsqueeze(1)
        level = (slope * denoised).sum(dim=1)
        grad_images = torch.zeros_like(images, dtype=total.dtype) if ctx.needs_input_grad[0] else None
        # Contiguous whatever the logits were: planes are written one by one.
        grad_logits = logits.new_zeros(logits.shape) if ctx.needs_input_grad[1] else None
        for frame in range(images.shape[1]):
            _engine(total, logits.dtype).differentiate(
                slope,
                level,
                maximum,
                images[:, frame],
                logits[:, frame],
                _of_frame(penalty, frame),
                None if grad_images is None else grad_images[:, frame],
                None if grad_logits is None else grad_logits[:, frame],
                size=ctx.size,
            )
        return None if grad_images is None else grad_images.to(images.dtype), grad_logits, None, None


def in_pixels(logits: Tensor, upscale: int, height: int, width: int) -> Tensor:
    """Logits per cell of upscale × upscale pixels, B×K·u²×h×w, → per pixel, B×K×H×W."""
    return logits if upscale == 1 else functional.pixel_shuffle(logits, upscale)[..., :height, :width]


# ---- by shifted views ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tap:
    """One offset within a strip: the pixels whose neighbour is in the image, and the neighbours."""

    k: int
    here: tuple[Any, ...]  # index into the strip
    there: tuple[Any, ...]  # index into the image


def _taps(size: int, rows: slice, height: int, width: int) -> list[_Tap]:
    """The taps that any pixel of the strip has."""
    taps = []
    for k, (dy, dx) in enumerate(_offsets(size)):
        top, bottom = max(rows.start, -dy), min(rows.stop, height - dy)
        left, right = max(0, -dx), min(width, width - dx)
        if top < bottom and left < right:
            here = (..., slice(top - rows.start, bottom - rows.start), slice(left, right))
            taps.append(_Tap(k, here, (..., slice(top + dy, bottom + dy), slice(left + dx, right + dx))))
    return taps


def _planes(logits: Tensor, rows: slice) -> Tensor:
    """The strip's logits with each tap's plane in rows of memory: those of a channels-last network are not."""
    strip = logits[:, :, rows]
    return strip if strip.stride(-1) == 1 else strip.contiguous()


class _Views:
    """The engine for every device and dtype: one pass over a shifted view per tap."""

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
        image = image.to(running.weighted.dtype)
        batch, _, height, width = image.shape
        logits = in_pixels(logits, upscale, height, width)
        for rows in _strips(batch, height, width):
            z, taps = _planes(logits, rows), _taps(size, rows, height, width)
            peak = z.new_full(z[:, 0].shape, torch.finfo(z.dtype).min)
            for tap in taps:
                highest = peak[tap.here]
                torch.maximum(highest, z[:, tap.k][tap.here], out=highest)

            before = running.maximum[:, rows]
            shift = peak.to(before.dtype)
            if penalty is not None:
                shift += penalty[:, rows]
            torch.maximum(before, shift, out=shift)
            scale = (before - shift).exp_()
            before.copy_(shift)
            total = running.total[:, rows].mul_(scale)
            weighted = running.weighted[:, :, rows].mul_(scale.unsqueeze(1))

            if penalty is not None:
                shift -= penalty[:, rows]
            for tap in taps:
                # In the memory of the scale, which has done its work; all of the plane, which is quicker than a part.
                e = scale.copy_(z[:, tap.k]).sub_(shift).exp_()[tap.here]
                total[tap.here].add_(e)
                weighted[tap.here].addcmul_(image[tap.there], e.unsqueeze(1))

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
        image = image.to(slope.dtype)
        batch, _, height, width = image.shape
        for rows in _strips(batch, height, width):
            z = _planes(logits, rows)
            shift = maximum[:, rows] if penalty is None else maximum[:, rows] - penalty[:, rows]
            plane = torch.empty(shift.shape, dtype=shift.dtype, device=shift.device)
            for tap in _taps(size, rows, height, width):
                e = plane.copy_(z[:, tap.k]).sub_(shift).exp_()[tap.here]
                pull = slope[:, :, rows][tap.here]
                if grad_image is not None:
                    grad_image[tap.there].addcmul_(pull, e.unsqueeze(1))
                if grad_logits is not None:
                    gain = (pull * image[tap.there]).sum(dim=1).sub_(level[:, rows][tap.here])
                    torch.mul(gain, e, out=grad_logits[:, tap.k, rows][tap.here])


def _engine(sums: Tensor, *dtypes: torch.dtype) -> Engine:
    """Fused kernels where there are such for the device and the dtypes of what is given; else shifted views."""
    quick = None
    if sums.dtype == torch.float32:
        if sums.is_cuda:
            quick = _fused()
        elif sums.device.type == "cpu" and all(each in _COMPILED for each in dtypes):
            quick = _compiled()
    return quick or _VIEWS


_VIEWS = _Views()

_COMPILED = (torch.float32, torch.bfloat16)
"""Dtypes of logits that the compiled engine reads."""


@cache
def _fused() -> Engine | None:
    try:
        from pipeline.denoise.network.kernels_triton import Fused
    except ImportError:  # torch comes with Triton only where Triton has a compiler
        return None
    return Fused()


@cache
def _compiled() -> Engine | None:
    try:
        from pipeline.denoise.network.kernels_numba import Compiled
    except ImportError:  # an older installation: slower, and as right
        return None
    return Compiled()
