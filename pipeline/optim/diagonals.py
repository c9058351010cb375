"""Diagonal preconditioners D, by what they are estimated from. All steps of the family are x ← x − η D⁻¹ m̂.

    Identity        D = 1                            SGD
    GaussNewton     D = √ EMA(g²)                    Adam: the diagonal of the Gauss-Newton matrix, Diag(JᵀJ)
    Equilibrated    D = √ EMA((Hv)²)                 ESGD, AdaHessian (E): the 2-norms of the Hessian's rows
    InfinityNorm    D = √ max(β D², (Hv)²)           ESGD-max
    Jacobi          D = | EMA(z ⊙ Hz) |              AdaHessian (J): the Hessian's diagonal

For random signs (z ⊙ Hz)² = (Hz)², so that a mean of *squares* of z ⊙ Hz is equilibration whatever it is called: Jacobi
must average z ⊙ Hz itself, signs and all, before the absolute value.

A moment starts at zero; after k updates its expectation is (1 − βᵏ) of what it estimates, and `bias` divides that out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

__all__ = ["DAMPING", "Diagonal", "Equilibrated", "GaussNewton", "Identity", "InfinityNorm", "Jacobi"]

Source = Literal["nothing", "gradient", "curvature"]

DAMPING = 0.3
"""Share of a tensor's typical D that is added to all of it: D is an estimate from few random products, and entries that
are too small by chance make steps that are too long."""


class Diagonal(Protocol):
    """How D is estimated and kept safe."""

    @property
    def source(self) -> Source:
        """What `update` is fed with: nothing, the gradient of every step, or Hessian-vector products."""

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """Folds a sample (g, or Hz with its z) into the moment, in place."""

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """D before damping, of the moment's shape, after so many updates of it and steps in all (both at least 1)."""

    def damped(self, diagonal: Tensor, scale: Tensor) -> Tensor:
        """D that may be divided by. `scale` is a typical D where `diagonal` has zeros alone (scalar)."""


@dataclass(frozen=True)
class Identity:
    """No preconditioning."""

    source: Source = "nothing"

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """Keeps nothing."""

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """Ones."""
        return torch.ones_like(moment)

    def damped(self, diagonal: Tensor, scale: Tensor) -> Tensor:
        """As it is."""
        return diagonal


@dataclass(frozen=True)
class GaussNewton:
    """Adam's diagonal.

    Source: Kingma, Ba 2015, Algorithm 1; as a preconditioner: Chng et al. 2025, §3.

    Attributes:
        decay: β₂.
        eps: added to D.
    """

    decay: float = 0.999
    eps: float = 1e-8
    source: Source = "gradient"

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """EMA of g²."""
        moment.mul_(self.decay).addcmul_(sample, sample, value=1 - self.decay)

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """√(v / (1 − β₂ᵗ))."""
        return (moment / (1 - self.decay**updates)).sqrt_()

    def damped(self, diagonal: Tensor, scale: Tensor) -> Tensor:
        """D + ε."""
        return diagonal.add_(self.eps)


@dataclass(frozen=True)
class _Curvature:
    """What diagonals of Hessian-vector products share.

    Attributes:
        decay: β₂, per update of D (not per step).
        damping: share of a tensor's root mean square of D that is added to all its entries. Relative, so that rates
            follow neither the loss's scale nor the parameters'. Zero leaves D as it is, but for entries that are
            zero: those take the root mean square.
    """

    decay: float = 0.9
    damping: float = DAMPING
    source: Source = "curvature"

    def damped(self, diagonal: Tensor, scale: Tensor) -> Tensor:
        """D plus its share of the root mean square; never zero where `scale` is not."""
        typical = diagonal.square().mean().sqrt()
        typical = torch.where(typical > 0, typical, scale.to(typical))
        return torch.where(diagonal > 0, diagonal, typical).add_(self.damping * typical)


@dataclass(frozen=True)
class Equilibrated(_Curvature):
    """Root mean square of (Hv)ᵢ = ‖Hᵢ‖₂, since E[(Hv)ᵢ²] = Σⱼ Hᵢⱼ².

    Source: Dauphin et al. 2015, Algorithm 1; with an exponential mean: Chng et al. 2025, §4.

    Attributes:
        bias: `updates` corrects by the number of D's updates; `steps` by the number of steps, as the paper's public
            code does: at β₂ = 0.999 its D is too small by 3.3 at the thousandth step, and its rate does not transfer.
    """

    bias: Literal["updates", "steps"] = "updates"

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """EMA of (Hv)²."""
        moment.mul_(self.decay).addcmul_(sample, sample, value=1 - self.decay)

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """√(moment / (1 − β₂ᵏ))."""
        counted = updates if self.bias == "updates" else steps
        return (moment / (1 - self.decay**counted)).sqrt_()


@dataclass(frozen=True)
class InfinityNorm(_Curvature):
    """A decaying maximum in place of the mean: never too small for long, hence smaller steps.

    Source: Crowson 2022, ESGD-M; Chng et al. 2025, "ESGD-max".
    """

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """max(β D², (Hv)²)."""
        torch.maximum(moment.mul_(self.decay), sample.square(), out=moment)

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """√ of it: a maximum has no bias to correct."""
        return moment.sqrt()


@dataclass(frozen=True)
class Jacobi(_Curvature):
    """|Hᵢᵢ|, from E[z ⊙ Hz] = diag H (Bekas et al. 2007).

    Source: Yao et al. 2021, AdaHessian, equation 6; see the module's note on why squares are not averaged.
    """

    def update(self, moment: Tensor, sample: Tensor, signs: Tensor | None) -> None:
        """EMA of z ⊙ Hz."""
        if signs is None:
            raise ValueError("the Jacobi diagonal needs the signs that Hz was made with")
        moment.mul_(self.decay).addcmul_(sample, signs, value=1 - self.decay)

    def of(self, moment: Tensor, *, updates: int, steps: int) -> Tensor:
        """|moment| / (1 − β₂ᵏ): curvature downwards counts as curvature (a step away from the maximum, not to it)."""
        return (moment / (1 - self.decay**updates)).abs_()
