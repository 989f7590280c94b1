"""Looks into states by name: what is in them, and the hyperparameters in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core import errors
from gdjax.core.base import GradientTransformation, InjectHyperparamsState
from gdjax.core.schedule import Live

__all__ = ["eval_params", "find", "find_all", "hyperparams", "set_hyperparams"]


def find(state: Any, name_or_type: str | type) -> Any:
    """Finds the one part of a state that has a name or a type, however deep it lies.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip(1.0), gd.adamw(1e-3))
    >>> gd.state.find(tx.init({"w": jnp.zeros(2)}), "mu")
    {'w': Array([0., 0.], dtype=float32)}

    Args:
        state: The state of any transformation, optax's too.
        name_or_type: A field (`"mu"`), the name of a stage of a named chain, the name of a state's
            type (`"ScaleByAdamState"`), or the type itself.

    Raises:
        KeyError: Nothing has it, or more than one thing does: the message names the paths.
    """
    found = find_all(state, name_or_type)
    wanted = name_or_type if isinstance(name_or_type, str) else name_or_type.__name__
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        must = f"{wanted!r} must be one part of the state (find_all gives all)"
        raise KeyError(f"find: {must}, got {', '.join(found)}.")
    names = {name for path, node in _walk(state) for name in (path[-1:] or ()) + _type_name(node)}
    hint = errors.nearest(wanted, [n for n in names if not n.isdigit()])
    raise KeyError(f"find: {wanted!r} must be a field or a type in the state, got none. {hint}")


def find_all(state: Any, name_or_type: str | type) -> dict[str, Any]:
    """Finds every part of a state that has a name or a type, by path; see `find`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(ema=gd.ema(0.9), opt=gd.adam(1e-3))
    >>> list(gd.state.find_all(tx.init(jnp.zeros(2)), "count"))
    ['ema/count', 'opt/0/count']
    """

    def wanted(path: tuple[str, ...], node: Any) -> bool:
        if isinstance(name_or_type, str):
            return name_or_type in (path[-1:] + _type_name(node))
        return isinstance(node, name_or_type)

    return {"/".join(path): node for path, node in _walk(state) if wanted(path, node)}


def _type_name(node: Any) -> tuple[str, ...]:
    return (type(node).__name__,) if hasattr(node, "_fields") else ()


def _walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every part of a state with its path, from the root down, as far as states reach."""
    yield path, node
    if hasattr(node, "_fields"):
        inner: Any = zip(node._fields, node)
    elif isinstance(node, (tuple, list)):
        inner = ((str(i), part) for i, part in enumerate(node))
    elif isinstance(node, Mapping):
        inner = ((str(name), part) for name, part in node.items())
    else:
        return
    for name, part in inner:
        yield from _walk(part, (*path, name))


def eval_params(tx: Any, state: Any, params: Any) -> Any:
    """The parameters to evaluate a model at: averages where the optimizer keeps them, else params.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sgd(0.1)
    >>> gd.state.eval_params(tx, tx.init(jnp.ones(2)), jnp.ones(2))
    Array([1., 1.], dtype=float32)

    Args:
        tx: The transformation that made the state.
        state: Its state.
        params: The parameters that are trained.
    """
    return tx.evaluate(state, params) if isinstance(tx, GradientTransformation) else params


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
    values: dict[str, jax.Array] = {}
    for prefix, part, inner in _nested(tx, state):
        if not isinstance(part, GradientTransformation):  # another library's may tell its own
            own = dict(getattr(inner, "hyperparams", {}))
        else:
            given = {name: part.arguments[name] for name in part.numbers}
            own = {**{k: v for k, v in given.items() if v is not None}, **part.moved(inner)}
        values.update({prefix + name: jnp.asarray(value) for name, value in own.items()})
    return values


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
    wanted = {**(values or {}), **named}
    changed: dict[int, InjectHyperparamsState] = {}
    live: list[str] = []
    for prefix, part, inner in _nested(tx, state):
        if not isinstance(part, GradientTransformation):
            continue
        own = {n: prefix + n for n in part.moved(inner) if isinstance(part.arguments[n], Live)}
        live += own.values()
        new = {n: _set(part, n, inner, wanted[path]) for n, path in own.items() if path in wanted}
        if new:
            changed[id(inner)] = inner._replace(hyperparams={**inner.hyperparams, **new})
    if unknown := [name for name in wanted if name not in live]:
        hint = errors.nearest(unknown[0], live) or "Write live(value) where the factory is called."
        raise KeyError(
            f"set_hyperparams: names must be those of live ones, got {unknown[0]}. {hint}"
        )
    return _rebuild(state, changed)


def _set(tx: GradientTransformation, name: str, state: Any, value: Any) -> jax.Array:
    old = state.hyperparams[name]
    if jnp.shape(value) != jnp.shape(old):
        must = f"{tx.name}: {name} must keep its shape {jnp.shape(old)}"
        errors.fail("set_hyperparams", must, f"shape {jnp.shape(value)}")
    tx._factory.check({name: value})
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


def _nested(tx: Any, state: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    yield prefix, tx, state
    if isinstance(tx, GradientTransformation):
        for name, part, inner in tx.parts(state):
            yield from _nested(part, inner, f"{prefix}{name}/")
