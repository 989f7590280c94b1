"""Skipping steps with non-finite gradients, with the signature of optax."""

from __future__ import annotations

from typing import Any

from gdjax.compat.optax.twins import named
from gdjax.wrappers.guards import apply_if_finite as _conditional

__all__ = ["apply_if_finite"]


@named("optax")
def apply_if_finite(inner: Any, max_consecutive_errors: int):
    """Skips steps with non-finite gradients, up to a number of them in a row.

    The next one after them is applied and makes the parameters NaN. gdjax's own `apply_if_finite`
    has no limit by default.

    >>> from gdjax.compat import optax
    >>> optax.apply_if_finite(optax.sgd(0.1), max_consecutive_errors=5)
    optax.apply_if_finite(inner=optax.sgd(learning_rate=0.1), max_consecutive_errors=5)
    """
    return _conditional.apply_if_finite(inner, max_consecutive_errors)
