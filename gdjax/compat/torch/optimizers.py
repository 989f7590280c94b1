"""The optimizers of torch.optim 2.13, with its names, defaults and conventions.

The first argument is the learning rate, where torch has the parameters. Weight decay is L2
regularization, before the rule, unless the optimizer says otherwise.
"""

from __future__ import annotations

from typing import Any

from gdjax.compat.namespacing import named
from gdjax.compat.torch import rules
from gdjax.compat.torch.adafactor import factored_descent
from gdjax.core.data.hyperparams import Hyperparam, NonNegative
from gdjax.core.data.schedule import schedule
from gdjax.core.engine.chain import chain
from gdjax.core.rule import errors
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.optimizers.adam.adamax import scale_by_adamax
from gdjax.optimizers.adam.amsgrad import scale_by_amsgrad
from gdjax.optimizers.adam.nadam import scale_by_nadam
from gdjax.optimizers.adam.radam import scale_by_radam
from gdjax.optimizers.adaptive.adadelta import scale_by_adadelta
from gdjax.optimizers.adaptive.adagrad import scale_by_rss
from gdjax.optimizers.adaptive.rmsprop import scale_by_rms, scale_by_stddev
from gdjax.optimizers.adaptive.rprop import scale_by_rprop
from gdjax.schedules.interpolation import at
from gdjax.transforms.basic import scale, scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.momentum import trace

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
]

Betas = tuple[Any, Any]


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0


def _compose(
    lr: Any, *parts: Any, weight_decay: Any = 0, maximize: bool = False, decoupled: bool = False
) -> Any:
    """The chain of sign, decay, rule and learning rate, without stages that do nothing."""
    decay = [] if _is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
    sign = [scale(-1.0)] if maximize else []
    middle = [*parts, *decay] if decoupled else [*decay, *parts]
    return chain(*sign, *middle, scale_by_learning_rate(lr))


def SGD(
    lr: Any = 1e-3,
    momentum: Any = 0,
    dampening: Any = 0,
    weight_decay: Any = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> Any:
    """SGD with L2 regularization, momentum and dampening.

    >>> from gdjax.compat import torch
    >>> torch.SGD(0.1, momentum=0.9)
    chain(trace(decay=0.9, nesterov=False), scale_by_learning_rate(learning_rate=0.1))

    Raises:
        ValueError: `nesterov` without momentum or with dampening.
    """
    if nesterov and (_is_zero(momentum) or not _is_zero(dampening)):
        must = "nesterov needs a momentum and no dampening"
        errors.fail("torch.SGD", must, f"momentum={momentum}, dampening={dampening}")
    if _is_zero(momentum):
        rule = []
    elif _is_zero(dampening):
        rule = [trace(momentum, nesterov)]
    else:
        rule = [rules.dampened_trace(momentum, dampening)]
    return _compose(lr, *rule, weight_decay=weight_decay, maximize=maximize)


def Adam(
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> Any:
    """Adam with L2 regularization."""
    if amsgrad:
        after = {"bias_correction_nu": False, "bias_correction_max": True}
        rule = scale_by_amsgrad(*betas, eps, **after)
    else:
        rule = scale_by_adam(*betas, eps)
    return _compose(
        lr,
        rule,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


def AdamW(
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> Any:
    """Adam with decoupled weight decay, by default 100 times that of gdjax and optax."""
    return Adam(
        lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
    )


def NAdam(
    lr: Any = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    momentum_decay: Any = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> Any:
    """NAdam: Adam with Nesterov momentum and a momentum warm-up."""
    return _compose(
        lr,
        scale_by_nadam(*betas, eps, momentum_decay),
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


def RAdam(
    lr: Any = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> Any:
    """RAdam: rectified Adam, with ε added to √v before the bias correction."""
    rule = scale_by_radam(*betas, rules.beside_uncorrected_root(eps, betas[1]))
    return _compose(
        lr,
        rule,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


def Adamax(
    lr: Any = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    *,
    maximize: bool = False,
) -> Any:
    """Adamax: Adam with the infinity norm."""
    rule = scale_by_adamax(*betas, eps)
    return _compose(lr, rule, weight_decay=weight_decay, maximize=maximize)


def Adadelta(
    lr: Any = 1.0,
    rho: Any = 0.9,
    eps: Any = 1e-6,
    weight_decay: Any = 0,
    *,
    maximize: bool = False,
) -> Any:
    """Adadelta: step sizes from the running RMS of updates and gradients."""
    return _compose(lr, scale_by_adadelta(rho, eps), weight_decay=weight_decay, maximize=maximize)


@named("torch", schedule)
def inverse_time(lr: Hyperparam, decay: NonNegative):
    """Inverse time decay of the learning rate.

        c(t) = η(t)/(1 + δt)

    Args:
        lr: η, a number or a schedule.
        decay: δ ≥ 0.
    """
    return lambda step: at(lr, step) / (1 + decay * step)


def Adagrad(
    lr: Any = 1e-2,
    lr_decay: Any = 0,
    weight_decay: Any = 0,
    initial_accumulator_value: Any = 0,
    eps: Any = 1e-10,
    *,
    maximize: bool = False,
) -> Any:
    """AdaGrad, with an optional decay of the learning rate."""
    rule = scale_by_rss(initial_accumulator_value, eps)
    rate = lr if _is_zero(lr_decay) else inverse_time(lr, lr_decay)
    return _compose(rate, rule, weight_decay=weight_decay, maximize=maximize)


def RMSprop(
    lr: Any = 1e-2,
    alpha: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 0,
    momentum: Any = 0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> Any:
    """RMSprop, with ε outside of the root and optional momentum."""
    rule = (scale_by_stddev if centered else scale_by_rms)(alpha, eps)
    memory = [] if _is_zero(momentum) else [trace(momentum)]
    return _compose(lr, rule, *memory, weight_decay=weight_decay, maximize=maximize)


def Rprop(
    lr: Any = 1e-2,
    etas: tuple[Any, Any] = (0.5, 1.2),
    step_sizes: tuple[Any, Any] = (1e-6, 50.0),
    *,
    maximize: bool = False,
) -> Any:
    """Rprop: step sizes adapted by the signs of the gradients; `lr` is the first step size."""
    sign = [scale(-1.0)] if maximize else []
    return chain(*sign, scale_by_rprop(lr, *etas, *step_sizes), scale(-1.0))


def ASGD(
    lr: Any = 1e-2,
    lambd: Any = 1e-4,
    alpha: Any = 0.75,
    t0: Any = 1e6,
    weight_decay: Any = 0,
    *,
    maximize: bool = False,
) -> Any:
    """Averaged SGD (ASGD); `gdjax.state.eval_params` returns the average."""
    sign = [scale(-1.0)] if maximize else []
    decay = [] if _is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
    return chain(*sign, *decay, rules.averaged_descent(lr, lambd, alpha, t0))


def Adafactor(
    lr: Any = 1e-2,
    beta2_decay: Any = -0.8,
    eps: tuple[Any, Any] = (None, 1e-3),
    d: Any = 1.0,
    weight_decay: Any = 0.0,
    *,
    maximize: bool = False,
) -> Any:
    """Adafactor: factored second moments and relative step sizes."""
    sign = [scale(-1.0)] if maximize else []
    return chain(*sign, factored_descent(lr, beta2_decay, *eps, d, weight_decay))
