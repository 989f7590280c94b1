"""The namespace `optax.contrib`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax import rates as _rates
from gdjax.compat.optax.galore import *  # noqa: F403
from gdjax.compat.optax.masking import partition as _partition
from gdjax.compat.optax.names import NAMES, namespace
from gdjax.compat.optax.overrides import key_or_seed as _key_or_seed
from gdjax.compat.optax.stages import add_decayed_weights as _add_decayed_weights
from gdjax.compat.optax.stages import follows as _follows
from gdjax.compat.optax.stages import scale_by_learning_rate as _scale_by_learning_rate
from gdjax.compat.optax.twins import invoke as _invoke
from gdjax.compat.optax.twins import kept as _kept
from gdjax.compat.optax.twins import twin as _twin
from gdjax.compat.optax.types import MaskedNode, NormalizeState  # noqa: F401
from gdjax.core.engine.chain import chain as _chain
from gdjax.core.matrix.matrices import axes_of as _axes_of
from gdjax.core.matrix.polar_coefficients import STANDARD as _STANDARD
from gdjax.core.rule import tree as _tree
from gdjax.core.rule.numerics import debias as _debias
from gdjax.core.rule.numerics import ema as _ema
from gdjax.core.rule.numerics import increment as _increment
from gdjax.core.rule.numerics import weak as _weak
from gdjax.core.rule.numerics import zero_count as _zero_count
from gdjax.core.rule.roles import Count, Mean, Scalars
from gdjax.optimizers.adam import adam as _adam
from gdjax.optimizers.adam import ademamix as _ademamix
from gdjax.optimizers.adam import sophia as _sophia
from gdjax.optimizers.matrix import muon as _rules
from gdjax.optimizers.parameter_free import cocob as _cocob
from gdjax.optimizers.schedule_free import schedule_free as _free
from gdjax.optimizers.sgd import dpsgd as _dpsgd
from gdjax.transforms import basic as _basic
from gdjax.transforms import differential_privacy as _private
from gdjax.transforms import momentum as _momentum
from gdjax.transforms import plateau as _plateau
from gdjax.wrappers.averaging import schedule_free as _averaged

__all__ = NAMES["contrib"]

__getattr__, __dir__ = namespace("contrib", ("gdjax",))

_override = functools.partial(_twin, module="gdjax.compat.optax.contrib")


class MuonDimensionNumbers(NamedTuple):
    """Which axes of an array are the two sides of a matrix; the other axes number matrices."""

    reduction_axis: int | Sequence[int] = 0  # summed over with the inputs
    output_axis: int | Sequence[int] = 1


class MuonState(NamedTuple):
    """State of `scale_by_muon`."""

    count: Count
    mu: Mean
    ns_coeffs: Scalars  # as they were given


@_override(_ademamix.scale_by_ademamix)
def scale_by_ademamix(
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 6.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
) -> Any:
    """AdEMAMix's rule with a greater weight of the slow average than the optimizer's."""
    return _ademamix.scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)


@_override(_private.differentially_private_aggregate)
def differentially_private_aggregate(
    l2_norm_clip: Any, noise_multiplier: Any, key: Any = None, *, seed: int | None = None
) -> Any:
    """Averages the clipped gradients of single examples, with noise."""
    key = _key_or_seed("optax.contrib.differentially_private_aggregate", key, seed)
    arguments = {"max_norm": l2_norm_clip, "noise_multiplier": noise_multiplier, "key": key}
    return _invoke(_private.differentially_private_aggregate, arguments)


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
    """Lowers the scale after `patience` metrics no better; gdjax and torch wait for one more."""
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
    """Sophia; nothing is printed."""
    numbers = (learning_rate, b1, b2, eps, weight_decay, weight_decay_mask, gamma)
    return _sophia.sophia(*numbers, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype)


def _labels(numbers: Any, params: Any) -> Any:
    _, found, treedef = _axes_of(params, _of_leaves(numbers), "optax.contrib.muon")
    return treedef.unflatten(["adam" if a is None else "muon" for a in found])


def _of_leaves(numbers: Any) -> Any:
    """Dimension numbers of leaves, where those of a part of the tree were given for all in it."""
    if numbers is None:
        return None
    says = lambda x: x is None or hasattr(x, "reduction_axis")
    hidden = lambda x: x is None or isinstance(x, MaskedNode)

    def of(params: Any) -> Any:
        said = numbers(params) if callable(numbers) else numbers
        each = lambda axes, part: jax.tree.map(
            lambda x: x if hidden(x) else axes, part, is_leaf=hidden
        )
        return jax.tree.map(each, said, params, is_leaf=says)

    return of


@_override(_rules.scale_by_muon)
def scale_by_muon(
    ns_coeffs: Any = _STANDARD,
    ns_steps: Any = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
) -> Any:
    """Muon's rule; each of the two terms of Nesterov's mean is corrected for its own bias."""
    how = {"eps": eps, "adaptive": adaptive, "preconditioning": preconditioning}
    how |= {"steps": ns_steps, "backend": ns_coeffs, "b1": 0.0, "nesterov": False}
    axes = _of_leaves(weight_dimension_numbers)
    orthogonal = _invoke(_rules.scale_by_muon, {**how, "matrix_axes": axes})[1]
    kept = () if isinstance(ns_coeffs, str) else jnp.asarray(ns_coeffs, jnp.float32)

    def init(params):
        return MuonState(_zero_count(), _tree.moment_like(params, mu_dtype), jnp.array(kept))

    def update(updates, state, params=None, **extra):
        t = _increment(state.count)
        now, next_ = _debias(beta, t), _debias(beta, _increment(t))

        def leaf(g, m):
            m = _ema(m, g, beta)
            return (beta * m / next_ + (1 - beta) * g / now if nesterov else m / now), m

        means, mu = _tree.evolve(leaf, (updates, state.mu))
        updates, _ = orthogonal(means, _rules.MuonState(state.count, means), params)
        return updates, MuonState(t, mu, state.ns_coeffs)

    return init, update


@_override(_rules.muon)
def muon(
    learning_rate: Any,
    ns_coeffs: Any = _STANDARD,
    ns_steps: Any = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Any = 0.9,
    adam_b2: Any = 0.999,
    adam_eps_root: Any = 0.0,
    adam_weight_decay: Any = 0.0,
    adam_learning_rate: Any = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: Any = None,
) -> Any:
    """Muon, whose AdamW for the other leaves has Nesterov's momentum too."""
    numbers = muon_weight_dimension_numbers
    rule = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        weight_dimension_numbers=numbers,
    )
    matrices = _chain(
        rule,
        _rules.scale_by_shape(_of_leaves(numbers), consistent_rms),
        _add_decayed_weights(weight_decay, weight_decay_mask),
        _scale_by_learning_rate(learning_rate),
    )
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    moments = (adam_b1, adam_b2, eps, adam_eps_root, mu_dtype)
    others = _chain(
        _adam.scale_by_adam(*moments, nesterov=nesterov),
        _add_decayed_weights(adam_weight_decay, weight_decay_mask),
        _scale_by_learning_rate(rate),
    )
    labels = functools.partial(_labels, numbers)
    return _partition({"muon": matrices, "adam": others}, labels)


