"""Random numbers that are a function of (seed, frame, pixel, sample index) and of nothing else.

Order, wave size, slicing and the number of workers therefore change no bit of a frame. Each sample gets a PCG32
stream of its own: its state and its stream selector are hashes of the four keys (TEA, as Mitsuba's independent sampler
uses).
"""

from __future__ import annotations

import drjit as dr
import mitsuba as mi

__all__ = ["KEYED_SAMPLER", "keyed_rng", "register_keyed_sampler"]

KEYED_SAMPLER = "penumbra_keyed"


def _mix(seed: int, frame: int) -> tuple[int, int]:
    """Two 32-bit words from (seed, frame); splitmix64's finaliser. Frames may be negative."""
    z = ((seed & 0xFFFFFFFF) << 32 | (frame & 0xFFFFFFFF)) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    z ^= z >> 31
    return z >> 32, z & 0xFFFFFFFF


def key_words(seed: int, frame: int) -> tuple[mi.UInt32, mi.UInt32]:
    """The (seed, frame) part of the key, opaque, so that no kernel has it as a literal."""
    a, b = (mi.UInt32(word) for word in _mix(seed, frame))
    dr.make_opaque(a, b)
    return a, b


def keyed_rng(words: tuple[mi.UInt32, mi.UInt32], pixel: mi.UInt32, sample: mi.UInt32) -> mi.PCG32:
    """A PCG32 per lane.

    Args:
        words: from `key_words`.
        pixel: flat pixel index in the frame.
        sample: index of the sample in its pixel, counted over all rounds.
    """
    a, b = words
    state = mi.sample_tea_64(pixel ^ a, sample ^ b)
    stream = mi.sample_tea_64(sample + b, pixel + a)
    rng = mi.PCG32()
    rng.seed(state, stream)  # the constructor would add the lane's number to the stream
    return rng


def register_keyed_sampler() -> None:
    """Makes the sampler plugin `penumbra_keyed`: a Mitsuba sampler over `keyed_rng`, for integrators that insist on
    one."""

    class KeyedSampler(mi.Sampler):
        def __init__(self, props: mi.Properties) -> None:
            super().__init__(props)
            self.rng = mi.PCG32()

        def key(self, words: tuple[mi.UInt32, mi.UInt32], pixel: mi.UInt32, sample: mi.UInt32) -> None:
            self.seed(0, dr.width(pixel))  # tells the base class how wide the wavefront is
            self.rng = keyed_rng(words, pixel, sample)

        def next_1d(self, active: bool = True) -> mi.Float:
            return self.rng.next_float32(active)

        def next_2d(self, active: bool = True) -> mi.Point2f:
            x = self.rng.next_float32(active)
            return mi.Point2f(x, self.rng.next_float32(active))

        def to_string(self) -> str:
            return "KeyedSampler[]"

    mi.register_sampler(KEYED_SAMPLER, lambda props: KeyedSampler(props))
