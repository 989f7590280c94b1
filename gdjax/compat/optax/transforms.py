# ruff: noqa: F401, F403
"""The namespace `optax.transforms`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.compat.optax.apply_if_finite import *
from gdjax.compat.optax.masking import *
from gdjax.compat.optax.multi_steps import *
from gdjax.compat.optax.names import NAMES, namespace
from gdjax.transforms import adaptive_clipping as _adaptive_clipping

__all__ = NAMES["transforms"]

__getattr__, __dir__ = namespace("transforms", ("gdjax.compat.optax", "gdjax"))

ConditionFn = Callable[..., Any]  # (step, **extra arguments) -> [] bool


def unitwise_norm(x: Any, axis: int | tuple[int, ...] | None = None) -> jax.Array:
    """Unit-wise norms of one array, broadcast to its shape."""
    return jnp.broadcast_to(_adaptive_clipping.unitwise_norm(x, axis), jnp.shape(x))


def unitwise_clip(g_norm: Any, max_norm: Any, grad: Any, div_eps: Any = 1e-6) -> Any:
    """Unit-wise gradient clipping; `div_eps` is not needed here, also at zero."""
    return _adaptive_clipping.unitwise_clip(g_norm, max_norm, grad)
