"""Where a denoised frame is still wrong, as a network sees it, in numbers that can be trusted on average.

The predictor belongs to one denoiser: it learnt from that one's pictures, and its file says whose. What it says is
corrected by a monotone function that was fitted on validation frames, so that the mean of a map is the mean error.

Source: Vogels et al. 2018, §5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.denoise import weights
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.error_predictor import METRICS, ErrorPredictor, error_inputs, error_preset
from pipeline.errors import ConfigError

__all__ = ["FORMAT", "Correction", "ErrorEstimator", "load_error", "save_error_bytes"]

Array = NDArray[np.float32]

FORMAT = "error-predictor-v1"


@dataclass(frozen=True)
class Correction:
    """A monotone, piecewise linear function: what was predicted → what the error was, on average.

    Attributes:
        predicted, true: knots, both rising. Beyond the last knot, errors grow in proportion.
    """

    predicted: tuple[float, ...]
    true: tuple[float, ...]

    def __call__(self, values: Array) -> Array:
        """Corrected values."""
        last_in, last_out = self.predicted[-1], self.true[-1]
        inside = np.interp(values, self.predicted, self.true)
        beyond = values * (last_out / max(last_in, 1e-12))
        corrected: Array = np.where(values > last_in, beyond, inside).astype(np.float32)
        return corrected

    @staticmethod
    def none() -> Correction:
        """The identity."""
        return Correction((0.0, 1.0), (0.0, 1.0))

    @staticmethod
    def fit(predicted: NDArray[np.floating], true: NDArray[np.floating], *, knots: int = 24) -> Correction:
        """Isotonic regression (least squares, so means are kept), reduced to a few knots.

        Args:
            predicted, true: as many numbers, ≥ 0.
        """
        order = np.argsort(predicted, kind="stable")
        x, y = predicted[order].astype(np.float64), true[order].astype(np.float64)
        # Equal shares of the numbers, and of the largest ones again, where most of the error is.
        edges = np.unique(np.concatenate([np.linspace(0, 1, knots), 1 - np.geomspace(1e-3, 1, knots // 2)]))
        bounds = np.unique((edges * len(x)).astype(int))
        blocks = [slice(a, b) for a, b in pairwise(bounds) if b > a]
        means_x, means_y = (np.array([v[block].mean() for block in blocks]) for v in (x, y))
        counts = np.array([block.stop - block.start for block in blocks], np.float64)
        means_y = _isotonic(means_y, counts)
        keep = np.concatenate([[True], np.diff(means_x) > 1e-9])
        return Correction((0.0, *map(float, means_x[keep])), (0.0, *map(float, means_y[keep])))


def _isotonic(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rising sequence, in weighted least squares: neighbours that fall are pooled."""
    means: list[float] = []
    sizes: list[float] = []
    spans: list[int] = []
    for value, count in zip(values, counts, strict=True):
        means.append(float(value))
        sizes.append(float(count))
        spans.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            total = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / total]
            sizes[-2:] = [total]
            spans[-2:] = [spans[-2] + spans[-1]]
    return np.repeat(means, spans)


class ErrorEstimator:
    """Predicts the error of denoised frames.

    Args:
        preset: of the denoiser whose frames are judged.
        network, corrections: in place of the shipped ones.

    Raises:
        ConfigError: there are no weights for the preset, or they belong to other weights of the denoiser.
    """

    def __init__(
        self,
        preset: str = "fast",
        *,
        network: ErrorPredictor | None = None,
        corrections: Mapping[str, Correction] | None = None,
    ) -> None:
        if network is None:
            name = weights.predictor(preset)
            if name not in weights.shipped():
                raise ConfigError(
                    f"there are no weights that predict the error of kpcn's preset {preset}",
                    key="sampling.guide",
                    suggestion="variance or uniform",
                )
            network, corrections, denoiser = load_error(weights.path(name))
            if denoiser != weights.fingerprint(preset):
                raise ConfigError(
                    f"the error predictor {name} was trained on other weights of the denoiser",
                    key="sampling.guide",
                    suggestion="pipeline train error, or guide variance",
                )
        self.network = network.eval()
        self.corrections = dict(corrections or {})

    def predict(self, frame: Frame, denoised: Array, metric: str = "smape") -> Array:
        """The expected error of every pixel: H×W, ≥ 0.

        Args:
            frame: the noisy frame.
            denoised: its denoised beauty, H×W×3.
            metric: one of `METRICS`.
        """
        planes = error_inputs(frame.sane(), np.maximum(denoised, 0))
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            maps = self.network(torch.from_numpy(planes)[None].to(device))
        cells = maps[0, METRICS.index(metric)].float().cpu().numpy()
        cells = self.corrections.get(metric, Correction.none())(cells)
        height, width = frame.shape
        return _spread(cells, self.network.preset.stride, height, width)


def _spread(cells: Array, stride: int, height: int, width: int) -> Array:
    """Each cell's value on its pixels."""
    rows, columns = np.arange(height) // stride, np.arange(width) // stride
    return np.ascontiguousarray(cells[rows[:, None], columns], np.float32)


# --- Files --------------------------------------------------------------------------------------------------------


def save_error_bytes(network: ErrorPredictor, corrections: Mapping[str, Correction], *, denoiser: str) -> bytes:
    """The content of a predictor's file.

    Args:
        denoiser: fingerprint of the denoiser's weights.
    """
    metadata = {
        "format": FORMAT,
        "preset": network.preset.name,
        "denoiser": denoiser,
        "corrections": json.dumps({m: [c.predicted, c.true] for m, c in corrections.items()}),
    }
    return save({name: value.contiguous().cpu() for name, value in network.state_dict().items()}, metadata)


def load_error(path: Path) -> tuple[ErrorPredictor, dict[str, Correction], str]:
    """The predictor, its corrections by metric, and the fingerprint of the denoiser that it belongs to.

    Raises:
        ConfigError: the file is missing, damaged, or of another version.
    """

    def refuse(why: str) -> ConfigError:
        return ConfigError(f"{path}: {why}", key="sampling.guide", suggestion="weights of this version of Penumbra")

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise refuse(f"not an error predictor of this version ({metadata.get('format', 'no format')})")
            network = ErrorPredictor(error_preset(metadata["preset"]))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            stored = json.loads(metadata["corrections"])
            corrections = {metric: Correction(tuple(x), tuple(y)) for metric, (x, y) in stored.items()}
            return network.eval().requires_grad_(False), corrections, metadata["denoiser"]
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise refuse(f"the weights cannot be read: {str(error).splitlines()[0]}") from error
