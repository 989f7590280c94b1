"""Shared parts of line searches: the function along a line; reuse of its value and gradient.

A line search takes the updates as a direction u and finds the step size η of θ ← θ + η·u. It is
the last stage of a chain, after the one that changes the sign. Its `update` takes three extra
arguments, always by keyword: `value` and `grad`, the loss and its gradient at the parameters, and
`value_fn`, the loss as a function of the parameters. Extra arguments that `value_fn` names (a
batch, a key) are passed to it.

    updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=loss)

`value_fn` is compiled as a part of the caller of `update`: once inside `jit`, and in every call
outside it, since the values that the function closes over may have changed.

Where no step size was found the updates are zero and the parameters stay: no search increases the
loss. The next search starts from the last step size tried. Derivatives treat the step size as a
constant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics, tree

__all__ = ["value_and_grad_from_state"]


class Line:
    """The function φ(η) = f(θ + η·u), its value, slope and gradient, as constants."""

    def __init__(self, name: str, updates: Any, params: Any, value_fn: Any, extra: dict) -> None:
        """Takes the direction u, the point θ, and the extra arguments of `update`."""
        if params is None:
            hint = "Write update(grads, state, params, ...)."
            errors.fail(name, "update needs the parameters", params, instead=hint)
        if not callable(value_fn):
            must = "value_fn must be the loss as a function of the parameters"
            errors.fail(name, must, value_fn, kind=TypeError)
        taken = _named_by(value_fn, extra)
        self.updates, self.params, self.dtype = updates, params, tree.scalar_like(params).dtype
        self.function = lambda params: value_fn(params, **taken)

    def at(self, eta: Any) -> Any:
        """θ + η·u, rounded as by `apply_updates`."""
        eta = numerics.weak(eta)
        return tree.add(self.params, tree.map(lambda u: eta * u, self.updates))

    def value(self, eta: Any) -> jax.Array:
        """φ(η), []; infinite where it is not finite."""
        value = jnp.asarray(self.function(self.at(eta))).astype(self.dtype)
        return jax.lax.stop_gradient(jnp.where(jnp.isfinite(value), value, jnp.inf))

    def value_and_slope(self, eta: Any) -> tuple[jax.Array, jax.Array, Any]:
        """φ(η), φ′(η) and the gradient at η; where φ(η) is not finite, infinity and slope 0."""
        value, grad = value_and_gradient(self.function, self.at(eta))
        value, slope = value.astype(self.dtype), self.slope(grad)
        finite = jnp.isfinite(value) & jnp.isfinite(slope)
        found = jnp.where(finite, value, jnp.inf), jnp.where(finite, slope, 0), grad
        return jax.lax.stop_gradient(found)

    def slope(self, grad: Any) -> jax.Array:
        """⟨∇f, u⟩, [], over the differentiable leaves."""
        beside = lambda u, g: jnp.zeros_like(u) if g is None else g
        slope = tree.vdot(tree.map(beside, self.updates, grad), self.updates)
        return jax.lax.stop_gradient(slope.astype(self.dtype))


def start(line: Line, learning_rate: jax.Array) -> jax.Array:
    """The step size to start from: the last one, or 1 if that cannot be distinguished from 0."""
    limits = jnp.finfo(line.dtype)
    return jnp.where(learning_rate > limits.tiny / limits.eps, learning_rate, 1)


def _named_by(function: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a built-in without a signature
        return {}
    return {name: value for name, value in extra.items() if name in names}


def value_and_gradient(function: Callable[[Any], Any], params: Any) -> tuple[jax.Array, Any]:
    """The value, and the gradient, float32 or wider, None for leaves that are not differentiable.

    The gradient of complex parameters is the direction of ascent, the conjugate of `jax.grad`.
    """
    leaves, treedef = jax.tree.flatten(params)
    takes_part = [tree.differentiable(x) for x in leaves]

    def of_floats(floats: list[Any]) -> Any:
        rest = iter(floats)
        return function(
            treedef.unflatten([next(rest) if t else x for t, x in zip(takes_part, leaves)])
        )

    floats = [jnp.asarray(x) for t, x in zip(takes_part, leaves) if t]
    value, grads = jax.value_and_grad(of_floats)(floats)
    found = iter([jnp.conj(numerics.wide(g)) for g in grads])
    return value, treedef.unflatten([next(found) if t else None for t in takes_part])


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A `jax.value_and_grad` that reuses value and gradient from the last line search.

    The last point that a search evaluates is where the next step begins, so value and gradient
    need not be computed again. They are not checked: the parameters must be those after that step,
    and the function must be the same (no new batch). Under `vmap` both are always computed.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 1.0) ** 2)
    >>> tx, x = gd.lbfgs(), jnp.zeros(2)
    >>> state, value_and_grad = tx.init(x), gd.value_and_grad_from_state(loss)
    >>> for _ in range(3):
    ...     value, grad = value_and_grad(x, state=state)
    ...     x, state = tx.step(grad, state, x, value=value, grad=grad, value_fn=loss)
    >>> x.round(4)
    Array([1., 1.], dtype=float32)

    Args:
        value_fn: The loss, a function of the parameters and perhaps of other arguments.

    Returns:
        A function of the same arguments and, by keyword, of the `state` of a transformation that
        contains one line search. It returns the value, [], and the gradient, float32 or wider, None
        for leaves that are not differentiable. Before the first step both are computed.

    Raises:
        KeyError: The state contains no line search, or more than one.
        ValueError: The line search does not store gradients.
    """

    def value_and_grad(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        is_search = lambda node: {"value", "grad"} <= set(getattr(node, "_fields", ()))
        nodes = jax.tree.leaves(state, is_leaf=is_search)
        found = [node for node in nodes if is_search(node)]
        if len(found) != 1:
            must = "value_and_grad_from_state: the state must hold one line search"
            raise KeyError(f"{must}, got {len(found)}.")
        value, grad = found[0].value, found[0].grad
        if grad is None:
            must, hint = "the line search must keep the gradient", "Write store_grad=True."
            errors.fail("value_and_grad_from_state", must, grad, instead=hint)

        def computed() -> tuple[Any, Any]:
            now = value_and_gradient(lambda p: value_fn(p, *args, **kwargs), params)
            return jax.tree.map(numerics.like, now, (value, grad))

        value, grad = jax.lax.cond(jnp.isfinite(value), lambda: (value, grad), computed)
        return value, jax.tree.map(jnp.conj, grad)  # the convention of jax.grad

    return value_and_grad
