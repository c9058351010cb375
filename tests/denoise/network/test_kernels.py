"""Kernel application: every tap where it belongs, weights that sum to 1, gradients that are true."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.denoise.network import kernels
from pipeline.denoise.network.kernels import apply_kernels, apply_progressively, apply_repositioned, kernel_weights


def random_window(
    *, batch: int = 2, frames: int = 3, height: int = 7, width: int = 9, size: int = 3, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, logits, and a validity with holes."""
    rng = torch.Generator().manual_seed(7)
    images = torch.rand((batch, frames, 3, height, width), generator=rng, dtype=dtype)
    logits = 2.0 * torch.randn((batch, frames, size**2, height, width), generator=rng, dtype=dtype)
    valid = torch.rand((batch, frames, height, width), generator=rng) > 0.3
    return images, logits, valid


def unfolded(images: Tensor, logits: Tensor, valid: Tensor, size: int) -> Tensor:
    """Equations 3 and 4 as they are written: all neighbourhoods laid out, one softmax over them."""
    batch, frames, _, height, width = images.shape
    taps = frames * size**2

    def neighbourhoods(planes: Tensor) -> Tensor:  # B·F×c×H×W → B×F·K×c×H×W
        laid_out = functional.unfold(planes, size, padding=size // 2)
        shape = (batch, frames, planes.shape[1], size**2, height, width)
        return laid_out.reshape(shape).transpose(2, 3).reshape(batch, taps, planes.shape[1], height, width)

    inside = neighbourhoods(torch.ones((batch * frames, 1, height, width), dtype=images.dtype))[:, :, 0] > 0
    masked = ~valid.bool()
    masked[:, 0] = False
    scores = torch.where(masked.unsqueeze(2), logits - 1e4, logits).reshape(batch, taps, height, width)
    weights = torch.where(inside, scores, -torch.inf).softmax(dim=1)
    return (weights.unsqueeze(2) * neighbourhoods(images.flatten(0, 1))).sum(dim=1)


@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("k", range(25))
def test_weight_k_of_a_pixel_is_for_the_pixel_at_offset_k(k: int, frame: int) -> None:
    dy, dx = k // 5 - 2, k % 5 - 2
    images = torch.zeros((1, 2, 1, 9, 11))
    images[0, frame, 0, 4 + dy, 6 + dx] = 1.0
    logits = torch.full((1, 2, 25, 9, 11), -100.0)
    logits[0, frame, k] = 100.0

    out = apply_kernels(images, logits, size=5)[0, 0]

    assert out[4, 6] == 1.0
    out[4, 6] = 0.0
    # Pixels whose tap k leaves the image have 24 other taps that weigh the same.
    reachable = out[max(0, -dy) : 9 - max(0, dy), max(0, -dx) : 11 - max(0, dx)]
    assert torch.count_nonzero(reachable) == 0


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_constant_image_stays_constant_to_its_corners(size: int) -> None:
    _, logits, valid = random_window(size=size, dtype=torch.float32)

    out = apply_kernels(torch.full((2, 3, 3, 7, 9), 0.7), logits, valid, size=size)

    assert torch.allclose(out, torch.full_like(out, 0.7), rtol=1e-6)


def test_weights_sum_to_one_over_frames_and_offsets() -> None:
    _, logits, valid = random_window(dtype=torch.float32)

    total = kernel_weights(logits, valid, size=3).sum(dim=(1, 2))

    assert torch.allclose(total, torch.ones_like(total), rtol=1e-6)


def test_the_joint_softmax_is_equations_3_and_4_laid_out() -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float64)
    expected = unfolded(images, logits, valid, 5)

    assert torch.allclose(apply_kernels(images, logits, valid, size=5), expected, rtol=1e-12)
    assert torch.allclose(apply_kernels(images.float(), logits.float(), valid, size=5), expected.float(), rtol=1e-5)


def test_kernels_wider_than_the_image_use_what_there_is() -> None:
    images, logits, valid = random_window(height=2, width=3, size=7, dtype=torch.float64)

    out = apply_kernels(images, logits, valid, size=7)

    assert torch.allclose(out, unfolded(images, logits, valid, 7), rtol=1e-12)