@_override(_cocob.cocob)
def cocob(
    learning_rate: Any = 1.0,
    alpha: Any = 100.0,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Any:
    """COCOB, with its rate before the rule and after the decay."""
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
    """Differentially private descent, with a place in its state for the momentum."""
    return _chain(
        _private.differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed),
        _basic.identity() if momentum is None else _momentum.trace(momentum, nesterov),
        _scale_by_learning_rate(learning_rate),
    )


@_override(_averaged.schedule_free, stage=True, hands_on=True)
def schedule_free(
    base_optimizer: Any,
    learning_rate: Any,
    b1: Any = 0.9,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """The wrapper, whose weights are those of the rate one step ahead of the optimizer's."""
    numbers = {"b1": b1, "weight_lr_power": weight_lr_power, "state_dtype": state_dtype}

    def made(rate: Any) -> Any:
        given = {"inner": base_optimizer, "learning_rate": rate, **numbers}
        ahead = lambda state, by: state._replace(step_count=state.step_count + by)
        rule = _invoke(_averaged.schedule_free, given)  # optax's counts from 1
        return _kept(rule, lambda state: ahead(state, 1), lambda state, _: ahead(state, -1))

    if not _follows(learning_rate):
        return made(learning_rate)
    rule = made(1.0)

    @functools.wraps(rule.update)
    def update(updates, state, params=None, **extra):
        now = made(_weak(learning_rate(state.step_count)))
        return now.update(updates, state, params, **extra)

    return rule._replace(update=update)


def _risen(learning_rate: Any, warmup_steps: Any) -> Any:
    """The rate, which begins at 0; gdjax's own begins at a part of it."""
    if not warmup_steps:
        return learning_rate
    return _rates.warmup_constant_schedule(0.0, learning_rate, warmup_steps)


@_override(_free.schedule_free_sgd)
def schedule_free_sgd(
    learning_rate: Any = 1.0,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    weight_decay: Any = None,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """Schedule-free descent."""
    numbers = (None, b1, weight_decay, weight_lr_power, state_dtype)
    return _free.schedule_free_sgd(_risen(learning_rate, warmup_steps), *numbers)


@_override(_free.schedule_free_adamw)
def schedule_free_adamw(
    learning_rate: Any = 0.0025,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """Schedule-free AdamW."""
    numbers = (None, b1, b2, eps, weight_decay, weight_lr_power, state_dtype)
    return _free.schedule_free_adamw(_risen(learning_rate, warmup_steps), *numbers)
