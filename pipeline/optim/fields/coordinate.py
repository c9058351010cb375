"""The network of all fields: coordinates in, values out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pipeline.optim.activations import activation as known
from pipeline.optim.fields.layers import LAYERS, PositionalEncoding

__all__ = ["CoordinateField"]

OCTAVES = 8
"""Of the positional encoding of `relu_pe`. Chng et al. 2025, options of the public code."""


class CoordinateField(nn.Module):
    """A multilayer perceptron of coordinates in [−1, 1].

    Source: Chng et al. 2025, §5: three hidden layers behind the first one, a linear output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activation: str,
        width: int = 256,
        depth: int = 4,
        scale: float | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            inputs, outputs: channels.
            activation: a key of `pipeline.optim.activations.ACTIVATIONS`.
            width: of hidden layers.
            depth: layers with an activation.
            scale: ω of sine, wavelet and sinc, σ of Gaussian; None takes the layer's own.
            seed: of the weights.

        Raises:
            ConfigError: an unknown activation.
        """
        super().__init__()
        layer = LAYERS[known(activation).name]
        settings = {} if scale is None else {"scale": scale}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoding = PositionalEncoding(inputs, OCTAVES) if activation == "relu_pe" else None
            first = inputs if self.encoding is None else self.encoding.outputs
            self.hidden = nn.Sequential(
                *(layer(first if i == 0 else width, width, first=i == 0, **settings) for i in range(depth))
            )
            self.output = nn.Linear(width, outputs)
            if activation == "sine":
                bound = math.sqrt(6 / width) / (scale or 30.0)
                nn.init.uniform_(self.output.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """N×inputs coordinates → N×outputs values, linear."""
        values: Tensor = self.output(self.hidden(x if self.encoding is None else self.encoding(x)))
        return values