def test_the_weights_applied_by_hand_give_the_same() -> None:
    images, logits, valid = random_window(size=3, dtype=torch.float64)
    padded = functional.pad(images, (1, 1, 1, 1))
    weights = kernel_weights(logits, valid, size=3)

    taps = [padded[..., k // 3 : k // 3 + 7, k % 3 : k % 3 + 9] * weights[:, :, k, None] for k in range(9)]

    assert torch.allclose(apply_kernels(images, logits, valid, size=3), torch.stack(taps).sum(dim=(0, 2)), rtol=1e-12)


def test_a_masked_frame_gets_no_weight_where_it_is_masked() -> None:
    images, logits, _ = random_window(dtype=torch.float32)
    valid = torch.ones((2, 3, 7, 9))
    valid[:, 1, :, 4:] = 0.0
    changed = images.clone()
    changed[:, 1] += 1000.0

    before, after = (apply_kernels(i, logits, valid, size=3) for i in (images, changed))

    assert torch.equal(before[..., 4:], after[..., 4:])
    assert bool((before[..., :4] != after[..., :4]).all())


def test_with_all_neighbours_masked_the_centre_is_alone() -> None:
    images, logits, _ = random_window(dtype=torch.float32)

    out = apply_kernels(images, logits, torch.zeros((2, 3, 7, 9), dtype=torch.bool), size=3)

    assert torch.equal(out, apply_kernels(images[:, :1], logits[:, :1], size=3))


def test_gradients_are_those_of_finite_differences() -> None:
    images, logits, valid = random_window(batch=1, frames=2, height=4, width=5, dtype=torch.float64)

    assert torch.autograd.gradcheck(
        lambda i, z: apply_kernels(i, z, valid[:, :2], size=3),
        (images.requires_grad_(), logits.requires_grad_()),
    )


def gradients(apply: Any, images: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
    images, logits = images.detach().requires_grad_(), logits.detach().requires_grad_()
    out = apply(images, logits)
    pull = torch.rand(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return out.detach(), *torch.autograd.grad(out, (images, logits), pull.to(out))


def test_gradients_are_those_of_autograd_through_the_layout() -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float64)

    ours = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, logits)
    theirs = gradients(lambda i, z: unfolded(i, z, valid, 5), images, logits)

    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-10, atol=1e-14)


def test_the_gradient_is_only_computed_for_what_asks_for_it() -> None:
    images, logits, valid = random_window(dtype=torch.float32)
    logits.requires_grad_()

    torch.autograd.backward(apply_kernels(images, logits, valid, size=3).sum())

    assert images.grad is None
    assert logits.grad is not None


def test_half_precision_logits_give_their_own_softmax_and_gradients_in_their_dtype() -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float32)
    rounded = logits.bfloat16()

    half = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, rounded)
    full = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, rounded.float())

    assert [t.dtype for t in half] == [torch.float32, torch.float32, torch.bfloat16]
    assert torch.allclose(half[0], full[0], rtol=1e-6)
    assert torch.allclose(half[1], full[1], rtol=1e-5)
    assert torch.allclose(half[2].float(), full[2], rtol=2**-8, atol=1e-8)


def test_channels_last_logits_give_the_same_bits() -> None:
    images, logits, valid = random_window(dtype=torch.float32)
    last = logits.permute(0, 3, 4, 1, 2).contiguous().permute(0, 3, 4, 1, 2)

    ours = gradients(lambda i, z: apply_kernels(i, z, valid, size=3), images, last)
    theirs = gradients(lambda i, z: apply_kernels(i, z, valid, size=3), images, logits)

    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_strips_leave_no_seam(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float32)
    whole = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, logits)
    offsets = torch.zeros((2, 3, 2, 7, 9))
    repositioned = apply_repositioned(images, offsets, logits, valid, size=5)

    monkeypatch.setattr(kernels, "STRIP_PIXELS", rows * 2 * 9)

    strips = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, logits)
    assert torch.equal(strips[0], whole[0])
    assert torch.allclose(strips[1], whole[1], rtol=1e-5)  # a source pixel's readers are summed in another order
    assert torch.equal(strips[2], whole[2])
    assert torch.allclose(apply_repositioned(images, offsets, logits, valid, size=5), repositioned, rtol=1e-6)


@pytest.mark.parametrize("level", [1e4, -1e4])
def test_large_logits_do_not_overflow(level: float) -> None:
    images, logits, valid = random_window(dtype=torch.float32)
    logits[:, :, ::2] = level

    for result in gradients(lambda i, z: apply_kernels(i, z, size=3), images, logits):
        assert bool(result.isfinite().all())
    # A whole number is exact that far from 0.
    whole = logits.round()
    shifted = torch.where(whole == level, whole, whole + level)
    base = torch.where(whole == level, torch.zeros(()), whole)
    expected = apply_kernels(images, base, valid, size=3)
    assert torch.allclose(apply_kernels(images, shifted, valid, size=3), expected, rtol=1e-5)


def test_frame_by_frame_gives_the_same_bits_as_all_at_once() -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float32)
    asked = []

    def logits_of(frame: int) -> Tensor:
        asked.append(frame)
        return logits[:, frame]

    out = apply_progressively(images, logits_of, valid, size=5)

    assert torch.equal(out, apply_kernels(images, logits, valid, size=5))
    assert asked == [0, 1, 2]


