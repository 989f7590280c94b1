"""L-BFGS: quasi-Newton directions from the last few steps, with a line search."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import LearningRate
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Memory, PerParam, Scalars
from gdjax.optimizers.line_search.zoom_linesearch import scale_by_zoom_linesearch
from gdjax.transforms.basic import scale, scale_by_learning_rate

__all__ = ["ScaleByLBFGSState", "lbfgs", "scale_by_lbfgs"]


class ScaleByLBFGSState(NamedTuple):
    """State of `scale_by_lbfgs`; the step from count = k to k + 1 is kept at k mod memory_size."""

    count: Count
    params: PerParam  # those of the last update
    updates: PerParam  # the gradients of the last update, exact: used in differences
    diff_params_memory: Memory  # s, differences of params
    diff_updates_memory: Memory  # y, differences of gradients
    weights_memory: Scalars  # [memory_size] ρ = 1 / ⟨s, y⟩; 0 for a pair that is not used


@transformation
def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True):
    """L-BFGS scaling: gradient times a limited-memory estimate of the inverse Hessian, u = H·g.

        s = θ − θ₋₁,   y = g − g₋₁,   ρ = 1 / ⟨s, y⟩
        H ← (I − ρ·s·yᵀ)·H·(I − ρ·y·sᵀ) + ρ·s·sᵀ      for each step in memory, oldest first
        from H = γI,   γ = ⟨s, y⟩ / ⟨y, y⟩ of the newest step,   min(1, 1/‖g‖) before there is one

    H is never stored; its product with g takes 4·memory_size products of vectors. A step along
    which the gradient did not grow (⟨s, y⟩ ≤ 0 up to rounding: the loss is not convex there, or
    noisy) is skipped, so that H stays positive definite. If the parameters have not changed, the
    line search has failed and the memory is cleared: u is γg with γ = min(1, 1/‖g‖).

    The result is a direction; sign and step size come from later stages of the chain, see `lbfgs`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, x = gd.scale_by_lbfgs(), jnp.array([1.0])
    >>> _, state = tx.update(4.0 * x, tx.init(x), x)
    >>> tx.update(2.0 * x, state, 0.5 * x)[0]  # the gradient is 2, the curvature 4
    Array([0.5], dtype=float32)

    Args:
        memory_size: Number of steps kept; a Python integer. The state is 2·memory_size + 2 times
            the size of the parameters.
        scale_init_precond: False to start from H = I.

    Raises:
        ValueError: `update` was called without params.

    Reference: Liu and Nocedal, On the limited memory BFGS method for large scale optimization,
        1989, https://doi.org/10.1007/BF01589116
    """
    name = "scale_by_lbfgs"
    if not isinstance(memory_size, int) or memory_size < 1:
        errors.fail(name, "memory_size must be a Python integer, at least 1", memory_size)

    def init(params):
        stacked = lambda x: jnp.broadcast_to(x[None], (memory_size, *x.shape))
        memory = lambda: jax.tree.map(stacked, tree.moment_like(params))
        return ScaleByLBFGSState(
            count=zero_count(),
            params=tree.moment_like(params),
            updates=tree.moment_like(params),
            diff_params_memory=memory(),
            diff_updates_memory=memory(),
            weights_memory=jnp.zeros([memory_size], tree.scalar_like(params).dtype),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params(name, params)
        first = state.count == 0
        newest = (state.count - 1) % memory_size

        def remember(g, g_old, p_old, s, y, p):
            put = lambda memory, x, old: jax.lax.dynamic_update_index_in_dim(
                memory, jnp.where(first, 0, x - old), newest, 0
            )
            return g, g, p, put(s, p, p_old), put(y, g, g_old)

        trees = updates, state.updates, state.params, state.diff_params_memory
        _, g, p, s, y = tree.evolve(remember, (*trees, state.diff_updates_memory), params)
        weights = _weigh(_at(s, newest), _at(y, newest), newest, state.weights_memory)
        state = ScaleByLBFGSState(increment(state.count), p, g, s, y, weights)
        u = _multiply(state, newest, scale_init_precond)
        return tree.map(lambda g, u: jnp.zeros_like(g) if u is None else u, updates, u), state

    return Rule(init, update, couples=True)


def _at(memory: Any, i: jax.Array) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False), memory)


def _weigh(s: Any, y: Any, newest: jax.Array, weights: jax.Array) -> jax.Array:
    """The weights ρ, with that of the newest step; 0 for a step that must not be used."""
    sy, length = tree.vdot(s, y), tree.norm(s)
    limits = jnp.finfo(weights.dtype)
    usable = (sy > limits.eps * length * tree.norm(y)) & (sy > limits.tiny) & jnp.isfinite(sy)
    rho = jnp.where(usable, 1 / jnp.where(usable, sy, 1), 0)
    weights = jax.lax.dynamic_update_index_in_dim(weights, rho.astype(weights.dtype), newest, 0)
    return jnp.where(length > 0, weights, 0)


def _multiply(state: ScaleByLBFGSState, newest: jax.Array, scale_init: bool) -> Any:
    """H·g by the two-loop recursion, algorithm 7.4 of Nocedal and Wright."""
    g, s, y = state.updates, state.diff_params_memory, state.diff_updates_memory
    rho = jnp.asarray(state.weights_memory)
    size = rho.shape[0]
    order = (newest - jnp.arange(size, dtype=newest.dtype)) % size  # newest first

    def back(q, i):
        alpha = rho[i] * tree.vdot(_at(s, i), q)
        return tree.map(lambda q, y: q - _cast(alpha, q) * y, q, _at(y, i)), alpha

    def forth(r, row):
        i, alpha = row
        move = alpha - rho[i] * tree.vdot(_at(y, i), r)
        return tree.map(lambda r, s: r + _cast(move, r) * s, r, _at(s, i)), None

    gamma = jnp.ones([], rho.dtype)
    if scale_init:
        length = tree.norm(g).astype(rho.dtype)
        used = jnp.argmax(rho[order] > 0)  # the newest step that may be used, if there is one
        rho_used, y_used = rho[order[used]], _at(y, order[used])
        some, long = rho_used > 0, length > 1
        inverse = jnp.where(some, rho_used * tree.vdot(y_used, y_used), jnp.where(long, length, 1))
        gamma = 1 / inverse.astype(rho.dtype)
    q, alphas = jax.lax.scan(back, g, order)
    r = tree.map(lambda q: _cast(gamma, q) * q, q)
    return jax.lax.scan(forth, r, (order, alphas), reverse=True)[0]


def _cast(x: jax.Array, like: jax.Array) -> jax.Array:
    return x.astype(like.dtype)


@transformation(kind="optimizer")
def lbfgs(
    learning_rate: LearningRate | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008
):
    """L-BFGS: limited-memory quasi-Newton method with a line search.

        θ ← θ − η·H·g,     H from the last steps: `scale_by_lbfgs`
        η by a line search along −H·g: `scale_by_zoom_linesearch`

    For smooth losses without noise: full batches, physics, statistics. Each step computes the
    loss and its gradient once or twice, seldom more often. `update` takes the extra arguments
    `value`, `grad` and `value_fn`; `minimize` passes them.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> valley = lambda x: (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2
    >>> result = gd.minimize(valley, jnp.array([-1.2, 1.0]), gd.lbfgs(), 50, tolerance=1e-3)
    >>> result.params.round(3), int(result.steps) < 40
    (Array([1., 1.], dtype=float32), True)

    Args:
        learning_rate: A factor of the direction before the search, ≥ 0; None for 1.
        memory_size: Number of steps from which H is computed; a Python integer.
        scale_init_precond: False to start from H = I.
        linesearch: A transformation that finds η; None for η = 1.

    Raises:
        ValueError: `update` was called without params.
        TypeError: `update` was called without the extra arguments of the line search.

    A quasi-Newton method: second-order, without second derivatives.

    Reference: Liu and Nocedal, On the limited memory BFGS method for large scale optimization,
        1989, https://doi.org/10.1007/BF01589116
    """
    turned = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    parts = [scale_by_lbfgs(memory_size, scale_init_precond), turned]
    return chain(*parts) if linesearch is None else chain(*parts, linesearch)
