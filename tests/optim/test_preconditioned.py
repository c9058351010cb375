"""The optimisers of the framework: against torch's own, against closed forms, and under all that goes wrong."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.hvp import NoSecondDerivative
from pipeline.optim.optimizers import ESGD, SGD, AdaHessian, Adam, ESGDMax
from pipeline.optim.preconditioned import REJECTED, Fallback, Preconditioned

Make = Callable[[Any], Preconditioned]

CURVATURE: dict[str, Make] = {
    "esgd": lambda p: ESGD(p, 0.3),
    "esgd_max": lambda p: ESGDMax(p, 0.3),
    "adahessian_e": lambda p: AdaHessian(p, 0.1, form="E"),
    "adahessian_j": lambda p: AdaHessian(p, 0.03, form="J"),
}


def of_both(table: dict[str, Make]) -> Any:
    return pytest.mark.parametrize("make", table.values(), ids=table.keys())


def problem(seed: int = 0, **settings: Any) -> tuple[nn.Module, Callable[[int], Tensor]]:
    """A small sine field, and its loss on the first n of 64 points."""
    field = CoordinateField(2, 1, activation="sine", width=8, depth=2, scale=8.0, seed=seed, **settings)
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(64, 2, generator=generator) * 2 - 1
    y = torch.sin(4 * x[:, :1]) * x[:, 1:]
    return field, lambda n=64: (field(x[:n]) - y[:n]).square().mean()


def train(optimizer: Preconditioned, loss: Callable[[int], Tensor], steps: int, part: int = 32) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        value = loss(64)
        value.backward()
        optimizer.step(curvature=lambda: loss(part))
        losses.append(float(value.detach()))
    return losses


def weights(field: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in field.parameters()]).clone()


# --- First order ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: SGD(p, 0.05), lambda p: torch.optim.SGD(p, 0.05)),
        (lambda p: Adam(p, 1e-2), lambda p: torch.optim.Adam(p, 1e-2)),
        (lambda p: Adam(p, 1e-2, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 1e-2, weight_decay=0.1)),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_first_order_optimisers_take_the_steps_of_torchs_own(ours, theirs):
    field, loss = problem()
    other, other_loss = problem()
    one, two = ours(field.parameters()), theirs(other.parameters())
    for _ in range(20):
        one.zero_grad(), two.zero_grad()
        loss().backward(), other_loss().backward()
        one.step(curvature=pytest.fail), two.step()
    torch.testing.assert_close(weights(field), weights(other), rtol=1e-4, atol=1e-6)


# --- Curvature -----------------------------------------------------------------------------------------------------


def test_on_a_diagonal_parabola_a_rate_of_one_goes_to_the_bottom_in_one_step():
    """H diagonal: |Hz| is its diagonal exactly, whatever the signs."""
    a = torch.tensor([1e-3, 1.0, 50.0, 4.0])
    for make in (ESGD, ESGDMax, lambda *p, **s: AdaHessian(*p, form="J", **s)):
        x = torch.tensor([3.0, -2.0, 1.0, 0.5], requires_grad=True)
        optimizer = make([x], 1.0, momentum=0.0, damping=0.0, rate_warmup=0.0)
        (0.5 * a * x.square()).sum().backward()
        optimizer.step(curvature=lambda x=x: (0.5 * a * x.square()).sum())
        assert x.tolist() == pytest.approx([0.0] * 4, abs=1e-6)


def test_where_the_parabola_opens_downwards_the_step_still_goes_downhill():
    x = torch.tensor([0.5], requires_grad=True)
    optimizer = AdaHessian([x], 0.1, form="J", momentum=0.0, rate_warmup=0.0)
    (-x.square()).sum().backward()
    optimizer.step(curvature=lambda: (-x.square()).sum())
    assert float(x.detach()) > 0.5


def test_entries_without_curvature_step_by_the_typical_one_and_nothing_becomes_infinite():
    x = torch.tensor([1.0, 1.0], requires_grad=True)
    y = torch.tensor([1.0], requires_grad=True)

    def loss() -> Tensor:
        return x[0].square() + 1e-3 * x[1] + 1e-3 * y.sum()

    optimizer = ESGD([x, y], 0.1, damping=0.0)
    loss().backward()
    optimizer.step(curvature=loss)
    assert torch.isfinite(torch.cat([x, y])).all()
    assert float((1 - x[1]).detach()) < 0.1 and float((1 - y).detach()) < 0.1


@of_both(CURVATURE)
def test_training_with_curvature_lowers_the_loss(make):
    field, loss = problem()
    losses = train(make(field.parameters()), loss, 60)
    assert losses[-1] < 0.5 * losses[0]


@of_both(
    {
        "esgd": lambda p: ESGD(p, 0.3, damping=0.0),
        "esgd_max": lambda p: ESGDMax(p, 0.3, damping=0.0),
        "adahessian_j": lambda p: AdaHessian(p, 0.03, form="J", damping=0.0),
        "esgd damped": lambda p: ESGD(p, 0.3, damping=0.1),
    }
)
def test_steps_do_not_follow_the_scale_of_the_loss(make):
    """A power of two, so that not even rounding differs."""
    field, loss = problem()
    scaled, scaled_loss = problem()
    train(make(field.parameters()), loss, 10)
    train(make(scaled.parameters()), lambda n=64: 1024 * scaled_loss(n), 10)
    torch.testing.assert_close(weights(field), weights(scaled), rtol=1e-5, atol=1e-6)


@of_both(
    {
        "esgd": lambda p: ESGD(p, 0.3, damping=0.0),
        "esgd_max": lambda p: ESGDMax(p, 0.3, damping=0.0),
        "adahessian_j": lambda p: AdaHessian(p, 0.03, form="J", damping=0.0),
    }
)
def test_steps_follow_a_common_scale_of_all_parameters(make):
    """f(x) and f(4 y) with x = 4 y: D of y is 16 times that of x, the gradient 4 times, the step a quarter."""

    def rosenbrock(x: Tensor) -> Tensor:
        return ((1 - x[:-1]).square() + 5 * (x[1:] - x[:-1].square()).square()).sum()

    x = torch.linspace(-1, 1, 6).requires_grad_()
    y = (x.detach() / 4).clone().requires_grad_()
    one, two = make([x]), make([y])
    for _ in range(15):
        one.zero_grad(), two.zero_grad()
        rosenbrock(x).backward(), rosenbrock(4 * y).backward()
        one.step(curvature=lambda: rosenbrock(x)), two.step(curvature=lambda: rosenbrock(4 * y))
    torch.testing.assert_close(x.detach(), 4 * y.detach(), rtol=1e-4, atol=1e-5)


@of_both(CURVATURE)
def test_equal_seeds_give_equal_runs_and_other_seeds_others(make):
    runs = []
    for seed in (0, 0, 1):
        field, loss = problem()
        optimizer = make(field.parameters())
        optimizer._generator.manual_seed(seed)
        train(optimizer, loss, 8)
        runs.append(weights(field))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_curvature_is_asked_for_at_every_step_of_the_warm_up_and_every_so_many_afterwards():
    field, loss = problem()
    optimizer = ESGD(field.parameters(), warmup=4, every=5)
    asked = []
    for step in range(16):
        loss().backward()
        assert optimizer.curvature_due == (step in (0, 1, 2, 3, 4, 9, 14))
        optimizer.step(curvature=lambda step=step: asked.append(step) or loss(8))
    assert asked == [0, 1, 2, 3, 4, 9, 14]
    assert {state["updates"] for state in optimizer.state.values()} == {7}


def test_a_closure_whose_gradients_carry_their_graph_serves_as_well():
    """On the whole batch it is the same curvature."""
    field, loss = problem()
    other, other_loss = problem()
    train(ESGD(other.parameters()), other_loss, 5, part=64)
    optimizer = ESGD(field.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward(create_graph=optimizer.curvature_due)
        return value

    for _ in range(5):
        assert optimizer.step(closure) > 0
        assert all(p.grad.grad_fn is None for p in field.parameters())  # no cycle is left behind
    torch.testing.assert_close(weights(field), weights(other), rtol=1e-4, atol=1e-6)


# --- State ---------------------------------------------------------------------------------------------------------

ALL: dict[str, Make] = {**CURVATURE, "sgd": lambda p: SGD(p, 0.1, momentum=0.9), "adam": lambda p: Adam(p, 1e-2)}


@of_both(ALL)
def test_a_saved_optimiser_goes_on_as_if_it_had_never_stopped(make, tmp_path):
    field, loss = problem()
    optimizer = make(field.parameters())
    train(optimizer, loss, 7)
    torch.save({"field": field.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint")
    train(optimizer, loss, 6)
    again, again_loss = problem(seed=9)
    resumed = make(again.parameters())
    saved = torch.load(tmp_path / "checkpoint", weights_only=True)
    again.load_state_dict(saved["field"])
    resumed.load_state_dict(saved["optimizer"])
    train(resumed, again_loss, 6)
    assert torch.equal(weights(field), weights(again))


def test_parameter_groups_have_their_own_rates_and_schedulers_reach_them():
    field, loss = problem()
    groups = [{"params": field.hidden.parameters(), "lr": 1e-9}, {"params": field.output.parameters()}]
    optimizer = ESGD(groups, 0.3)
    before, out = weights(field.hidden), weights(field.output)
    torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    train(optimizer, loss, 3)
    assert torch.allclose(before, weights(field.hidden), atol=1e-6)
    assert not torch.allclose(out, weights(field.output), atol=1e-3)


# --- Precision -----------------------------------------------------------------------------------------------------


def test_half_parameters_keep_their_curvature_in_float32_also_through_a_checkpoint():
    """|Hz| = 4e4: its square is far outside half's range, and D is not."""
    x = torch.tensor([1e-3, 2e-3], dtype=torch.float16, requires_grad=True)

    def loss() -> Tensor:
        return 2e4 * x.float().square().sum()

    optimizer = ESGD([x], 0.1, damping=0.1)
    loss().backward()
    optimizer.step(curvature=loss)
    state = optimizer.state[x]
    assert state["moment"].dtype == state["diagonal"].dtype == torch.float32
    assert state["diagonal"].tolist() == pytest.approx([4.4e4, 4.4e4], rel=1e-3)
    resumed = ESGD([x], 0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert torch.equal(resumed.state[x]["moment"], state["moment"])
    assert resumed.state[x]["moment"].dtype == torch.float32


def test_curvature_is_computed_outside_autocast():
    field, loss = problem()
    seen = []

    def curvature() -> Tensor:
        seen.append(field.hidden[1].linear(torch.zeros(1, 8)).dtype)
        return loss(8)

    optimizer = ESGD(field.parameters())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss().backward()
        assert field.hidden[1].linear(torch.zeros(1, 8)).dtype == torch.bfloat16
        optimizer.step(curvature=curvature)
    assert seen == [torch.float32]


# --- What goes wrong -----------------------------------------------------------------------------------------------


def test_without_second_derivatives_it_says_so():
    x = torch.ones(3, requires_grad=True)
    optimizer = ESGD([x])
    x.sum().backward()
    with pytest.raises(NoSecondDerivative, match="use adam"):
        optimizer.step(curvature=lambda: x.sum())
    with pytest.raises(NoSecondDerivative, match="create_graph"):
        optimizer.step()


def test_without_second_derivatives_it_falls_back_once_with_one_warning_and_stays_fallen(caplog):
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    optimizer, adam = ESGD([x], 0.3, fallback=Fallback(1e-2)), torch.optim.Adam([y], 1e-2)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            for parameter, one in ((x, optimizer), (y, adam)):
                one.zero_grad()
                parameter.abs().sum().backward()
            optimizer.step(curvature=lambda: x.abs().sum()), adam.step()
    assert len(caplog.records) == 1 and "going on with adam" in caplog.text
    torch.testing.assert_close(x.detach(), y.detach())
    resumed = ESGD([x], 0.3, fallback=Fallback(1e-2))
    resumed.load_state_dict(optimizer.state_dict())
    resumed.step(curvature=pytest.fail), adam.step()
    torch.testing.assert_close(x.detach(), y.detach())


def test_curvature_that_is_not_finite_leaves_d_as_it_is_and_is_told_once(caplog):
    field, loss = problem()
    optimizer = ESGD(field.parameters())
    train(optimizer, loss, 2)
    before = {p: state["diagonal"].clone() for p, state in optimizer.state.items()}
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            optimizer.step(curvature=lambda: loss(8) * torch.tensor(float("nan")))
    assert len(caplog.records) == 1 and "not finite" in caplog.text
    assert all(torch.equal(before[p], optimizer.state[p]["diagonal"]) for p in before)
    assert torch.isfinite(weights(field)).all()


def test_curvature_that_is_never_finite_is_no_curvature():
    field, loss = problem()
    optimizer = ESGD(field.parameters())
    start = weights(field)
    loss().backward()
    with pytest.raises(NoSecondDerivative, match="not finite"):
        for _ in range(REJECTED):
            optimizer.step(curvature=lambda: loss(8) * float("inf"))
    assert torch.equal(start, weights(field))  # without any D nothing moved


def test_frozen_parameters_stay_and_join_in_at_the_next_update():
    field, loss = problem()
    field.output.requires_grad_(False)
    optimizer = ESGD(field.parameters(), 0.3, warmup=2, every=3)
    frozen = weights(field.output)
    train(optimizer, loss, 3)
    assert torch.equal(frozen, weights(field.output))
    field.output.requires_grad_(True)
    train(optimizer, loss, 2)  # D was updated at steps 0, 1, 2; next at 5
    assert torch.equal(frozen, weights(field.output))
    train(optimizer, loss, 1)
    assert not torch.equal(frozen, weights(field.output))


@of_both(ALL)
def test_sparse_gradients_are_refused(make):
    table = nn.Embedding(10, 2, sparse=True)
    optimizer = make(table.parameters())
    table(torch.tensor([1])).square().sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        optimizer.step(curvature=lambda: table(torch.tensor([1])).square().sum())


@pytest.mark.parametrize(
    "setting",
    [{"lr": 0.0}, {"momentum": 1.0}, {"every": 0}, {"warmup": -1}, {"rate_warmup": 1.0}, {"weight_decay": -1}],
)
def test_settings_outside_their_range_are_refused(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=name):
        ESGD([torch.ones(1, requires_grad=True)], **setting)
