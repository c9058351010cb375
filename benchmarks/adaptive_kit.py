"""What trials are made with: the denoiser, the networks that predict its errors, and the guides that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.denoise_renders import Truth
from pipeline.config.sampling import METRICS
from pipeline.denoise.backends import Denoiser
from pipeline.denoise.error import ErrorEstimator
from pipeline.denoise.guides import Array, Guide, Judgement, Noisy, Oracle, Predicted
from pipeline.render.buffers import FrameBuffers

__all__ = ["DEFAULT", "KITS", "Case", "Kit", "Watched", "shipped", "untrained"]


@dataclass(frozen=True)
class Case:
    """Who steers the samples.

    Attributes:
        guide: as in `sampling.guide`.
        metric: that errors are measured in, as in `sampling.metric`.
    """

    guide: str
    metric: str = "smape"

    @property
    def name(self) -> str:
        """Short, for files."""
        return f"{self.guide}-{self.metric}"


@dataclass(frozen=True)
class Watched:
    """A guide whose rounds are all denoised, whether it looks at them or not, so that each can be scored."""

    guide: Guide
    looks_at_denoised: bool = True

    def judge(self, number: int, frame: FrameBuffers, denoised: Array | None) -> Judgement:
        """See `Guide`."""
        return self.guide.judge(number, frame, denoised if self.guide.looks_at_denoised else None)


@dataclass(frozen=True)
class Kit:
    """A denoiser, and what predicts its errors.

    Attributes:
        denoiser: of all trials.
        identity: of its weights.
        predictors: by the metric that they predict; those that there are.
        identities: of the predictors' weights, by metric.
        missing: why a metric has no predictor; empty where all have one.
    """

    denoiser: Denoiser
    identity: str
    predictors: Mapping[str, ErrorEstimator]
    identities: Mapping[str, str]
    missing: str = field(default="")

    def can(self, case: Case) -> bool:
        """Whether there are weights for it."""
        return case.guide != "error" or case.metric in self.predictors

    def guide(self, case: Case, truths: Mapping[int, Truth]) -> Guide:
        """The guide of a case.

        Args:
            case: one that it `can`.
            truths: references by frame, for the oracle.
        """
        if case.guide == "error":
            return Predicted(self.predictors[case.metric], case.metric)
        if case.guide == "oracle":
            return Oracle(lambda number, shape: truths[number].beauty.image, case.metric)
        return Noisy(case.metric, steers=case.guide == "variance")

    def told(self, case: Case) -> str:
        """All that a case's rounds depend on beside the samples themselves."""
        predictor = self.identities[case.metric] if case.guide == "error" else ""
        return f"{self.denoiser.name} {self.identity} {self.denoiser.radius} {case.name} {predictor}"

    @property
    def best(self) -> Case:
        """The guide that the pipeline has at its best: predicted errors; without weights for them, variance."""
        return DEFAULT if self.can(DEFAULT) else Case("variance")


DEFAULT = Case("error")


def shipped() -> Kit:
    """The network of preset `fast` and its predictors, as they ship."""
    from pipeline.denoise import weights
    from pipeline.denoise.error import shipped_estimator
    from pipeline.denoise.kpcn import Kpcn
    from pipeline.errors import ConfigError

    denoiser = Kpcn(preset="fast")
    predictors: dict[str, ErrorEstimator] = {}
    identities: dict[str, str] = {}
    missing = ""
    for metric in METRICS:
        try:
            predictors[metric] = shipped_estimator("fast", metric)
            identities[metric] = weights.fingerprint(weights.predictor_of("fast", metric) or "")
        except ConfigError as error:
            missing = missing or error.message
    return Kit(denoiser, denoiser.identity, predictors, identities, missing)


def untrained() -> Kit:
    """No denoiser, and a small predictor that has learnt nothing: to try the harness itself."""
    import torch

    from pipeline.denoise.network.error_predictor import ErrorPredictor, error_preset
    from pipeline.denoise.passthrough import Passthrough

    torch.manual_seed(0)
    estimator = ErrorEstimator(ErrorPredictor(error_preset("tiny")))
    return Kit(Passthrough(), "none", {each: estimator for each in METRICS}, {each: "untrained" for each in METRICS})


KITS: dict[str, Callable[[], Kit]] = {"shipped": shipped, "untrained": untrained}
