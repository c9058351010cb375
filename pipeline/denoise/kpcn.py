"""`denoise.backend: kpcn`: the temporal multi-scale kernel-predicting network on windows of frames.

A component (irradiance, specular with emission, albedo) is denoised at a time, and a frame of the window is held at a
time, so that memory is bounded at any resolution. Features of a frame do not depend on its window, those of a window
not on λ: both can be kept.

Source: Vogels et al. 2018.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
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
from pipeline.denoise.energy import balanced
from pipeline.denoise.frame import UNSPLIT, Frame, Window, frame_of
from pipeline.denoise.memory import kept_heap
from pipeline.denoise.motion import trajectories
from pipeline.denoise.network.gather import gather_nearest, nearest_index
from pipeline.denoise.network.model import Images, KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR, exposure, inputs, noisy
from pipeline.denoise.network.specialisation import log_lambda
from pipeline.denoise.network.weights_file import load
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.denoise.cache import Cache

__all__ = ["Kpcn", "Prepared"]

Array = NDArray[np.float32]

STRIP = 2**21
"""Pixels that features are extracted of at a time; larger images go in strips with what the network sees beyond."""

HELD = 2**30
"""Bytes of frames of one window that are held while it is worked on."""

KEPT = 2**29
"""Bytes of features of single frames that are kept in memory for the next windows."""


@dataclass(frozen=True)
class _Way:
    """Where the centre's pixels are in a neighbour: flat indices and whether they are valid, as `nearest_index`."""

    pixels: tuple[Tensor, Tensor]
    levels: list[tuple[Tensor, Tensor]]  # of features


@dataclass(frozen=True)
class _Part:
    """One component, ready for λ."""

    window: list[list[Tensor]]  # features per level and frame
    images: list[Images]  # per scale
    exposed: Tensor


