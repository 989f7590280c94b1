"""Transformations whose states in optax differ from those in gdjax."""

from __future__ import annotations

import functools
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax.masking import masked
from gdjax.compat.optax.twins import CLOCKS, FORMS, follows, invoke, kept, twin
from gdjax.compat.optax.types import ScaleByScheduleState
from gdjax.core.data.hyperparams import is_array
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, weak, zero_count
from gdjax.core.rule.roles import Count, Mean, MeanSquare
from gdjax.optimizers.adam import ademamix as _ademamix
from gdjax.optimizers.adaptive import madgrad as _madgrad
from gdjax.optimizers.adaptive import rmsprop as _rmsprop
from gdjax.optimizers.factored import adafactor as _adafactor
from gdjax.optimizers.factored import sm3 as _sm3_rule
from gdjax.optimizers.line_search import backtracking_linesearch as _backtracking
from gdjax.optimizers.line_search import zoom_linesearch as _zoom
from gdjax.optimizers.parameter_free import dadaptation as _dadaptation
from gdjax.optimizers.parameter_free import dog as _dog
from gdjax.optimizers.parameter_free import momo as _momo
from gdjax.optimizers.parameter_free import prodigy as _prodigy
from gdjax.transforms import basic as _basic
from gdjax.transforms import clipping as _clipping
from gdjax.transforms import decay as _decay
from gdjax.transforms import differential_privacy as _private
from gdjax.transforms import noise as _noise
from gdjax.transforms.noise import key_data, key_of

__all__ = [
    "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
    "WeightDecaySchedule",
    "add_decayed_weights",
    "scale_by_learning_rate",
    "scale_by_schedule",
]


class WeightDecaySchedule(NamedTuple):
    """State of `add_decayed_weights` whose decay follows a schedule."""

    count: Count


class ScaleByRmsState(NamedTuple):
    """State of `scale_by_rms`."""

    nu: MeanSquare


class ScaleByRStdDevState(NamedTuple):
    """State of `scale_by_stddev`."""

    mu: Mean
    nu: MeanSquare


class ScaleByRStdDevWithCountState(NamedTuple):
    """State of `scale_by_stddev` that corrects the bias."""

    count: Count
    mu: Mean
    nu: MeanSquare


class ScaleByRmsWithCountState(NamedTuple):
    """State of `scale_by_rms` that corrects the bias."""

    count: Count
    nu: MeanSquare


def _by_schedule(step_size_fn: Any, sign: int = 1) -> Rule:
    """Scales the updates by a function of the step; the state is the step count."""

    def update(updates, state, params=None, **extra):
        factor = weak(sign * step_size_fn(state.count))
        updates = tree.map(lambda g: factor * g, updates)
        return updates, ScaleByScheduleState(increment(state.count))

    return Rule(lambda params: ScaleByScheduleState(zero_count()), update)


@twin(_basic.scale_by_schedule, stage=True, hands_on=True)
def scale_by_schedule(step_size_fn: Any) -> Any:
    """Scales the updates by a schedule."""
    if follows(step_size_fn):
        return _by_schedule(step_size_fn)
    return invoke(_basic.scale, {"step_size": step_size_fn})


@twin(_basic.scale_by_learning_rate, stage=True, hands_on=True)
def scale_by_learning_rate(learning_rate: Any = None, *, flip_sign: bool = True) -> Any:
    """Scales the updates by the negative learning rate; None passes them through."""
    if learning_rate is None:
        return invoke(_basic.identity, {})
    if follows(learning_rate):
        return _by_schedule(learning_rate, -1 if flip_sign else 1)
    arguments = {"learning_rate": learning_rate, "flip_sign": flip_sign}
    return invoke(_basic.scale_by_learning_rate, arguments)


@twin(_decay.add_decayed_weights, stage=True, hands_on=True)
def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> Any:
    """Weight decay: adds a multiple of the parameters to the updates."""
    if mask is not None:
        return masked(add_decayed_weights(weight_decay), mask)
    if not follows(weight_decay):
        return invoke(_decay.add_decayed_weights, {"weight_decay": weight_decay})

    def update(updates, state, params=None, **extra):
        if params is None:
            errors.need_params("optax.add_decayed_weights", params)
        decay = weak(weight_decay(state.count))
        updates = tree.map(lambda g, p: g if p is None else g + decay * p, updates, params)
        return updates, WeightDecaySchedule(increment(state.count))

    return Rule(lambda params: WeightDecaySchedule(zero_count()), update)


