"""Transformations whose states are others in optax than in gdjax."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax.masking import masked
from gdjax.compat.optax.twins import FORMS, Form, twin
from gdjax.compat.optax.types import ScaleByScheduleState
from gdjax.core.data.hyperparams import is_array
from gdjax.core.data.schedule import Live
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, weak, zero_count
from gdjax.core.rule.roles import Count, Mean, MeanSquare
from gdjax.optimizers.adaptive import rmsprop as _rmsprop
from gdjax.optimizers.factored import adafactor as _factored
from gdjax.optimizers.factored import sm3 as _sm3
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
    """Multiplies by a function of the step, of which the state is the number alone."""

    def update(updates, state, params=None, **extra):
        factor = weak(sign * step_size_fn(state.count))
        updates = tree.map(lambda g: factor * g, updates)
        return updates, ScaleByScheduleState(increment(state.count))

    return Rule(lambda params: ScaleByScheduleState(zero_count()), update)


def _follows(value: Any) -> bool:
    return callable(value) and not isinstance(value, Live)


@twin(_basic.scale_by_schedule, stage=True, hands_on=True)
def scale_by_schedule(step_size_fn: Any) -> Any:
    """Multiplies by a function of the step."""
    if _follows(step_size_fn):
        return _by_schedule(step_size_fn)
    return _basic.scale.factory.invoke({"step_size": step_size_fn})


@twin(_basic.scale_by_learning_rate, stage=True, hands_on=True)
def scale_by_learning_rate(learning_rate: Any = None, *, flip_sign: bool = True) -> Any:
    """Multiplies by minus the rate; None passes the updates."""
    if learning_rate is None:
        return _basic.identity.factory.invoke({})
    if _follows(learning_rate):
        return _by_schedule(learning_rate, -1 if flip_sign else 1)
    arguments = {"learning_rate": learning_rate, "flip_sign": flip_sign}
    return _basic.scale_by_learning_rate.factory.invoke(arguments)


@twin(_decay.add_decayed_weights, stage=True, hands_on=True)
def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> Any:
    """Adds a multiple of the parameters to the updates."""
    if mask is not None:
        return masked(add_decayed_weights(weight_decay), mask)
    if not _follows(weight_decay):
        return _decay.add_decayed_weights.factory.invoke({"weight_decay": weight_decay})

    def update(updates, state, params=None, **extra):
        if params is None:
            errors.need_params("optax.add_decayed_weights", params)
        decay = weak(weight_decay(state.count))
        updates = tree.map(lambda g, p: g if p is None else g + decay * p, updates, params)
        return updates, WeightDecaySchedule(increment(state.count))

    return Rule(lambda params: WeightDecaySchedule(zero_count()), update)


def _rms_form(arguments: dict[str, Any]) -> Form:
    """optax counts the steps only where it corrects the bias."""
    if arguments.get("bias_correction", False):
        kind, ours = ScaleByRmsWithCountState, _rmsprop.ScaleByRmsState
        return Form(lambda state: kind(*state), lambda state, like: ours(*state))
    ours = _rmsprop.ScaleByRmsState
    return Form(
        lambda state: ScaleByRmsState(state.nu), lambda state, like: ours(zero_count(), state.nu)
    )


def _stddev_form(arguments: dict[str, Any]) -> Form:
    if arguments.get("bias_correction", False):
        kind, ours = ScaleByRStdDevWithCountState, _rmsprop.ScaleByStdDevState
        return Form(lambda state: kind(*state), lambda state, like: ours(*state))
    ours = _rmsprop.ScaleByStdDevState
    return Form(
        lambda state: ScaleByRStdDevState(state.mu, state.nu),
        lambda state, like: ours(zero_count(), state.mu, state.nu),
    )


def _without_record(arguments: dict[str, Any]) -> Form:
    """What tells of the last update, and is made anew in each."""
    zero = jnp.zeros([])
    return Form(lambda state: EmptyState(), lambda state, like: _clipping.ClipByGlobalNormState(zero, zero))


def _factored_form(arguments: dict[str, Any]) -> Form:
    """optax has zeros of shape [1] where ours has None."""
    spec, mean = arguments.get("spec"), _factored.factors_like
    few, factored = arguments.get("min_dim_size_to_factor", 128), arguments.get("factored", True)

    def full(tree_: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(1) if x is None else x, tree_, is_leaf=tree.is_none)

    def back(state: Any, like: Any) -> Any:
        means = mean(like, few, factored, spec)
        pick = lambda own, x: None if own is None else x
        held = (state.v_row, state.v_col, state.v)
        kept = [jax.tree.map(pick, m, x, is_leaf=tree.is_none) for m, x in zip(means, held)]
        return _factored.FactoredState(state.count, *kept)

    return Form(lambda state: state._replace(**{n: full(getattr(state, n)) for n in _MEANS}), back)


_MEANS = ("v_row", "v_col", "v")


def _sm3_form(arguments: dict[str, Any]) -> Form:
    """optax has a list of accumulators for each leaf where ours has a tuple."""

    def each(kind: type, state: Any) -> Any:
        whole = lambda x: isinstance(x, (list, tuple)) and all(map(is_array, x))
        change = lambda x: kind(x) if isinstance(x, (list, tuple)) else x
        return state._replace(mu=jax.tree.map(change, state.mu, is_leaf=whole))

    return Form(lambda state: each(list, state), lambda state, like: each(tuple, state))


def _key_form(arguments: dict[str, Any]) -> Form:
    """optax keeps a random key, and ours what it is made of."""
    key = arguments.get("key")

    def there(state: Any) -> Any:
        return state._replace(rng_key=key_of(state.rng_key, key))

    return Form(there, lambda state, like: state._replace(rng_key=key_data(state.rng_key)))


FORMS.update(
    {
        _clipping.clip_by_global_norm.factory: _without_record,
        _rmsprop.scale_by_rms.factory: _rms_form,
        _rmsprop.scale_by_stddev.factory: _stddev_form,
        _factored.scale_by_factored_rms.factory: _factored_form,
        _sm3.scale_by_sm3.factory: _sm3_form,
        _noise.add_noise.factory: _key_form,
        _private.differentially_private_aggregate.factory: _key_form,
    }
)
