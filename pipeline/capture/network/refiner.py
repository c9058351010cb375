"""h_θ: the recurrent network that turns R_t and the gradient of the likelihood into an update (equation 7).

Three convolutions (5×5, 3×3, 3×3) with GRUs of 1×1 convolutions between them, leaky ReLU after the first two, tanh
after the third. With 256 features and GRUs of 64 channels these are the paper's 405,376 parameters, but for 18 inputs
and 9 outputs in place of 20 and 10, of which one is not used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.capture.maps import CHANNELS
from pipeline.capture.network.presets import Preset

__all__ = ["Memory", "Refiner", "legible"]

Memory = tuple[Tensor, Tensor]
"""What the two GRUs remember: B×memory×H×W each."""

_LOUDNESS = 20.0  # of a gradient: a residual of 0.1 in √light and a slope of ½ give 1


class Refiner(nn.Module):
    """One step of learned gradient descent.

    Args:
        gradients: of how many photographs; 0 for the paper's ablation without them.
    """

    def __init__(self, preset: Preset, *, gradients: int = 1) -> None:
        super().__init__()
        features, memory = preset.features, preset.memory
        self.gradients = gradients
        self.memory = memory
        self.first = nn.Conv2d((1 + gradients) * CHANNELS, features, 5, padding=2)
        self.remember_first = _Gru(features, memory)
        self.second = nn.Conv2d(memory, features, 3, padding=2, dilation=2)  # dilated as in the paper's code
        self.remember_second = _Gru(features, memory)
        self.third = nn.Conv2d(memory, CHANNELS, 3, padding=1, bias=False)
        nn.init.normal_(self.third.weight, std=1e-3)  # begins by leaving the estimate as it is

    def forward(self, unknowns: Tensor, gradient: Tensor | None, memory: Memory | None) -> tuple[Tensor, Memory]:
        """The update, in [−1, 1] per unknown, to be added, and what is remembered.

        Args:
            unknowns: R_t, B×9×H×W.
            gradient: B×9N×H×W, of `likelihood.gradient`; None without gradients.
            memory: of the step before; None at the first.
        """
        given = [unknowns] if gradient is None else [unknowns, legible(gradient)]
        seen = torch.cat(given, 1).contiguous(memory_format=torch.channels_last)
        one = self.remember_first(F.leaky_relu(self.first(seen), 0.1), None if memory is None else memory[0])
        two = self.remember_second(F.leaky_relu(self.second(one), 0.1), None if memory is None else memory[1])
        return torch.tanh(self.third(two)).float(), (one, two)


def legible(gradient: Tensor) -> Tensor:
    """Gradients span decades: near zero as they are (times 20), beyond it by their logarithm."""
    return torch.asinh(_LOUDNESS * gradient)


class _Gru(nn.Module):
    """A gated recurrent unit whose products are 1×1 convolutions.

    Source: Cho et al. 2014, equations 5–8; the reset gate after the product, as in torch.
    """

    def __init__(self, before: int, memory: int) -> None:
        super().__init__()
        self.given = nn.Conv2d(before, 3 * memory, 1)
        self.kept = nn.Conv2d(memory, 3 * memory, 1)
        self.width = memory

    def forward(self, features: Tensor, memory: Tensor | None) -> Tensor:
        """The new memory, which is also the output."""
        reset, update, new = self.given(features).chunk(3, 1)
        if memory is None:  # all zeros
            bias = self.kept.bias
            assert bias is not None
            r, u, n = bias.reshape(1, -1, 1, 1).chunk(3, 1)
            return (1 - torch.sigmoid(update + u)) * torch.tanh(new + torch.sigmoid(reset + r) * n)
        r, u, n = self.kept(memory).chunk(3, 1)
        gate = torch.sigmoid(update + u)
        return (1 - gate) * torch.tanh(new + torch.sigmoid(reset + r) * n) + gate * memory
