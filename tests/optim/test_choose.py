"""Which optimiser is chosen, and what the log says of it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.optim.activations import ACTIVATIONS
from pipeline.optim.choose import OPTIMIZERS, choose, make


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_auto_takes_curvature_for_smooth_activations_alone_and_never_with_a_table(name):
    assert choose(name).optimizer == ("esgd" if ACTIVATIONS[name].smooth else "adam")
    assert choose(name, table=True).optimizer == "adam"


def test_a_named_optimiser_is_taken_as_it_is():
    assert choose("relu", "esgd").optimizer == "esgd"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [(("sin",), "did you mean 'sine'"), (("tanh",), "one of sine, gaussian"), (("sine", "adamm"), "mean 'adam'")],
)
def test_an_unknown_name_is_refused_with_a_suggestion(asked, meant):
    with pytest.raises(ConfigError, match=meant) as refused:
        choose(*asked)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("optimizer", ("auto", *OPTIMIZERS))
@pytest.mark.parametrize("name", ["sine", "relu_pe"])
def test_every_optimiser_steps_through_one_call(optimizer, name):
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    chosen = make([x], name, optimizer)
    for _ in range(2):
        chosen.zero_grad()
        x.pow(4).sum().backward()
        chosen.step(curvature=lambda: x.pow(4).sum())
    assert float(x.detach().abs().max()) < 1.0


def test_the_log_says_which_and_why(caplog):
    with caplog.at_level(logging.INFO):
        make([torch.ones(1, requires_grad=True)], "gaussian")
    assert "esgd" in caplog.text and "gaussian is smooth" in caplog.text


def test_auto_goes_on_as_adam_where_there_is_no_curvature(caplog):
    x = torch.tensor([1.0, -1.0], requires_grad=True)
    chosen = make([x], "sine")
    for _ in range(3):
        chosen.zero_grad()
        x.abs().sum().backward()
        chosen.step(curvature=lambda: x.abs().sum())
    assert caplog.text.count("going on with adam") == 1
    assert x.tolist() == pytest.approx([1 - 3e-3, -1 + 3e-3], rel=1e-4)


def test_choosing_needs_no_torch():
    code = "import sys; from pipeline.optim.choose import choose; choose('sine'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
