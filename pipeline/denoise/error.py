"""Where a denoised frame is still wrong, as a network sees it, in numbers that can be trusted on average.

The predictor belongs to one denoiser: it learnt from that one's pictures, and its file says whose. What it says is
corrected by a monotone function that was fitted on validation frames, so that the mean of a map is the mean error.

Source: Vogels et al. 2018, §5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.denoise import weights
from pipeline.denoise.calibration import Correction
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.error_predictor import ErrorPredictor, error_inputs, error_preset
from pipeline.errors import ConfigError

__all__ = ["FORMAT", "ErrorEstimator", "load_error", "save_error_bytes", "shipped_estimator"]

Array = NDArray[np.float32]

FORMAT = "error-predictor-v2"


class ErrorEstimator:
    """Predicts the error of denoised frames.

    Args:
        network: the predictor.
        corrections: by metric; a metric without one is left as it is.
    """

    def __init__(self, network: ErrorPredictor, corrections: Mapping[str, Correction] | None = None) -> None:
        self.network = network.eval()
        self.corrections = dict(corrections or {})

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it predicts."""
        return self.network.metrics

    def predict(self, frame: Frame, denoised: Array, metric: str = "smape") -> Array:
        """The expected error of every pixel: H×W, ≥ 0.

        Args:
            frame: the noisy frame.
            denoised: its denoised beauty, H×W×3.
            metric: one of `metrics`.

        Raises:
            ConfigError: it predicts no such metric.
        """
        if metric not in self.metrics:
            raise ConfigError(
                f"the error predictor knows no {metric}", key="sampling.metric", suggestion=" or ".join(self.metrics)
            )
        planes = error_inputs(frame.sane(), np.maximum(denoised, 0))
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            maps = self.network(torch.from_numpy(planes)[None].to(device))
        cells = maps[0, self.metrics.index(metric)].float().cpu().numpy()
        cells = self.corrections.get(metric, Correction.none())(cells)
        height, width = frame.shape
        return _spread(cells, self.network.preset.stride, height, width)


def shipped_estimator(preset: str, metric: str = "smape", *, name: str | None = None) -> ErrorEstimator:
    """The shipped predictor of a denoiser's errors.

    Args:
        preset: of the denoiser whose frames are judged.
        metric: that is wanted of it.
        name: of the weights; by default those that `weights.predictor_of` finds.

    Raises:
        ConfigError: there are no such weights, or they belong to other weights of the denoiser.
    """
    name = name or weights.predictor_of(preset, metric)
    if name is None or name not in weights.shipped():
        raise ConfigError(
            f"there are no weights that predict the {metric} of kpcn's preset {preset}",
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
    return ErrorEstimator(network, corrections)


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
        "metrics": json.dumps(network.metrics),
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
            network = ErrorPredictor(error_preset(metadata["preset"]), json.loads(metadata["metrics"]))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            stored = json.loads(metadata["corrections"])
            corrections = {metric: Correction(tuple(x), tuple(y)) for metric, (x, y) in stored.items()}
            return network.eval().requires_grad_(False), corrections, metadata["denoiser"]
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise refuse(f"the weights cannot be read: {str(error).splitlines()[0]}") from error