def test_repositioned_kernels_that_do_not_move_are_applied_as_they_are() -> None:
    images, logits, valid = random_window(size=5, dtype=torch.float64)
    still = torch.zeros((2, 3, 2, 7, 9))

    out = apply_repositioned(images, still, logits, valid, size=5)

    assert torch.allclose(out, apply_kernels(images, logits, valid, size=5), rtol=1e-12)


def test_a_repositioned_kernel_reads_where_the_motion_leads() -> None:
    images = torch.zeros((1, 2, 1, 8, 10))
    images[0, 1, 0, 5, 7] = 1.0
    offsets = torch.zeros((1, 2, 2, 8, 10))
    offsets[0, 1, 0] = 2.4  # x
    offsets[0, 1, 1] = 1.5  # y; halves go up
    logits = torch.full((1, 2, 9, 8, 10), -100.0)
    logits[0, 1, 5] = 100.0  # (0, 1)

    out = apply_repositioned(images, offsets, logits, size=3)[0, 0]

    assert out[3, 4] == 1.0  # 4 + 2 + 1 = 7, 3 + 2 + 0 = 5
    assert torch.count_nonzero(out) == 1


@pytest.mark.parametrize("far", [100.0, -1e30, torch.nan, torch.inf])
def test_a_kernel_that_is_moved_out_of_the_image_counts_for_nothing(far: float) -> None:
    images, logits, _ = random_window(frames=2, dtype=torch.float32)
    offsets = torch.full((2, 2, 2, 7, 9), far)

    out = apply_repositioned(images, offsets, logits, size=3)

    assert torch.allclose(out, apply_kernels(images[:, :1], logits[:, :1], size=3), rtol=1e-5)


def test_repositioned_gradients_are_those_of_finite_differences() -> None:
    images, logits, valid = random_window(batch=1, frames=2, height=3, width=4, dtype=torch.float64)
    offsets = torch.randint(-2, 3, (1, 2, 2, 3, 4), generator=torch.Generator().manual_seed(3))

    assert torch.autograd.gradcheck(
        lambda i, z: apply_repositioned(i, offsets, z, valid[:, :2], size=3),
        (images.requires_grad_(), logits.requires_grad_()),
    )


@pytest.mark.parametrize(
    ("shapes", "size", "text"),
    [
        (((1, 2, 3, 4, 5), (1, 2, 9, 4, 5), (1, 2, 4, 5)), 4, "odd"),
        (((2, 3, 4, 5), (1, 2, 9, 4, 5), None), 3, "B×F×C×H×W"),
        (((1, 2, 3, 4, 5), (1, 2, 25, 4, 5), None), 3, "must be 1×(2×)?9×4×5"),
        (((1, 2, 3, 4, 5), (1, 2, 9, 4, 5), (1, 2, 5, 4)), 3, "valid must be 1×2×4×5"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes: Any, size: int, text: str) -> None:
    images, logits, valid = (None if s is None else torch.zeros(s) for s in shapes)
    assert images is not None and logits is not None

    with pytest.raises(ValueError, match=text):
        apply_kernels(images, logits, valid, size=size)
    with pytest.raises(ValueError, match=text):
        apply_progressively(images, lambda frame: logits[:, frame], valid, size=size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_quick_engines_do_what_the_views_do(
    device: str, threads: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if device == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("the fused kernels need a CUDA device")
        pytest.importorskip("triton")
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(threads)
    images, logits, valid = random_window(height=37, width=53, size=5, dtype=torch.float32)
    logits[:, :, 3] -= 200.0  # weights that float32 does not hold
    logits = logits.to(dtype)

    fused = gradients(lambda i, z: apply_kernels(i, z, valid.to(device), size=5), images.to(device), logits.to(device))
    monkeypatch.setattr(kernels, "_engine", lambda *_: kernels._VIEWS)
    views = gradients(lambda i, z: apply_kernels(i, z, valid, size=5), images, logits)

    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    for ours, theirs in zip(fused, views, strict=True):
        assert torch.allclose(ours.cpu(), theirs, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("upscale", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (7, 9), (40, 33)])
def test_logits_may_come_as_cells_of_pixels(height: int, width: int, upscale: int) -> None:
    rng = torch.Generator().manual_seed(3)
    images = torch.rand((2, 2, 4, height, width), generator=rng)
    cells = (2, 25 * upscale**2, -(-height // upscale), -(-width // upscale))
    logits = [torch.randn(cells, generator=rng) for _ in range(2)]
    pixels = torch.stack([functional.pixel_shuffle(each, upscale)[..., :height, :width] for each in logits], dim=1)

    out = apply_progressively(images, lambda frame: logits[frame], size=5, upscale=upscale)

    assert torch.allclose(out, apply_kernels(images.double(), pixels, size=5).float(), rtol=1e-5, atol=1e-6)
