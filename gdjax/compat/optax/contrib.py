"""The namespace `optax.contrib`."""

from __future__ import annotations

import functools
from typing import Any

from gdjax.compat.optax.galore import *  # noqa: F403
from gdjax.compat.optax.muon import *  # noqa: F403
from gdjax.compat.optax.names import NAMES, namespace
from gdjax.compat.optax.overrides import key_or_seed as _key_or_seed
from gdjax.compat.optax.schedule_free import *  # noqa: F403
from gdjax.compat.optax.stages import add_decayed_weights as _add_decayed_weights
from gdjax.compat.optax.stages import scale_by_learning_rate as _scale_by_learning_rate
from gdjax.compat.optax.twins import invoke as _invoke
from gdjax.compat.optax.twins import twin as _twin
from gdjax.compat.optax.types import MaskedNode, NormalizeState  # noqa: F401
from gdjax.core.engine.chain import chain as _chain
from gdjax.optimizers.adam import ademamix as _ademamix
from gdjax.optimizers.adam import sophia as _sophia
from gdjax.optimizers.parameter_free import cocob as _cocob
from gdjax.optimizers.sgd import dpsgd as _dpsgd
from gdjax.transforms import basic as _basic
from gdjax.transforms import curvature as _hessian
from gdjax.transforms import differential_privacy as _private
from gdjax.transforms import momentum as _momentum
from gdjax.transforms import plateau as _plateau

__all__ = NAMES["contrib"]

__getattr__, __dir__ = namespace("contrib", ("gdjax",))

_override = functools.partial(_twin, module="gdjax.compat.optax.contrib")


@_override(_ademamix.scale_by_ademamix, hands_on=True)
def scale_by_ademamix(
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 6.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
) -> Any:
    """AdEMAMix scaling, with another default weight of the slow average than `ademamix`."""
    return _invoke(_ademamix.scale_by_ademamix, locals())


@_override(_private.differentially_private_aggregate)
def differentially_private_aggregate(
    l2_norm_clip: Any, noise_multiplier: Any, key: Any = None, *, seed: int | None = None
) -> Any:
    """Differential privacy (DP-SGD): mean of clipped per-example gradients plus Gaussian noise."""
    key = _key_or_seed("optax.contrib.differentially_private_aggregate", key, seed)
    arguments = {"max_norm": l2_norm_clip, "noise_multiplier": noise_multiplier, "key": key}
    return _invoke(_private.differentially_private_aggregate, arguments)


@_override(_hessian.hutchinson_estimator_diag_hessian)
def hutchinson_estimator_diag_hessian(random_seed: Any = None) -> Any:
    """Hutchinson's estimator of the Hessian diagonal; without a seed, that of seed 0."""
    key = 0 if random_seed is None else random_seed
    return _invoke(_hessian.hutchinson_estimator_diag_hessian, {"key": key})


@_override(_plateau.reduce_on_plateau)
def reduce_on_plateau(
    factor: Any = 0.1,
    patience: Any = 10,
    rtol: Any = 1e-4,
    atol: Any = 0.0,
    cooldown: Any = 0,
    accumulation_size: Any = 1,
    min_scale: Any = 0.0,
) -> Any:
    """Reduces the scale after `patience` metrics without improvement (one more in gdjax, torch)."""
    arguments = {**locals(), "patience": patience - 1 if patience > 0 else 0}
    return _invoke(_plateau.reduce_on_plateau, arguments)


@_override(_sophia.sophia)
def sophia(
    learning_rate: Any,
    b1: Any = 0.965,
    b2: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    weight_decay_mask: Any = None,
    gamma: Any = 0.01,
    clip_threshold: Any = 1.0,
    update_interval: Any = 10,
    hessian_diagonal_fn: Any = None,
    mu_dtype: Any = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: Any = 0,
) -> Any:
    """Sophia, without printing."""
    numbers = (learning_rate, b1, b2, eps, weight_decay, weight_decay_mask, gamma)
    return _sophia.sophia(*numbers, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype)


@_override(_cocob.cocob)
def cocob(
    learning_rate: Any = 1.0,
    alpha: Any = 100.0,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Any:
    """COCOB, with the learning rate after the decay and before the rule."""
    return _chain(
        _add_decayed_weights(weight_decay, mask),
        _scale_by_learning_rate(learning_rate, flip_sign=False),
        _cocob.scale_by_cocob(alpha, eps),
    )


@_override(_dpsgd.dpsgd)
def dpsgd(
    learning_rate: Any,
    l2_norm_clip: Any,
    noise_multiplier: Any,
    seed: Any,
    momentum: Any = None,
    nesterov: bool = False,
) -> Any:
    """Differentially private SGD, with an entry for momentum in its state."""
    return _chain(
        _private.differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed),
        _basic.identity() if momentum is None else _momentum.trace(momentum, nesterov),
        _scale_by_learning_rate(learning_rate),
    )
