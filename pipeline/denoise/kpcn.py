"""`denoise.backend: kpcn`: the temporal multi-scale kernel-predicting network on windows of frames.

A component (irradiance, specular with emission, albedo) is denoised at a time, and a frame of the window is held at a
time, so that memory is bounded at any resolution. Features of a frame do not depend on its window, those of a window
not on λ: both can be kept.

Source: Vogels et al. 2018.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.config.denoise import TEMPORAL_RADIUS
from pipeline.denoise import weights
from pipeline.denoise.backends import DEMODULATION, Denoised
from pipeline.denoise.energy import Rendered, balanced, believable
from pipeline.denoise.features import STRIP, WHOLE, Features
from pipeline.denoise.frame import UNSPLIT, Frame, Window, frame_of
from pipeline.denoise.memory import give_back, kept_heap
from pipeline.denoise.motion import trajectories
from pipeline.denoise.network.gather import gather_nearest, nearest_index
from pipeline.denoise.network.model import Images, KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR, exposure, noisy
from pipeline.denoise.network.specialisation import log_lambda
from pipeline.denoise.network.threads import spread
from pipeline.denoise.network.weights_file import load
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.denoise.cache import Cache

__all__ = ["Kpcn", "Prepared"]

Array = NDArray[np.float32]

HELD = 2**30
"""Bytes of frames of one window that are held while it is worked on."""


@dataclass(frozen=True)
class _Way:
    """Where the centre's pixels are in a neighbour: flat indices and whether they are valid, as `nearest_index`."""

    pixels: tuple[Tensor, Tensor]
    levels: list[tuple[Tensor, Tensor]]  # of features


@dataclass(frozen=True)
class _Frames:
    """One component of a window's frames, the centre first: what its strips are made of.

    Attributes:
        features: per frame and level, where the frame has them.
        carried: per frame, 1×C×H×W, as `_carried`.
        ways: to each neighbour.
        distances: of each neighbour, frames.
    """

    features: list[list[Tensor]]
    carried: list[Tensor]
    ways: list[_Way]
    distances: list[int]
    exposed: Tensor


@dataclass(frozen=True)
class _Part:
    """One component, or rows of it, ready for λ."""

    window: list[list[Tensor]]  # features per level and frame
    images: list[Images]  # per scale
    exposed: Tensor


@dataclass(frozen=True)
class _Outline:
    """What is needed of the centre when its components are denoised; the frame itself is not held meanwhile.

    Attributes:
        means: of the rendered emission, diffuse and specular.
        emission: as rendered; None where it is black, or its variance or the number of samples is not known.
        alpha: H×W, as rendered.
    """

    shape: tuple[int, int]
    components: tuple[str, ...]  # to be denoised
    demodulated: bool
    means: Mapping[str, float]
    emission: Rendered | None
    alpha: Array | None

    @staticmethod
    def of(frame: Frame) -> _Outline:
        parts = {"emission": "emission", "diffuse": "diffuse", "specular": "specular" if frame.splits else UNSPLIT}
        emission, variance = frame.component("emission"), frame.variance.get("emission")
        return _Outline(
            frame.shape,
            tuple(component for component in (IRRADIANCE, SPECULAR, ALBEDO) if noisy(frame, component).any()),
            frame.albedo is not None,
            {name: float(frame.component(part).mean(dtype=np.float64)) for name, part in parts.items()},
            None
            if variance is None or frame.count is None or not emission.any()
            else Rendered.of(emission, variance, frame.count),
            frame.alpha,
        )


@dataclass(frozen=True)
class Prepared:
    """A frame up to where λ comes in (§4.2): `Kpcn.finish` makes any λ's frame of it.

    Attributes:
        outline: of the centre.
        frames: frame numbers of the window, the centre first.
        parts: by component.
    """

    outline: _Outline
    frames: tuple[int, ...]
    parts: Mapping[str, _Part] = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.outline.shape

    @property
    def bytes(self) -> int:
        """Of what is kept."""
        tensors = [each for part in self.parts.values() for level in part.window for each in level]
        tensors += [t for part in self.parts.values() for image in part.images for t in (image.colour, image.valid)]
        return sum(t.element_size() * t.nelement() for t in tensors)


