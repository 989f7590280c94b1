"""Utilities of optax: norms, counters, gradient scaling, values of line searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.compat.optax.tree import (
    as_floats,
    bias_correction,
    norm,
    update_infinity_moment,
    update_moment,
    update_moment_per_elem_norm,
)
from gdjax.compat.optax.tree_search import get, map_params
from gdjax.core.rule import errors, numerics
from gdjax.transforms import per_example as _per_example

__all__ = [
    "bias_correction",
    "global_norm",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "safe_increment",
    "safe_int32_increment",
    "safe_norm",
    "safe_root_mean_squares",
    "scale_gradient",
    "tree_map_params",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
    "value_and_grad_from_state",
]

tree_map_params = map_params


def global_norm(updates: Any) -> jax.Array:
    """Global norm: Euclidean norm over all leaves, [] in the dtype that they promote to.

    Formed in float32 or wider and rounded once.
    """
    return norm(updates)


def per_example_global_norm_clip(grads: Any, l2_norm_clip: Any) -> tuple[Any, jax.Array]:
    """As gdjax's; integers are floats."""
    return _per_example.per_example_global_norm_clip(as_floats(grads), l2_norm_clip)


def per_example_layer_norm_clip(
    grads: Any, global_l2_norm_clip: Any, uniform: bool = True
) -> tuple[Any, Any]:
    """As gdjax's; integers are floats."""
    return _per_example.per_example_layer_norm_clip(as_floats(grads), global_l2_norm_clip, uniform)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """As gdjax's, for states of any library with one `value` and one `grad`.

    Raises:
        ValueError: The state has no value or no gradient.
        KeyError: The state has several.
    """

    def value_and_grad(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, grad = get(state, "value"), get(state, "grad")
        if value is None or grad is None:
            must = "the state must have a value and a gradient, as the state of a line search"
            errors.fail("optax.value_and_grad_from_state", must, type(state).__name__)
        fresh = lambda: jax.value_and_grad(value_fn)(params, *args, **kwargs)
        like = lambda x, kept: jnp.asarray(x).astype(kept.dtype)
        known = jnp.isfinite(value)
        return jax.lax.cond(
            known, lambda: (value, grad), lambda: jax.tree.map(like, fresh(), (value, grad))
        )

    return value_and_grad


def safe_norm(
    x: Any, min_norm: Any, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> jax.Array:
    """Safe norm: max(‖x‖, min_norm), whose derivative is 0 where the bound holds.

    >>> import jax, jax.numpy as jnp
    >>> jax.grad(safe_norm)(jnp.zeros(2), 0.0)
    Array([0., 0.], dtype=float32)

    Args:
        x: An array.
        min_norm: The smallest value to return, ≥ 0.
        ord: As in `jnp.linalg.norm`.
        axis: As in `jnp.linalg.norm`.
        keepdims: Whether the axes stay, with size 1.
    """
    x, least = numerics.wide(x), numerics.weak(min_norm)
    if ord is None:
        length = numerics.norm(x, axis, keepdims)
        return jnp.where(length <= least, least, length)
    length = jnp.linalg.norm(jax.lax.stop_gradient(x), ord, axis, keepdims=True)
    below = length <= least
    away = jnp.where(below, 1, x)  # where the derivative of the norm is none
    length = jnp.linalg.norm(away, ord, axis, keepdims)
    return jnp.where(below.reshape(length.shape), least, length)


def safe_root_mean_squares(x: Any, min_rms: Any) -> jax.Array:
    """Safe RMS: max(√mean|x|², min_rms), [], whose derivative is 0 where the bound holds."""
    x, least = numerics.wide(x), numerics.weak(min_rms)
    size = numerics.norm(x) / max(x.size, 1) ** 0.5
    return jnp.where(size <= least, least, size)


def safe_increment(count: Any) -> jax.Array:
    """Saturating increment: adds one, up to the largest value of the dtype.

    >>> import jax.numpy as jnp
    >>> safe_increment(jnp.uint8(255))
    Array(255, dtype=uint8)
    """
    count = jnp.asarray(count)
    floating = jnp.issubdtype(count.dtype, jnp.floating)
    top = jnp.finfo(count.dtype).max if floating else jnp.iinfo(count.dtype).max
    return jnp.where(count < jnp.asarray(top, count.dtype), count + 1, count)


def safe_int32_increment(count: Any) -> jax.Array:
    """Is an older name of `safe_increment`."""
    return safe_increment(count)


@jax.custom_vjp
def _scaled_backwards(x: Any, scale: Any) -> Any:
    return x


def _forwards(x: Any, scale: Any) -> tuple[Any, Any]:
    return x, scale


def _backwards(scale: Any, g: Any) -> tuple[Any, Any]:
    def one(g):
        return g if g.dtype == jax.dtypes.float0 else numerics.weak(scale) * g

    return jax.tree.map(one, g), jnp.zeros_like(scale)


_scaled_backwards.defvjp(_forwards, _backwards)


def scale_gradient(inputs: Any, scale: Any) -> Any:
    """Identity whose gradients are scaled by a factor.

    >>> import jax
    >>> f"{jax.grad(lambda x: scale_gradient(x, 0.5) ** 2)(3.0)}"
    '3.0'
    """
    return _scaled_backwards(inputs, jnp.asarray(scale, float))
