"""Learning-rate schedules with the names of torch.optim.lr_scheduler 2.13.

The first argument is the learning rate, where torch has the optimizer; a schedule replaces it:
`torch.Adam(torch.lr_scheduler.StepLR(0.1, step_size=30))`. Steps are those of the optimizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from gdjax.compat.namespacing import named
from gdjax.core.data.hyperparams import Hyperparam, Number
from gdjax.core.data.schedule import schedule
from gdjax.core.rule import errors
from gdjax.schedules.basic import constant_schedule, linear_schedule, polynomial_schedule
from gdjax.schedules.cosine import cosine_restarts_schedule
from gdjax.schedules.cycles import cosine_cycle_schedule, triangular_schedule
from gdjax.schedules.decays import exponential_decay
from gdjax.schedules.interpolation import at, cosine, interpolate
from gdjax.schedules.join import join_schedules
from gdjax.schedules.piecewise import piecewise_constant_schedule

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "SequentialLR",
    "StepLR",
]


@named("torch", schedule)
def LambdaLR(lr: Number, lr_lambda: Callable[[Any], Any]):
    """Learning rate times a function of the step.

        c(t) = a·f(t)

    Args:
        lr: a, the learning rate.
        lr_lambda: f, a function of the step.
    """
    return lambda step: lr * lr_lambda(step)


def StepLR(lr: Any, step_size: Any, gamma: Any = 0.1) -> Any:
    """Step decay: multiplies the learning rate by a factor every `step_size` steps.

    >>> from gdjax.compat import torch
    >>> float(torch.lr_scheduler.StepLR(0.5, step_size=30)(29))
    0.5
    """
    return exponential_decay(lr, step_size, gamma, staircase=True)


def MultiStepLR(lr: Any, milestones: Sequence[int], gamma: Any = 0.1) -> Any:
    """Step decay at milestones; a repeated milestone counts repeatedly."""
    times = Counter(milestones)
    return piecewise_constant_schedule(lr, {int(step): gamma**n for step, n in times.items()})


def ConstantLR(lr: Any, factor: Any = 1.0 / 3, total_iters: Any = 5) -> Any:
    """A fraction of the learning rate until a step, then the learning rate."""
    return join_schedules([constant_schedule(lr * factor), constant_schedule(lr)], [total_iters])


def LinearLR(
    lr: Any, start_factor: Any = 1.0 / 3, end_factor: Any = 1.0, total_iters: Any = 5
) -> Any:
    """Linear schedule between two multiples of the learning rate."""
    return linear_schedule(lr * start_factor, lr * end_factor, total_iters)


def ExponentialLR(lr: Any, gamma: Any) -> Any:
    """Exponential decay: multiplies the learning rate by a factor in every step."""
    return exponential_decay(lr, 1, gamma)


def PolynomialLR(lr: Any, total_iters: Any = 5, power: Any = 1.0) -> Any:
    """Polynomial decay to zero."""
    return polynomial_schedule(lr, 0.0, power, total_iters)


def CosineAnnealingLR(lr: Any, T_max: Any, eta_min: Any = 0.0) -> Any:
    """Cosine annealing to `eta_min`; rises again after T_max, as in torch."""
    return cosine_cycle_schedule(lr, eta_min, T_max)


def CosineAnnealingWarmRestarts(lr: Any, T_0: Any, T_mult: Any = 1, eta_min: Any = 0.0) -> Any:
    """Cosine annealing with warm restarts (SGDR)."""
    return cosine_restarts_schedule(lr, T_0, T_mult, end_value=eta_min)


def CyclicLR(
    base_lr: Any,
    max_lr: Any,
    step_size_up: Any = 2000,
    step_size_down: Any = None,
    mode: str = "triangular",
    gamma: Any = 1.0,
) -> Any:
    """Cyclical learning rate (triangular). For a cyclical momentum pass a schedule as momentum.

    Raises:
        ValueError: Unknown mode.
    """
    more = {
        "triangular": {},
        "triangular2": {"cycle_decay": 0.5},
        "exp_range": {"step_decay": gamma},
    }
    if mode not in more:
        errors.fail("torch.CyclicLR", f"mode must be one of {', '.join(more)}", mode)
    return triangular_schedule(base_lr, max_lr, step_size_up, step_size_down, **more[mode])


def OneCycleLR(
    max_lr: Any,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Any:
    """One-cycle policy; constant after the last step, where torch raises.

    Raises:
        ValueError: The number of steps is not given, or the strategy is unknown.
    """
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            must = "total_steps, or epochs and steps_per_epoch, must be given"
            errors.fail("torch.OneCycleLR", must, None)
        total_steps = epochs * steps_per_epoch
    if anneal_strategy not in ("cos", "linear"):
        must = "anneal_strategy must be cos or linear"
        errors.fail("torch.OneCycleLR", must, anneal_strategy)
    first, peak, last = max_lr / div_factor, max_lr, max_lr / div_factor / final_div_factor
    top, end = pct_start * total_steps - 1, total_steps - 1
    values, ends = [first, peak, last], [0, top, end]
    if three_phase:
        values, ends = [first, peak, first, last], [0, top, 2 * top, end]

    return one_cycle(values, ends, anneal_strategy == "cos")


@named("torch", schedule)
def one_cycle(values: Sequence[Number], ends: Sequence[Number], rounded: bool):
    """Interpolation between values at points that may lie between two steps.

        c(t) = vᵢ + (vᵢ₊₁ − vᵢ)·y    for eᵢ ≤ t < eᵢ₊₁
        c(t) = vₙ                    for t ≥ eₙ
        x = (t − eᵢ)/(eᵢ₊₁ − eᵢ),    y = x
        with rounded: y = (1 − cos(πx))/2

    Args:
        values: v₀, …, vₙ.
        ends: e₀ = 0, …, eₙ, ascending.
        rounded: True to interpolate along a cosine.
    """
    ways = list(zip(values, values[1:], ends, ends[1:]))

    def value(step):
        out = jnp.asarray(values[-1])
        for first, last, begin, end in reversed(ways):
            way = interpolate(step, begin, end, first, last, cosine if rounded else None)
            out = jnp.where(step < end, way, out)
        return out

    return value


@named("torch", schedule)
def ChainedScheduler(lr: Number, schedulers: Sequence[Hyperparam]):
    """Product of the factors of several schedules; each must be proportional to the rate.

        c(t) = pₙ,    p₀ = a,    pᵢ₊₁ = pᵢ·cᵢ₊₁(t)/a

    Args:
        lr: a, the learning rate.
        schedulers: c₁, …, cₙ: schedules that begin at a.
    """

    def value(step):
        out = lr
        for each in schedulers:
            out = out * (at(each, step) / lr)
        return out

    return value


def SequentialLR(schedulers: Sequence[Any], milestones: Sequence[Any]) -> Any:
    """Joins schedules at milestones, each from its own step 0."""
    return join_schedules(list(schedulers), list(milestones))


_NOT_HERE = {
    "MultiplicativeLR": "Its rate is a product over all steps before. Write a LambdaLR.",
    "ReduceLROnPlateau": "It follows a metric: put gdjax.reduce_on_plateau behind the optimizer.",
}


def __getattr__(name: str):
    raise AttributeError(f"lr_scheduler has no {name}. {_NOT_HERE.get(name, '')}".rstrip())