class Kpcn:
    """The kernel-predicting network behind the `Denoiser` interface.

    Args:
        preset: `fast` or `paper`; its weights ship with the package.
        radius: frames on either side; None: the preset's own.
        threads: CPU threads; None leaves it to torch.
        cache: keeps features of frames on this machine's disk, for windows that know their frames' digests.
        network: in place of the shipped one; `identity` must then tell it from others wherever a cache is shared.
        identity: of the network's weights; None: the shipped file's fingerprint.

    Raises:
        ConfigError: torch or the weights are missing.
    """

    name = "kpcn"

    def __init__(
        self,
        *,
        preset: str = "fast",
        radius: int | None = None,
        threads: int | None = None,
        cache: Cache | None = None,
        network: KernelPredictor | None = None,
        identity: str | None = None,
    ) -> None:
        self.radius = TEMPORAL_RADIUS.get(preset, 1) if radius is None else radius
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if network is None:
            network, identity = load(weights.path(preset)), identity or weights.fingerprint(preset)
        self.network = network.eval().to(self.device)
        if self.device.type == "cpu":
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.identity = identity or "unnamed"
        self.threads = threads
        self._features = Features(self.network, self.identity, cache)

    # --- The interface ---------------------------------------------------------------------------------------------

    def denoise(self, window: Window, centre: int, lambda_: Array | float) -> Denoised:
        """The frame `centre`.

        Args:
            window: frames by number; absent ones are done without. Frames beyond `radius` are not read.
            centre: the frame to denoise.
            lambda_: scalar or H×W, 1 … 10.

        Raises:
            ProductError: the window has no frame `centre`.
            ConfigError: frames of different sizes; a λ map of another size; a source that the network does not know.
        """
        held = _Held(window)
        with self._running():
            outline, around = self._open(held, centre, lambda_)
            results: dict[str, Tensor] = {}
            levels = self._log_lambda(lambda_, outline.shape)
            for component in outline.components:
                frames = self._gathered(component, centre, around, held)
                strips = []
                for top, bottom in self._strips(outline.shape):
                    if (top, bottom) != (0, outline.shape[0]):
                        give_back()
                    a, b = self._seen(top, bottom, outline.shape)
                    strip = self._finish(component, self._part(frames, a, b), self._rows(levels, a, b))
                    strips.append(strip[..., top - a : bottom - a, :].clone())
                results[component] = torch.cat(strips, dim=-2) if len(strips) > 1 else strips[0]
                del frames, strips, strip
                if outline.shape[0] * outline.shape[1] > WHOLE:
                    give_back()
            return self._assemble(outline, results)

    def prepare(self, window: Window, centre: int) -> Prepared:
        """Everything before λ, of all components. Raises as `denoise`."""
        held = _Held(window)
        with self._running():
            outline, around = self._open(held, centre, 1.0)
            parts = {
                component: self._part(self._gathered(component, centre, around, held), 0, outline.shape[0])
                for component in outline.components
            }
            return Prepared(outline, (centre, *around), parts)

    def finish(self, prepared: Prepared, lambda_: Array | float) -> Denoised:
        """The frame for a λ. Raises ConfigError when a λ map is of another size."""
        with self._running(again=True):
            _check_lambda(lambda_, prepared.shape)
            levels = self._log_lambda(lambda_, prepared.shape)
            results = {c: self._finish(c, part, levels) for c, part in prepared.parts.items()}
            return self._assemble(prepared.outline, results)

    # --- The window ------------------------------------------------------------------------------------------------

    def _open(self, window: _Held, centre: int, lambda_: Array | float) -> tuple[_Outline, dict[int, _Way]]:
        """The centre's outline, and the ways to its neighbours."""
        frame = frame_of(window, centre)
        if frame.source not in self.network.encoders:
            known = ", ".join(self.network.encoders)
            raise ConfigError(
                f"the network has no encoder for the source `{frame.source}`",
                key="source",
                suggestion=f"one of {known}, or train one: pipeline train denoiser --source {frame.source}",
            )
        outline = _Outline.of(frame)
        _check_lambda(lambda_, outline.shape)
        del frame
        near = sorted(window, key=lambda number: (abs(number - centre), number))
        near = [n for n in near if n != centre and abs(n - centre) <= self.radius]
        if not near:
            return outline, {}
        found = trajectories(window, centre, near)
        return outline, {n: self._way(*found[n]) for n in near if n not in window.absent}

    def _way(self, offset: Array, valid: NDArray[np.bool_]) -> _Way:
        toward = torch.from_numpy(np.moveaxis(offset, -1, 0).copy())[None].to(self.device)
        found = torch.from_numpy(valid)[None].to(self.device)
        strides = [self.network.stride(level) for level in range(self.network.levels)]
        return _Way(nearest_index(toward, found), [nearest_index(toward, found, stride) for stride in strides])

    def _gathered(self, component: str, centre: int, around: Mapping[int, _Way], window: _Held) -> _Frames:
        features, carried = [], []
        for number in (centre, *around):
            frame = frame_of(window, number)
            found = window.exposure(number, frame)
            if number == centre:
                exposed, shape = 1.0 if component == ALBEDO else found, frame.shape
            elif frame.shape != shape:
                raise ConfigError(
                    f"frame {number} is {frame.shape[1]}×{frame.shape[0]}, frame {centre} is "
                    f"{shape[1]}×{shape[0]}: frames of a window must be of one size"
                )
            with self._autocast():
                features.append(self._features.of(component, frame, number, found, window))
            carried.append(torch.from_numpy(_carried(frame, component))[None].to(self.device))
            del frame
            if shape[0] * shape[1] > WHOLE:
                give_back()
        at = torch.full((1, 1, 1, 1), exposed, device=self.device)
        return _Frames(features, carried, list(around.values()), [number - centre for number in around], at)

    def _part(self, frames: _Frames, first: int, last: int) -> _Part:
        """Rows `first` … `last` − 1: features compared, images aligned."""
        strides = [self.network.stride(level) for level in range(self.network.levels)]
        cut = [slice(first // stride, -(-last // stride)) for stride in strides]
        whole = last - first == frames.carried[0].shape[-2]
        own = [each if whole else each[..., rows, :] for each, rows in zip(frames.features[0], cut, strict=True)]
        colours = [frames.carried[0][..., first:last, :]]
        masks = [torch.ones_like(colours[0][:, :1])]
        neighbours: list[Neighbour] = []
        beside = zip(frames.features[1:], frames.carried[1:], frames.ways, frames.distances, strict=True)
        for features, carried, way, distance in beside:
            index, found = (each[:, first:last] for each in way.pixels)
            colours.append(gather_nearest(carried, index))
            masks.append(found[:, None].float())
            levels = [
                each if whole else (each[0][:, rows], each[1][:, rows])
                for each, rows in zip(way.levels, cut, strict=True)
            ]
            neighbours.append(
                Neighbour(
                    [gather_nearest(each, at) for each, (at, _) in zip(features, levels, strict=True)],
                    [valid[:, None].float() for _, valid in levels],
                    distance,
                )
            )
        images = image_pyramid(torch.stack(colours, dim=1), torch.cat(masks, dim=1), self.network.preset.scales)
        with self._autocast():
            compared = self.network.compare(own, neighbours)
        return _Part(compared, images, frames.exposed)

    # --- Strips ----------------------------------------------------------------------------------------------------

    def _strips(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """First row, and the one behind the last, of each strip that the frame is denoised in."""
        height, width = shape
        if height * width <= WHOLE:
            return [(0, height)]
        rows = max(self._unit, STRIP // width // self._unit * self._unit)
        return [(top, min(height, top + rows)) for top in range(0, height, rows)]

    def _seen(self, top: int, bottom: int, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows that a strip's pixels depend on, features of frames given."""
        if (top, bottom) == (0, shape[0]):
            return top, bottom
        preset, coarsest = self.network.preset, 2 ** (self.network.preset.scales - 1)
        compared = (2 + 2 * preset.temporal_blocks) * self.network.stride(self.network.levels - 1)
        # α is of three 3×3 convolutions at each scale but the last, over an image that was enlarged from the next.
        reach = compared + preset.kernel // 2 * coarsest + 5 * coarsest
        halo = -(-reach // self._unit) * self._unit
        return max(0, top - halo), min(shape[0], bottom + halo)

    @property
    def _unit(self) -> int:
        """Strips begin at multiples of this: cells of all levels and scales are then whole."""
        return max(self.network.stride(self.network.levels - 1), int(2 ** (self.network.preset.scales - 1)))

    # --- λ, kernels, and the frame ---------------------------------------------------------------------------------

    def _log_lambda(self, lambda_: Array | float, shape: tuple[int, int]) -> list[Tensor]:
        """log λ per level, 1×1×h×w; 1×1×1×1 where λ is one number."""
        value = log_lambda(torch.as_tensor(np.asarray(lambda_, np.float32)))
        plane = value.reshape(1, 1, *(value.shape or (1, 1))).to(self.device)
        if not value.shape:
            return [plane] * self.network.levels
        strides = [self.network.stride(level) for level in range(self.network.levels)]
        return [F.adaptive_avg_pool2d(plane, (-(-shape[0] // s), -(-shape[1] // s))) for s in strides]

    def _rows(self, levels: list[Tensor], first: int, last: int) -> list[Tensor]:
        """The same of rows `first` … `last` − 1 of the frame."""
        if levels[0].shape[-2:] == (1, 1):
            return levels
        strides = [self.network.stride(level) for level in range(self.network.levels)]
        return [each[..., first // s : -(-last // s), :] for each, s in zip(levels, strides, strict=True)]

    def _finish(self, component: str, part: _Part, log_lambda: list[Tensor]) -> Tensor:
        """The denoised component, 1×C×H×W as `_carried`, ≥ 0."""
        visible = _visible_specular if component == SPECULAR else _visible
        with self._autocast():
            result = self.network.reconstruct(part.window, part.images, log_lambda, part.exposed, visible=visible)
        return result.clamp_min_(0)

    def _assemble(self, outline: _Outline, results: Mapping[str, Tensor]) -> Denoised:
        """Components from what was denoised, with the energy that was rendered: diffuse is irradiance times albedo."""
        height, width = outline.shape

        def image(component: str, first: int, last: int) -> Array:
            if component not in results:
                return np.zeros((height, width, last - first), np.float32)
            planes = results[component][0, first:last]
            return np.ascontiguousarray(planes.permute(1, 2, 0).float().cpu().numpy())

        def emission() -> Array:
            found = image(SPECULAR, 3, 6)
            if outline.emission is not None:
                found = believable(found, outline.emission)
            return balanced(found, outline.means["emission"])

        def diffuse() -> Array:
            found = image(IRRADIANCE, 0, 3)
            if outline.demodulated:
                found *= image(ALBEDO, 0, 3) + np.float32(DEMODULATION)
            return balanced(found, outline.means["diffuse"])

        def specular() -> Array:
            return balanced(image(SPECULAR, 0, 3), outline.means["specular"])

        def alpha() -> Array:
            if ALBEDO in results and outline.alpha is not None:
                return np.clip(image(ALBEDO, 3, 4)[..., 0], 0, 1)
            return np.ones((height, width), np.float32) if outline.alpha is None else outline.alpha

        return Denoised(*spread([emission, diffuse, specular, alpha]))

    # --- Torch -----------------------------------------------------------------------------------------------------

    def _autocast(self) -> torch.autocast:
        """bfloat16 where that is quicker."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=_quick_bf16(self.device))

    @contextlib.contextmanager
    def _running(self, *, again: bool = False) -> Iterator[None]:
        """`again`: the same is soon done once more."""
        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode(), kept_heap(after=again):
                yield
        finally:
            torch.set_num_threads(before)


class _Held(Mapping[int, Frame | None]):
    """A window of sane frames, loaded once, not once per component, as long as they are not too large to be held."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._held: dict[int, Frame | None] = {}
        self._bytes = 0
        self._exposures: dict[int, float] = {}
        self.absent: set[int] = set()
        """Frames that were asked for and are not there."""
        if hasattr(window, "digest"):
            self.digest = window.digest

    def __getitem__(self, number: int) -> Frame | None:
        if number in self._held:
            return self._held[number]
        frame = self._window[number]
        if frame is None:
            self.absent.add(number)
        else:
            frame = frame.sane()
        size = 0 if frame is None else frame.nbytes
        if size <= HELD / 4 and self._bytes + size <= HELD:
            self._held[number], self._bytes = frame, self._bytes + size
        return frame

    def __iter__(self) -> Iterator[int]:
        return iter(self._window)

    def __len__(self) -> int:
        return len(self._window)

    def exposure(self, number: int, frame: Frame) -> float:
        """Of the frame of this number."""
        if number not in self._exposures:
            self._exposures[number] = exposure(frame)
        return self._exposures[number]


def _carried(frame: Frame, component: str) -> Array:
    """What a component's kernels are applied to, C×H×W: irradiance 3; specular 3 (the beauty, where it was not split)
    with emission 3; albedo 3 with alpha 1."""
    if component == IRRADIANCE:
        parts = [noisy(frame, component)]
    elif component == SPECULAR:
        parts = [frame.component("specular" if frame.splits else UNSPLIT), frame.component("emission")]
    else:
        alpha = np.ones(frame.shape, np.float32) if frame.alpha is None else frame.alpha
        parts = [noisy(frame, component), alpha[..., None]]
    planes = np.empty((sum(part.shape[-1] for part in parts), *frame.shape), np.float32)
    np.concatenate([np.moveaxis(part, -1, 0) for part in parts], axis=0, out=planes)
    return planes


def _visible(image: Tensor) -> Tensor:
    """The colour of B×C×H×W."""
    return image[:, :3]


def _visible_specular(image: Tensor) -> Tensor:
    """Specular with emission."""
    return image[:, :3] + image[:, 3:6]


def _check_lambda(lambda_: Array | float, shape: tuple[int, int]) -> None:
    """Raises ConfigError when a λ map does not fit."""
    found = np.shape(lambda_)
    if found not in ((), shape):
        size = "×".join(str(n) for n in reversed(found))
        raise ConfigError(
            f"the λ map is {size} and the frames are {shape[1]}×{shape[0]}", key="denoise.lambda_map", suggestion=""
        )


def _quick_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
