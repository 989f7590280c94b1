"""Optimizers whose stages or defaults in optax differ from those in gdjax."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from gdjax.compat.optax.masking import masked
from gdjax.compat.optax.overrides import key_or_seed, scale_by_rms, scale_by_stddev
from gdjax.compat.optax.stages import add_decayed_weights, scale_by_learning_rate
from gdjax.compat.optax.twins import follows, twin
from gdjax.core.engine.chain import chain as _chain
from gdjax.core.engine.transformation import NOW
from gdjax.optimizers.adam import adam as _adam
from gdjax.optimizers.adam import adan as _adan
from gdjax.optimizers.adaptive import adagrad as _adagrad
from gdjax.optimizers.adaptive import rmsprop as _rmsprop
from gdjax.optimizers.factored import adafactor as _adafactor
from gdjax.optimizers.layerwise import fromage as _fromage
from gdjax.optimizers.layerwise import trust_ratio as _trust
from gdjax.optimizers.line_search import lbfgs as _lbfgs
from gdjax.optimizers.line_search import zoom_linesearch as _zoom
from gdjax.optimizers.parameter_free import polyak as _polyak
from gdjax.optimizers.sgd import noisy_sgd as _noisy
from gdjax.optimizers.sgd import optimistic as _optimistic
from gdjax.optimizers.sgd import sgd as _sgd
from gdjax.transforms import basic as _basic
from gdjax.transforms import momentum as _momentum
from gdjax.transforms import norms as _norms

__all__ = [
    "adafactor",
    "adagrad",
    "adan",
    "fromage",
    "lars",
    "lbfgs",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "optimistic_adam",
    "optimistic_adam_v2",
    "polyak_sgd",
    "rmsprop",
    "sgd",
]


@twin(_adagrad.adagrad)
def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Any:
    """AdaGrad with an initial accumulator of 0.1, and ε under the root."""
    return _adagrad.adagrad(learning_rate, initial_accumulator_value, eps, eps_in_sqrt=True)


@twin(_rmsprop.rmsprop)
def rmsprop(
    learning_rate: Any,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Any:
    """RMSProp with ε under the root, and momentum after the learning rate."""
    rule = scale_by_stddev if centered else scale_by_rms
    return _chain(
        rule(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        _basic.identity() if momentum is None else _momentum.trace(momentum, nesterov),
    )


@twin(_noisy.noisy_sgd)
def noisy_sgd(
    learning_rate: Any,
    eta: Any = 0.01,
    gamma: Any = 0.55,
    key: Any = None,
    *,
    seed: int | None = None,
) -> Any:
    """SGD with gradient noise."""
    return _noisy.noisy_sgd(learning_rate, eta, gamma, key_or_seed("optax.noisy_sgd", key, seed))


@twin(_adam.adam)
def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """NAdam: Adam with Nesterov momentum."""
    return _adam.adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


@twin(_adam.adamw)
def nadamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """NAdamW: AdamW with Nesterov momentum."""
    numbers = (learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask)
    return _adam.adamw(*numbers, nesterov=nesterov)


@twin(_optimistic.optimistic_adam)
def optimistic_adam(
    learning_rate: Any,
    optimism: Any = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """Optimistic Adam, with Nesterov momentum."""
    if NOW.trying:  # once for each call of the user's
        how = "optimistic_adam is deprecated, use `optimistic_adam_v2` instead."
        warnings.warn(how, DeprecationWarning, stacklevel=4)
    numbers = (learning_rate, optimism, b1, b2, eps, eps_root, mu_dtype)
    return _optimistic.optimistic_adam(*numbers, nesterov=nesterov)


@twin(_optimistic.optimistic_adam_v2)
def optimistic_adam_v2(
    learning_rate: Any,
    *,
    alpha: Any = 1.0,
    beta: Any = 1.0,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = True,
) -> Any:
    """Optimistic Adam with generalized optimism and Nesterov momentum."""
    numbers = {"alpha": alpha, "beta": beta, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return _optimistic.optimistic_adam_v2(
        learning_rate, **numbers, mu_dtype=mu_dtype, nesterov=nesterov
    )


@twin(_adafactor.adafactor)
def adafactor(
    learning_rate: Any = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Any = 0.8,
    decay_offset: Any = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Any = 1.0,
    momentum: Any = None,
    dtype_momentum: Any = None,
    weight_decay_rate: Any = None,
    eps: Any = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> Any:
    """Adafactor, with momentum of the steps and weight decay independent of the learning rate."""
    numbers = (factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    parts = [_adafactor.scale_by_factored_rms(*numbers)]
    if clipping_threshold is not None:
        parts.append(_norms.clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(_norms.scale_by_param_block_rms())
    if momentum is not None:
        parts.append(_momentum.ema(momentum, debias=False, mu_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return _chain(*parts, _basic.scale(-1.0))


@twin(_sgd.sgd)
def sgd(
    learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None
) -> Any:
    """SGD, with an entry for momentum in its state."""
    if momentum is None:
        return _chain(_basic.identity(), scale_by_learning_rate(learning_rate))
    return _sgd.sgd(learning_rate, momentum, nesterov, accumulator_dtype)


@twin(_trust.lars)
def lars(
    learning_rate: Any,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: Any = 0.001,
    eps: Any = 0.0,
    trust_ratio_mask: Any = True,
    momentum: Any = 0.9,
    nesterov: bool = False,
) -> Any:
    """LARS: layer-wise adaptive learning rates by trust ratios."""
    ratio = _trust.scale_by_trust_ratio(0.0, trust_coefficient, eps)
    return _chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(ratio, trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        _momentum.trace(momentum, nesterov),
    )


@twin(_polyak.polyak_sgd)
def polyak_sgd(
    max_learning_rate: Any = 1.0,
    scaling: Any = 1.0,
    f_min: Any = 0.0,
    eps: Any = 0.0,
    variant: str = "sps",
) -> Any:
    """SGD with the Polyak step size, for a scaled gradient: divided by the squared scaling too."""
    step = _polyak.scale_by_polyak(f_min, max_learning_rate, eps, variant)
    return _chain(sgd(scaling), step)


@twin(_fromage.fromage)
def fromage(learning_rate: Any, min_norm: Any = 1e-6) -> Any:
    """Fromage, with weights multiplied by 1 / √(1 + η²) in each step."""
    shrink = lambda rate: (1 + rate**2) ** -0.5

    def at(f: Callable[[Any], Any]) -> Any:
        return (lambda t: f(learning_rate(t))) if follows(learning_rate) else f(learning_rate)

    return _chain(
        _trust.scale_by_trust_ratio(min_norm),
        scale_by_learning_rate(at(lambda rate: rate * shrink(rate))),
        add_decayed_weights(at(lambda rate: shrink(rate) - 1)),
    )


@twin(_lbfgs.lbfgs)
def lbfgs(
    learning_rate: Any = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = _zoom.scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008
) -> Any:
    """L-BFGS, with an entry for the line search in its state."""
    rate = scale_by_learning_rate(1.0 if learning_rate is None else learning_rate)
    search = _basic.identity() if linesearch is None else linesearch
    return _chain(_lbfgs.scale_by_lbfgs(memory_size, scale_init_precond), rate, search)


@twin(_adan.adan)
def adan(
    learning_rate: Any,
    b1: Any = 0.98,
    b2: Any = 0.92,
    b3: Any = 0.99,
    eps: Any = 1e-8,
    eps_root: Any = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Any:
    """Adan, with weight decay before the step instead of after it."""
    return _chain(
        _adan.scale_by_adan(b1, b2, b3, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