@dataclass(frozen=True)
class Prepared:
    """A frame up to where λ comes in (§4.2): `Kpcn.finish` makes any λ's frame of it.

    Attributes:
        frame: the centre, for what is not denoised.
        frames: frame numbers of the window, the centre first.
        parts: by component.
    """

    frame: Frame
    frames: tuple[int, ...]
    parts: Mapping[str, _Part] = field(repr=False)

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
        self._cache = cache
        self._features: OrderedDict[str, tuple[list[Tensor], int]] = OrderedDict()

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
        window = _Held(window)
        with self._running():
            frame, around = self._open(window, centre, lambda_)
            results: dict[str, Tensor] = {}
            for component in self._components(frame):
                part = self._prepare(component, frame, centre, around, window)
                results[component] = self._finish(component, part, lambda_)
                del part
            return self._assemble(frame, results)

    def prepare(self, window: Window, centre: int) -> Prepared:
        """Everything before λ, of all components. Raises as `denoise`."""
        window = _Held(window)
        with self._running():
            frame, around = self._open(window, centre, 1.0)
            parts = {c: self._prepare(c, frame, centre, around, window) for c in self._components(frame)}
            return Prepared(frame, (centre, *around), parts)

    def finish(self, prepared: Prepared, lambda_: Array | float) -> Denoised:
        """The frame for a λ. Raises ConfigError when a λ map is of another size."""
        with self._running():
            _check_lambda(lambda_, prepared.frame.shape)
            results = {c: self._finish(c, part, lambda_) for c, part in prepared.parts.items()}
            return self._assemble(prepared.frame, results)

    # --- The window ------------------------------------------------------------------------------------------------

    def _open(self, window: Window, centre: int, lambda_: Array | float) -> tuple[Frame, dict[int, _Way]]:
        """The centre frame, and the ways to its neighbours."""
        frame = frame_of(window, centre)
        if frame.source not in self.network.encoders:
            known = ", ".join(self.network.encoders)
            raise ConfigError(
                f"the network has no encoder for the source `{frame.source}`",
                key="source",
                suggestion=f"one of {known}, or train one: pipeline train denoiser --source {frame.source}",
            )
        _check_lambda(lambda_, frame.shape)
        near = sorted(window, key=lambda number: (abs(number - centre), number))
        near = [n for n in near if n != centre and abs(n - centre) <= self.radius and window.get(n) is not None]
        return frame, {n: self._way(*found) for n, found in trajectories(window, centre, near).items()} if near else {}

    def _way(self, offset: Array, valid: NDArray[np.bool_]) -> _Way:
        toward = torch.from_numpy(np.moveaxis(offset, -1, 0).copy())[None].to(self.device)
        found = torch.from_numpy(valid)[None].to(self.device)
        strides = [self.network.stride(level) for level in range(self.network.levels)]
        return _Way(nearest_index(toward, found), [nearest_index(toward, found, stride) for stride in strides])

    def _components(self, frame: Frame) -> list[str]:
        """What is to be denoised: components that are not 0 everywhere."""
        return [c for c in (IRRADIANCE, SPECULAR, ALBEDO) if noisy(frame, c).any()]

    def _prepare(
        self,
        component: str,
        frame: Frame,
        centre: int,
        around: Mapping[int, _Way],
        window: Window,
    ) -> _Part:
        neighbours: list[Neighbour] = []
        colours, masks = [], []
        for number, way in around.items():
            other = frame_of(window, number)
            if other.shape != frame.shape:
                raise ConfigError(
                    f"frame {number} is {other.shape[1]}×{other.shape[0]}, frame {centre} is "
                    f"{frame.shape[1]}×{frame.shape[0]}: frames of a window must be of one size"
                )
            features = self._frame_features(component, other, number, window)
            carried = self._tensor(_carried(other, component))
            del other
            index, kept = way.pixels
            colours.append(gather_nearest(carried, index))
            masks.append(kept[:, None].float())
            neighbours.append(
                Neighbour(
                    [gather_nearest(each, at) for each, (at, _) in zip(features, way.levels, strict=True)],
                    [found[:, None].float() for _, found in way.levels],
                    number - centre,
                )
            )
        own = self._tensor(_carried(frame, component))
        everywhere = torch.ones(1, 1, *frame.shape, device=self.device)
        images = image_pyramid(
            torch.stack([own, *colours], dim=1), torch.cat([everywhere, *masks], dim=1), self.network.preset.scales
        )
        features = self._frame_features(component, frame, centre, window)
        with self._autocast():
            compared = self.network.compare(features, neighbours)
        exposed = torch.full((1, 1, 1, 1), 1.0 if component == ALBEDO else exposure(frame), device=self.device)
        return _Part(compared, images, exposed)

    # --- Features of a frame ---------------------------------------------------------------------------------------

    def _frame_features(self, component: str, frame: Frame, number: int, window: Window) -> list[Tensor]:
        """Spatial features of one component of a frame, per level; kept for the windows that come."""
        key = self._key(component, frame, number, window)
        if key is not None and (kept := self._kept(key)) is not None:
            return kept
        x = self._tensor(inputs(frame, component, exposure(frame)))
        features = self._extract(x, frame.source)
        if key is not None:
            self._keep(key, features)
        return features

    def _key(self, component: str, frame: Frame, number: int, window: Window) -> str | None:
        digest = getattr(window, "digest", None)
        return None if digest is None else f"{digest(number)}-{self.identity}-{component}"

    def _kept(self, key: str) -> list[Tensor] | None:
        if key in self._features:
            self._features.move_to_end(key)
            return self._features[key][0]
        if self._cache is None or (arrays := self._cache.get(key)) is None:
            return None
        return [
            torch.from_numpy(np.array(arrays[f"level{i}"])).view(torch.bfloat16).to(self.device)
            for i in range(len(arrays))
        ]

    def _keep(self, key: str, features: list[Tensor]) -> None:
        size = sum(f.element_size() * f.nelement() for f in features)
        self._features[key] = (features, size)
        while self._features and sum(each for _, each in self._features.values()) > KEPT:
            self._features.popitem(last=False)
        if self._cache is not None:
            self._cache.put(
                key,
                {
                    f"level{i}": f.to(torch.bfloat16).contiguous().view(torch.int16).cpu().numpy()
                    for i, f in enumerate(features)
                },
            )

    def _extract(self, x: Tensor, source: str) -> list[Tensor]:
        """Features of an image, in strips where it is large: exactly those of the whole image."""
        unit = self.network.stride(self.network.levels - 1) * 2  # the U-Net's bottleneck is one level further down
        rows = max(unit, STRIP // x.shape[-1] // unit * unit)
        with self._autocast():
            if x.shape[-2] <= rows * 1.5:
                return self.network.extract(x, source)
            halo = -(-self._reach() // unit) * unit
            pieces: list[list[Tensor]] = []
            for top in range(0, x.shape[-2], rows):
                a, b = max(0, top - halo), min(x.shape[-2], top + rows + halo)
                whole = self.network.extract(x[..., a:b, :], source)
                piece = []
                for level, features in enumerate(whole):
                    stride = self.network.stride(level)
                    first = (top - a) // stride
                    last = features.shape[-2] if top + rows >= x.shape[-2] else first + rows // stride
                    piece.append(features[..., first:last, :])
                pieces.append(piece)
            return [torch.cat(level, dim=-2) for level in zip(*pieces, strict=True)]

    def _reach(self) -> int:
        """Pixels that a feature may see to either side, at most."""
        preset = self.network.preset
        if not preset.unet:
            return int((4 + 4 * preset.blocks) * 2 ** (preset.scales - 1))
        encoder = 3 * preset.stride
        # Two 3×3 convolutions at every level, down and up again, a pooling and an upsampling between.
        return encoder + sum(6 * preset.stride * 2**level for level in range(len(preset.widths)))

    # --- λ, kernels, and the frame ---------------------------------------------------------------------------------

    def _finish(self, component: str, part: _Part, lambda_: Array | float) -> Tensor:
        """The denoised component, 1×C×H×W as `_carried`, ≥ 0."""
        levels = []
        for features in part.window:
            size = features[0].shape[-2:]
            value = log_lambda(torch.as_tensor(np.asarray(lambda_, np.float32)))
            plane = value.reshape(1, 1, *(value.shape or (1, 1))).to(self.device)
            levels.append(plane if plane.shape[-2:] == (1, 1) else F.adaptive_avg_pool2d(plane, (size[0], size[1])))
        visible = _visible_specular if component == SPECULAR else _visible
        with self._autocast():
            result = self.network.reconstruct(part.window, part.images, levels, part.exposed, visible=visible)
        return result.clamp_min(0)

    def _assemble(self, frame: Frame, results: Mapping[str, Tensor]) -> Denoised:
        """Components from what was denoised, with the energy that was rendered: diffuse is irradiance times albedo."""
        height, width = frame.shape

        def image(component: str, first: int, last: int) -> Array:
            if component not in results:
                return np.zeros((height, width, last - first), np.float32)
            planes = results[component][0, first:last]
            return np.ascontiguousarray(planes.permute(1, 2, 0).float().cpu().numpy())

        irradiance = image(IRRADIANCE, 0, 3)
        if frame.albedo is None:
            diffuse = irradiance
        else:
            diffuse = irradiance * (image(ALBEDO, 0, 3) + np.float32(DEMODULATION))
        if ALBEDO in results and frame.alpha is not None:
            alpha = np.clip(image(ALBEDO, 3, 4)[..., 0], 0, 1)
        else:
            alpha = np.ones((height, width), np.float32) if frame.alpha is None else frame.alpha
        specular = "specular" if frame.splits else UNSPLIT
        return Denoised(
            balanced(image(SPECULAR, 3, 6), frame.component("emission")),
            balanced(diffuse, frame.component("diffuse")),
            balanced(image(SPECULAR, 0, 3), frame.component(specular)),
            alpha,
        )

    # --- Torch -----------------------------------------------------------------------------------------------------

    def _tensor(self, planes: Array) -> Tensor:
        """C×H×W → 1×C×H×W on the device."""
        return torch.from_numpy(planes)[None].to(self.device)

    def _autocast(self) -> torch.autocast:
        """bfloat16 where that is quicker."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=_quick_bf16(self.device))

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode(), kept_heap():
                yield
        finally:
            torch.set_num_threads(before)


class _Held(Mapping[int, Frame | None]):
    """A window of sane frames, loaded once, not once per component, as long as they are not too large to be held."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._held: dict[int, Frame | None] = {}
        self._bytes = 0
        if hasattr(window, "digest"):
            self.digest = window.digest

    def __getitem__(self, number: int) -> Frame | None:
        if number in self._held:
            return self._held[number]
        frame = self._window[number]
        if frame is not None:
            frame = frame.sane()
        size = 0 if frame is None else frame.nbytes
        if self._bytes + size <= HELD:
            self._held[number], self._bytes = frame, self._bytes + size
        return frame

    def __iter__(self) -> Iterator[int]:
        return iter(self._window)

    def __len__(self) -> int:
        return len(self._window)


def _carried(frame: Frame, component: str) -> Array:
    """What a component's kernels are applied to, C×H×W: irradiance 3; specular 3 (the beauty, where it was not split)
    with emission 3; albedo 3 with alpha 1."""
    if component == IRRADIANCE:
        planes = [noisy(frame, component)]
    elif component == SPECULAR:
        planes = [frame.component("specular" if frame.splits else UNSPLIT), frame.component("emission")]
    else:
        alpha = np.ones(frame.shape, np.float32) if frame.alpha is None else frame.alpha
        planes = [noisy(frame, component), alpha[..., None]]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(planes, axis=-1), -1, 0))


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
