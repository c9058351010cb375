"""The diagonal optimisers by name: which D, when it is updated, and where that is from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pipeline.optim.diagonals import DAMPING, Equilibrated, GaussNewton, Identity, InfinityNorm, Jacobi
from pipeline.optim.preconditioned import Fallback, Preconditioned

__all__ = ["ESGD", "SGD", "AdaHessian", "Adam", "ESGDMax"]

EVERY = 100
"""Steps between updates of ESGD's D. Chng et al. 2025, §5."""

WARMUP = 50
"""First steps, at each of which ESGD's D is updated. Of the paper's public code."""


class SGD(Preconditioned):
    """D = 1. With `momentum`, steps follow the mean of gradients (not their sum, as in `torch.optim.SGD`)."""

    def __init__(self, params: Iterable[Any], lr: float, *, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        super().__init__(params, Identity(), lr=lr, momentum=momentum, weight_decay=weight_decay)


class Adam(Preconditioned):
    """D = √ EMA(g²), the diagonal of the Gauss-Newton matrix; weight decay is decoupled (AdamW).

    Source: Kingma, Ba 2015; Loshchilov, Hutter 2019.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        momentum: float = 0.9,
        decay: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, GaussNewton(decay, eps), lr=lr, momentum=momentum, weight_decay=weight_decay)


class ESGD(Preconditioned):
    """Equilibrated SGD: D from one Hessian-vector product every 100 steps, with an exponential mean of its square.

    The rate is relative: 1 goes to the bottom of the parabola that each parameter sees, were the Hessian diagonal.

    Source: Dauphin et al. 2015, Algorithm 1; Chng et al. 2025, §4.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2.0,
        *,
        momentum: float = 0.9,
        decay: float = 0.9,
        damping: float = DAMPING,
        weight_decay: float = 0.0,
        every: int = EVERY,
        warmup: int = WARMUP,
        rate_warmup: float = 0.9,
        bias: Literal["updates", "steps"] = "updates",
        seed: int = 0,
        fallback: Fallback | None = None,
    ) -> None:
        diagonal = Equilibrated(decay, damping, bias=bias)
        settings: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay, "rate_warmup": rate_warmup}
        super().__init__(params, diagonal, lr=lr, every=every, warmup=warmup, seed=seed, fallback=fallback, **settings)


class ESGDMax(Preconditioned):
    """ESGD with a decaying maximum of (Hv)² in place of its mean."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.3,
        *,
        momentum: float = 0.9,
        decay: float = 0.99,
        damping: float = DAMPING,
        weight_decay: float = 0.0,
        every: int = EVERY,
        warmup: int = WARMUP,
        rate_warmup: float = 0.9,
        seed: int = 0,
        fallback: Fallback | None = None,
    ) -> None:
        settings: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay, "rate_warmup": rate_warmup}
        super().__init__(
            params,
            InfinityNorm(decay, damping),
            lr=lr,
            every=every,
            warmup=warmup,
            seed=seed,
            fallback=fallback,
            **settings,
        )


class AdaHessian(Preconditioned):
    """A Hessian-vector product at every step. `form` E: row norms of the Hessian; J: its diagonal, the Jacobi form.

    Source: Yao et al. 2021; the two forms: Chng et al. 2025, §4.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        form: Literal["E", "J"],
        momentum: float = 0.9,
        decay: float = 0.999,
        damping: float = DAMPING,
        weight_decay: float = 0.0,
        every: int = 1,
        rate_warmup: float = 0.9,
        seed: int = 0,
        fallback: Fallback | None = None,
    ) -> None:
        diagonal = Equilibrated(decay, damping) if form == "E" else Jacobi(decay, damping)
        settings: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay, "rate_warmup": rate_warmup}
        super().__init__(params, diagonal, lr=lr, every=every, seed=seed, fallback=fallback, **settings)