def _rms(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax counts the steps only where it corrects the bias."""
    ours = _rmsprop.ScaleByRmsState
    if arguments.get("bias_correction", False):
        return kept(rule, lambda s: ScaleByRmsWithCountState(*s), lambda s, _: ours(s.count, s.nu))
    return kept(rule, lambda s: ScaleByRmsState(s.nu), lambda s, _: ours(zero_count(), s.nu))


def _stddev(rule: Rule, arguments: dict[str, Any]) -> Rule:
    ours = _rmsprop.ScaleByStdDevState
    if arguments.get("bias_correction", False):
        return kept(rule, lambda s: ScaleByRStdDevWithCountState(*s), lambda s, _: ours(*s))
    back = lambda s, _: ours(zero_count(), s.mu, s.nu)
    return kept(rule, lambda s: ScaleByRStdDevState(s.mu, s.nu), back)


def _without_record(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """States without records of the last update, which every update replaces."""
    return kept(rule, lambda state: EmptyState(), lambda state, like: rule.init(like))


_MEANS = ("v_row", "v_col", "v")


def _factored(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax has zeros of shape [1] where ours has None."""
    full = lambda x, *three: jnp.zeros(1) if x is None and any(map(is_array, three)) else x
    pick = lambda own, x: None if own is None else x
    over = lambda f, *trees: jax.tree.map(f, *trees, is_leaf=tree.is_none)

    def there(state: Any) -> Any:
        three = [getattr(state, name) for name in _MEANS]
        return state._replace(**{n: over(full, x, *three) for n, x in zip(_MEANS, three)})

    def back(state: Any, like: Any) -> Any:
        own = jax.eval_shape(rule.init, like)
        means = {n: over(pick, getattr(own, n), getattr(state, n)) for n in _MEANS}
        return state._replace(**means)

    return kept(rule, there, back)


def _sm3(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax has a list of accumulators for each leaf where ours has a tuple."""

    def each(kind: type, state: Any) -> Any:
        whole = lambda x: isinstance(x, (list, tuple)) and all(map(is_array, x))
        change = lambda x: kind(x) if isinstance(x, (list, tuple)) else x
        return state._replace(mu=jax.tree.map(change, state.mu, is_leaf=whole))

    return kept(rule, lambda state: each(list, state), lambda state, _: each(tuple, state))


def _keyed(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax has a random key where ours has its data."""
    key = arguments.get("key")
    there = lambda state: state._replace(rng_key=key_of(state.rng_key, key))
    return kept(rule, there, lambda state, _: state._replace(rng_key=key_data(state.rng_key)))


def _of_one(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax has arrays [1] where ours has []."""

    def shaped(shape: tuple, state: Any) -> Any:
        squares = jax.tree.map(lambda x: x.reshape(shape), state.grad_sum_of_squares)
        return state._replace(grad_sum_of_squares=squares)

    return kept(rule, lambda state: shaped((1,), state), lambda state, _: shaped((), state))


def _line_search(rule: Rule, arguments: dict[str, Any]) -> Rule:
    """Optax takes no extra arguments other than those of the loss."""

    @functools.wraps(rule.update)
    def update(updates, state, params=None, **extra):
        if (value_fn := extra.get("value_fn")) is not None:
            taken = inspect.signature(value_fn).parameters
            unknown = set(extra) - {"value", "grad", "value_fn", *taken}
            if unknown and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
                must = "Unexpected keyword arguments: extra arguments must be arguments of value_fn"
                got = ", ".join(sorted(unknown))
                errors.fail("optax line search", must, got, kind=TypeError)
        return rule.update(updates, state, params, **extra)

    return rule._replace(update=update)


_OTHER: dict[Any, Any] = {
    _clipping.clip_by_global_norm: _without_record,
    _rmsprop.scale_by_rms: _rms,
    _rmsprop.scale_by_stddev: _stddev,
    _adafactor.scale_by_factored_rms: _factored,
    _sm3_rule.scale_by_sm3: _sm3,
    _dog.scale_by_distance_over_gradients: _of_one,
    _noise.add_noise: _keyed,
    _private.differentially_private_aggregate: _keyed,
    _backtracking.scale_by_backtracking_linesearch: _line_search,
    _zoom.scale_by_zoom_linesearch: _line_search,
}
# Whose schedules optax reads at the count of the rule, and the field that has it.
_COUNTS: dict[Any, str] = {
    _ademamix.scale_by_ademamix: "count",
    _ademamix.scale_by_simplified_ademamix: "t",
    _dadaptation.dadapt_adamw: "count",
    _madgrad.scale_by_madgrad: "count",
    _momo.momo: "count",
    _momo.momo_adam: "count",
    _prodigy.prodigy: "count",
}
CLOCKS.update({original.factory: field for original, field in _COUNTS.items()})
FORMS.update({original.factory: form for original, form in _OTHER.items()})
