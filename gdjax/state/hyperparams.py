"""Hyperparameters by name: read the current values, set the live ones."""

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
from gdjax.core.rule.boxes import boxed_as, unboxed
from gdjax.core.rule.tree import joined

__all__ = ["hyperparams", "set_hyperparams"]


def hyperparams(tx: Any, state: Any) -> dict[str, jax.Array]:
    """Current hyperparameters by name: numbers, schedules and live values, at any nesting.

    The value of a schedule is that of the last update, or of the first update before any. Works
    under `jit`.

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
    found = {
        (*visit.path, name): jnp.asarray(x)
        for visit in walk(tx, unboxed(state))
        if visit.given
        for name, x in _numbers(visit).items()
    }
    return dict(zip(joined(list(found)), found.values()))


def _numbers(visit: Visit) -> dict[str, Any]:
    """The current hyperparameters of a transformation."""
    if not isinstance(visit.tx, GradientTransformation):  # another library's may have its own
        return dict(getattr(visit.state, "hyperparams", {}))
    given = {name: visit.tx.arguments[name] for name in visit.tx.numbers}
    last = visit.moving.hyperparams if visit.moving is not None else {}
    return {**{k: v for k, v in given.items() if v is not None}, **last}


def set_hyperparams(tx: Any, state: Any, values: Mapping[str, Any] | None = None, **named: Any):
    """Sets `live` hyperparameters, between steps or under `jit`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(opt=gd.sgd(gd.live(0.1)))
    >>> state = tx.init(jnp.zeros(2))
    >>> state = gd.state.set_hyperparams(tx, state, {"opt/learning_rate": 0.05})
    >>> tx.update(jnp.ones(2), state)[0]
    Array([-0.05, -0.05], dtype=float32)

    Args:
        tx: The transformation that made the state.
        state: Its state, which is not changed.
        values: New values, by the names of `hyperparams`.
        **named: The same, for names without a slash. A unique ending of a name is enough:
            `learning_rate` for `opt/learning_rate`.

    Returns:
        The new state, of the same structure, shapes and dtypes.

    Raises:
        KeyError: A name is unknown, or is not live.
        ValueError: A value is outside of its range, or has another shape.
    """
    hint = "Write set_hyperparams(tx, state, values)."
    check_transformation("set_hyperparams", "tx", tx, hint)
    wanted = {**(values or {}), **named}
    plain = unboxed(state)
    found = [
        (visit, name)
        for visit in walk(tx, plain)
        if visit.moving is not None and visit.given
        for name in visit.moving.hyperparams
        if isinstance(visit.tx.arguments[name], Live)
    ]
    live = dict(zip(joined([(*visit.path, name) for visit, name in found]), found))
    fixed = set(hyperparams(tx, state)) - set(live)
    changed: dict[int, InjectHyperparamsState] = {}
    for given, value in wanted.items():
        visit, name = live[_whole(given, live, fixed)]
        moving = changed.get(id(visit.moving), visit.moving)
        new = {name: _set(visit.tx, name, moving.hyperparams[name], value)}
        changed[id(visit.moving)] = moving._replace(hyperparams={**moving.hyperparams, **new})
    return boxed_as(state, _rebuild(plain, changed))


def _whole(name: str, live: Mapping[str, Any], fixed: set[str]) -> str:
    """The full name of a live hyperparameter, from the name or a unique ending of it."""
    ends = [name] if name in live else [one for one in live if one.endswith(f"/{name}")]
    if name in fixed:  # the name of another, of which this is an ending by chance
        ends = []
    if len(ends) == 1:
        return ends[0]
    hint = f"Write one of {', '.join(ends)}." if ends else errors.nearest(name, live)
    hint = hint or "Write live(value) where the factory is called."
    must = "a name must be that of a live hyperparameter"
    raise KeyError(f"set_hyperparams: {must}, got {name!r}. {hint}")


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
