"""The subject of the promises, and their example parameters and gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.cached import cached
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.mesh import memory
from gdjax.core.rule import tree

__all__ = [
    "FLOATS",
    "PROMISES",
    "Subject",
    "avals",
    "example_grads",
    "example_params",
    "finite",
    "moving_numbers",
    "promise",
    "run",
]

FLOATS = (jnp.float32, jnp.bfloat16, jnp.float16)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A transformation under test, with what its tests need.

    Attributes:
        tx: The transformation.
        extra: Extra arguments of each `update`, or a function of the parameters and the gradients
            that returns them.
        descends: Whether a hundred steps decrease a quadratic loss; a transformation that keeps the
            sign of the gradient is followed by a small learning rate.
        serializable: Whether its arguments can be written as JSON and pickled (lambdas cannot).
        batch: The number of examples on a leading axis of the gradients; 0 for no such axis.
    """

    tx: GradientTransformation
    extra: Mapping[str, Any] | Callable[[Any, Any], Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    descends: bool = True
    serializable: bool = True
    batch: int = 0

    def given(self, updates: Any, params: Any) -> Mapping[str, Any]:
        """The extra arguments of one call."""
        return self.extra(params, updates) if callable(self.extra) else self.extra

    def update(self, updates: Any, state: Any, params: Any, tx: Any = None) -> tuple[Any, Any]:
        """`update` with the extra arguments."""
        tx, updates = self.tx if tx is None else tx, self.batched(updates)
        if any(map(callable, self.given(updates, params).values())):
            return self._compiled(tx, updates, state, params)  # outside of jit it never is
        return tx.update(updates, state, params, **self.given(updates, params))

    def step(self, updates: Any, state: Any, params: Any, tx: Any = None) -> tuple[Any, Any]:
        """`step` with the extra arguments."""
        extra = self.given(updates, params)
        return (self.tx if tx is None else tx).step(self.batched(updates), state, params, **extra)

    def batched(self, updates: Any) -> Any:
        """The gradients with a leading axis of examples."""
        if not self.batch:
            return updates
        shares = np.linspace(0.5, 1.0, self.batch)
        one = lambda g: jnp.stack([g * jnp.asarray(share, g.dtype) for share in shares])
        return jax.tree.map(lambda g: one(g) if tree.differentiable(g) else g, updates)

    @cached
    def _compiled(self) -> Callable[..., Any]:
        return jax.jit(
            lambda tx, updates, state, params: tx.update(
                updates, state, params, **self.given(updates, params)
            )
        )


PROMISES: dict[str, Callable[[Subject], None]] = {}
"""The checks by name: functions that raise AssertionError where a promise is broken."""


def promise(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
    """Registers a function as a promise of the contract."""
    PROMISES[function.__name__] = function
    return function


def example_params(dtype: Any = jnp.float32) -> dict[str, Any]:
    """A small tree: a matrix and a scalar."""
    return {
        "dense": {"kernel": jnp.linspace(-1.0, 1.0, 6, dtype=dtype).reshape(2, 3)},
        "gain": jnp.asarray(2.0, dtype),
    }


def example_grads(params: Any, step: int = 0, scale: float = 1.0) -> Any:
    """Gradients that differ from step to step and from entry to entry, in the dtypes of params."""

    def one(p: Any) -> jax.Array:
        wave = np.cos(1.0 + step + np.arange(np.size(p)) * 1.7).reshape(np.shape(p))
        return jnp.asarray(scale * wave, jnp.result_type(p))

    return jax.tree.map(one, params)


def run(subject: Subject, steps: int = 3, params: Any = None, tx: Any = None) -> tuple[Any, Any]:
    """The last updates and the state after some steps."""
    tx, params = subject.tx if tx is None else tx, example_params() if params is None else params
    state, updates = tx.init(params), None
    for i in range(steps):
        updates, state = subject.update(example_grads(params, i), state, params, tx)
    return updates, state


def finite(value: Any) -> bool:
    """Whether all entries of a tree are finite."""
    return all(
        bool(jnp.all(jnp.isfinite(x)))
        for x in jax.tree.leaves(memory.near(value))
        if tree.differentiable(x)
    )


def avals(value: Any) -> Any:
    """Structure, shapes, dtypes and weak types, which scans and donation need to be equal."""
    kinds = [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(value)]
    return jax.tree.structure(value), kinds


def moving_numbers(tx: GradientTransformation) -> dict[str, float]:
    """The hyperparameters that are Python numbers and may be schedules."""
    given = {name: tx.arguments[name] for name in tx.numbers}
    scheduled = {n: r.scheduled for n, r in tx.factory.ranges.items()}
    return {n: float(v) for n, v in given.items() if scheduled[n] and isinstance(v, (int, float))}
