"""The activations of neural fields, and what theory says of their Hessians. No torch here: configurations ask too."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.optim.suggestions import meant

__all__ = ["ACTIVATIONS", "Activation", "activation"]


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        name: as configurations say it.
        smooth: its second derivative is not zero almost everywhere, so that Hessian-vector products are dense (Theorem
            4.2); else they are sparse (Theorem 4.3).
        formula: for messages and pages.
    """

    name: str
    smooth: bool
    formula: str


ACTIVATIONS: dict[str, Activation] = {
    entry.name: entry
    for entry in (
        Activation("sine", True, "sin(ω x)"),
        Activation("gaussian", True, "exp(−x² / 2σ²)"),
        Activation("wavelet", True, "cos(ω x) exp(−(s y)²)"),
        Activation("sinc", True, "sin(ω x) / ω x"),
        Activation("relu", False, "max(x, 0)"),
        Activation("relu_pe", False, "max(x, 0), positional encoding of the input"),
    )
}


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"there is no activation '{name}'", key="activation", suggestion=meant(name, ACTIVATIONS))
    return ACTIVATIONS[name]
