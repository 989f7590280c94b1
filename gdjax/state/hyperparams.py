"""Hyperparameters by name: those in use, and those that may be set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.schedule import Live
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.engine.walk import Visit, walk
from gdjax.core.rule import errors

__all__ = ["hyperparams", "set_hyperparams"]


def hyperparams(tx: Any, state: Any) -> dict[str, jax.Array]:
    """Every hyperparameter in use, by name, through any nesting: numbers, schedules, live values.

    For those that follow a schedule, the value is the one that the last update used, or the first
    will. Works under `jit`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(clip=gd.clip(1.0), opt=gd.sgd(gd.linear_to_zero(0.5, 10)))
    >>> {k: float(v) for k, v in gd.state.hyperparams(tx, tx.init(jnp.zeros(2))).items()}
    {'clip/max_delta': 1.0, 'opt/learning_rate': 0.5}

    Args:
        tx: The transformation that made the state.
        state: Its state.

    Returns:
        A flat dict: `learning_rate`, or `opt/learning_rate` inside a chain, of scalars.
    """
    check_transformation("hyperparams", "tx", tx, "Write hyperparams(tx, state).")
    values: dict[str, jax.Array] = {}
    for visit in walk(tx, state):
        if visit.given:
            values.update({_path(visit, k): jnp.asarray(x) for k, x in _numbers(visit).items()})
    return values


def _numbers(visit: Visit) -> dict[str, Any]:
    """The hyperparameters of a transformation, as they are in use."""
    if not isinstance(visit.tx, GradientTransformation):  # another library's may tell its own
        return dict(getattr(visit.state, "hyperparams", {}))
    given = {name: visit.tx.arguments[name] for name in visit.tx.numbers}
    last = visit.moving.hyperparams if visit.moving is not None else {}
    return {**{k: v for k, v in given.items() if v is not None}, **last}


def _path(visit: Visit, name: str) -> str:
    return "/".join((*visit.path, name))


def set_hyperparams(tx: Any, state: Any, values: Mapping[str, Any] | None = None, **named: Any):
    """Sets hyperparameters that were given as `live`, between steps or inside of one.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(opt=gd.sgd(gd.live(0.1)))
    >>> state = tx.init(jnp.zeros(2))
    >>> state = gd.state.set_hyperparams(tx, state, {"opt/learning_rate": 0.05})
    >>> tx.update(jnp.ones(2), state)[0]
    Array([-0.05, -0.05], dtype=float32)

    Args:
        tx: The transformation that made the state.
        state: Its state, which is not changed.
        values: New values by the names that `hyperparams` gives.
        **named: The same, for names without a slash.

    Returns:
        The new state, of the same structure, shapes and dtypes.

    Raises:
        KeyError: A name is unknown, or is not live.
        ValueError: A value is outside of its range, or has another shape.
    """
    hint = "Write set_hyperparams(tx, state, values)."
    check_transformation("set_hyperparams", "tx", tx, hint)
    wanted = {**(values or {}), **named}
    changed: dict[int, InjectHyperparamsState] = {}
    live: list[str] = []
    for visit in walk(tx, state):
        if visit.moving is None or not visit.given:
            continue
        last, given = visit.moving.hyperparams, visit.tx.arguments
        own = {n: _path(visit, n) for n in last if isinstance(given[n], Live)}
        live += own.values()
        new = {n: _set(visit.tx, n, last[n], wanted[at]) for n, at in own.items() if at in wanted}
        if new:
            changed[id(visit.moving)] = visit.moving._replace(hyperparams={**last, **new})
    if unknown := [name for name in wanted if name not in live]:
        hint = errors.nearest(unknown[0], live) or "Write live(value) where the factory is called."
        raise KeyError(
            f"set_hyperparams: names must be those of live ones, got {unknown[0]}. {hint}"
        )
    return _rebuild(state, changed)


def _set(tx: GradientTransformation, name: str, old: jax.Array, value: Any) -> jax.Array:
    if jnp.shape(value) != jnp.shape(old):
        must = f"{tx.name}: {name} must keep its shape {jnp.shape(old)}"
        errors.fail("set_hyperparams", must, f"shape {jnp.shape(value)}")
    tx.factory.check({name: value})
    return jnp.asarray(value).astype(old.dtype)


def _rebuild(state: Any, changed: dict[int, InjectHyperparamsState]) -> Any:
    def is_node(node: Any) -> bool:
        return isinstance(node, InjectHyperparamsState)

    def one(node: Any) -> Any:
        if not is_node(node):
            return node
        new = changed.get(id(node), node)
        return new._replace(inner_state=_rebuild(node.inner_state, changed))

    return jax.tree.map(one, state, is_leaf=is_node)
