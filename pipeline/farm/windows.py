"""The frames around one as a denoiser asks for them: read from the store when they are asked for, and not kept.

The sums of a large frame take far more memory than its picture, so that a window of them is never in memory at once,
unless the denoiser keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.denoise.frame import Frame
from pipeline.farm import names
from pipeline.farm.products import Products
from pipeline.render.moments import Combination, Moments, combine

__all__ = ["StoredWindow"]


class StoredWindow(Mapping[names.Frame, Frame]):
    """Frames by number. Each look at one reads its product, and raises what `Products.read` does.

    Args:
        products: of the job.
        sources: the sums to read, by frame number (`plan.window`).
        combination: how the rounds of a frame are averaged (`sampling.combination`).
    """

    def __init__(self, products: Products, sources: Mapping[names.Frame, str], combination: Combination) -> None:
        self._products, self._sources, self._combination = products, dict(sources), combination

    def __getitem__(self, number: names.Frame) -> Frame:
        arrays = self._products.read(self._sources[number]).arrays
        return Frame.of(combine(Moments.from_arrays(arrays), self._combination))

    def __iter__(self) -> Iterator[names.Frame]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, number: object) -> bool:
        return number in self._sources

    def digest(self, number: names.Frame) -> str:
        """Digest of the frame's sums, hexadecimal, without a read of them: a key for what is made of the frame.

        Raises:
            KeyError: the window has no such frame.
            MissingProduct: its product is gone.
        """
        return self._products.digest(self._sources[number])
