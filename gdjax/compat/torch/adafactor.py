"""Adafactor as in torch.optim."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.namespacing import named
from gdjax.core.data.hyperparams import Hyperparam, NonNegative
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import abs_sq, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Factor, MeanSquare

__all__ = ["AdafactorState", "factored_descent"]


class AdafactorState(NamedTuple):
    """State of `factored_descent`."""

    count: Count
    row_var: Annotated[Any, Factor(-1)]  # [..., m, 1] for a leaf [..., m, n], None for a vector
    col_var: Annotated[Any, Factor(-2)]  # [..., 1, n], None for a vector
    variance: MeanSquare  # of vectors and scalars, None for a matrix


@named("torch")
def factored_descent(
    learning_rate: NonNegative = 1e-2,
    beta2_decay: Hyperparam = -0.8,
    eps1: NonNegative | None = None,
    eps2: NonNegative = 1e-3,
    d: NonNegative = 1.0,
    weight_decay: NonNegative = 0.0,
):
    """Adafactor of torch.optim: factored second moments and relative step sizes.

        ρ = min(η, 1/√t),   α = max(ε₂, RMS(θ))·ρ,   β = 1 − t^τ
        R ← β·R + (1 − β)·mean over columns of G²,   C likewise over rows,   V = R·C / mean R
        U = G/√max(V, ε₁²),   θ ← (1 − ηλ)θ − α·U/max(1, RMS(U)/d)

    Args:
        learning_rate: η ≥ 0.
        beta2_decay: τ < 0.
        eps1: ε₁; that of the dtype by default.
        eps2: ε₂, the lower bound of the RMS of the weights.
        d: The upper bound of the RMS of U.
        weight_decay: λ ≥ 0.

    Raises:
        ValueError: `update` was called without params.

    Reference: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost,
        2018, https://arxiv.org/abs/1804.04235
    """

    def init(params):
        def zeros(shape_of: Any) -> Any:
            def one(p: Any) -> Any:
                shape = shape_of(jnp.shape(p)) if tree.differentiable(p) else None
                return None if shape is None else tree.square_like(jnp.zeros(shape, p.dtype))

            return jax.tree.map(one, params)

        return AdafactorState(
            zero_count(),
            zeros(lambda s: (*s[:-1], 1) if len(s) > 1 else None),
            zeros(lambda s: (*s[:-2], 1, s[-1]) if len(s) > 1 else None),
            zeros(lambda s: s if len(s) < 2 else None),
        )

    def update(updates, state, params=None, **extra):
        if params is None:
            hint = "Write update(grads, state, params)."
            errors.fail("torch.Adafactor", "update needs the parameters", params, instead=hint)
        count = increment(state.count)
        t = count.astype(float)
        rho = numerics.weak(jnp.minimum(learning_rate, 1 / jnp.sqrt(t)))
        beta = numerics.weak(1 - t**beta2_decay)

        def leaf(g, row, col, v, p):
            least = float(jnp.finfo(g.dtype).eps) if eps1 is None else eps1
            alpha = jnp.maximum(eps2, _rms(p)) * rho
            if v is None:
                row = ema(row, jnp.mean(abs_sq(g), -1, keepdims=True), beta)
                col = ema(col, jnp.mean(abs_sq(g), -2, keepdims=True), beta)
                full = row * col / jnp.maximum(jnp.mean(row, -2, keepdims=True), least)
            else:
                full = v = ema(v, abs_sq(g), beta)
            u = g / jnp.sqrt(jnp.maximum(full, least * least)).astype(g.dtype)
            u = u / jnp.maximum(1, _rms(u) / d).astype(g.dtype)
            return -alpha.astype(g.dtype) * u - learning_rate * weight_decay * p, row, col, v

        trees = (updates, state.row_var, state.col_var, state.variance)
        updates, *moments = tree.evolve(leaf, trees, params)
        return updates, AdafactorState(count, *moments)

    return init, update


def _rms(x: jax.Array) -> jax.Array:
    return numerics.norm(x) / max(x.size, 1) ** 0.5
