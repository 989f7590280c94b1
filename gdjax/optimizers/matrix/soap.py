"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import inverse_roots, matrices
from gdjax.core.rule import errors, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, MatrixMeanSquare, Mean, PerMatrix
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms

__all__ = ["ScaleBySoapState", "scale_by_soap", "soap"]


class ScaleBySoapState(NamedTuple):
    """State of `scale_by_soap`; None for a side that is not rotated."""

    count: Count
    mu: Mean  # of the gradients, in the parameters' own axes
    nu: MatrixMeanSquare  # of the gradients, in the eigenbasis
    statistics: PerMatrix  # for a matrix ([..., m, m], [..., n, n]): means of G·Gᵀ and Gᵀ·G
    basis: PerMatrix  # the same shapes: their eigenvectors, as of the last refresh


def rotate(x: jax.Array, basis: tuple[Any, Any]) -> jax.Array:
    """Q_Lᵀ·x·Q_R, a matrix in the eigenbasis."""
    left, right = basis
    x = x if left is None else left.mT.conj() @ x
    return x if right is None else x @ right


def rotate_back(x: jax.Array, basis: tuple[Any, Any]) -> jax.Array:
    """Q_L·x·Q_Rᵀ, the inverse of `rotate`."""
    left, right = basis
    x = x if left is None else left @ x
    return x if right is None else x @ right.mT.conj()


def update_statistics(statistics: tuple[Any, Any], g: jax.Array, decay: Any) -> tuple[Any, Any]:
    """Updates the means of G·Gᵀ and Gᵀ·G."""
    left, right = statistics
    left = None if left is None else ema(left, g @ g.mT.conj(), decay)
    return left, None if right is None else ema(right, g.mT.conj() @ g, decay)


def next_bases(
    statistics: tuple[Any, Any], basis: tuple[Any, Any], nu: jax.Array
) -> tuple[tuple[Any, Any], jax.Array]:
    """One step of power iteration for both sides; mean squares are permuted with the vectors."""
    found: list[Any] = [None, None]
    for side, (p, q) in enumerate(zip(statistics, basis)):
        if q is not None:
            found[side], order = inverse_roots.next_basis(p, q)
            nu = jnp.take(nu, order, axis=side)
    return (found[0], found[1]), nu


@transformation
def scale_by_soap(
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    b3: Decay | None = None,
    every: int = 10,
    max_precond_dim: int = 10000,
    mu_dtype: Any = None,
    *,
    skip_first: bool = True,
    fresh: bool = False,
    matrix_axes: Any = None,
):
    """SOAP scaling: Adam in the eigenbasis of the mean G·Gᵀ and Gᵀ·G of each matrix.

        G' = Q_Lᵀ·G·Q_R
        M ← β₁·M + (1 − β₁)·G,      V ← β₂·V + (1 − β₂)·G'²
        U = Q_L · (Q_Lᵀ·M̂·Q_R / (√V̂ + ε)) · Q_Rᵀ,    M̂ = M / (1 − β₁ᵗ),  V̂ = V / (1 − β₂ᵗ)
        L ← β₃·L + (1 − β₃)·G·Gᵀ,   R ← β₃·R + (1 − β₃)·Gᵀ·G
        every f steps:  Q_L ← QR(L·Q_L),  Q_R ← QR(R·Q_R)

    A step uses the bases of the gradients before it, or with `fresh` those that contain its own:
    statistics and bases are then updated before U. The second reference refreshes them so in every
    step, against spikes of the loss at large batches. The first bases are eigenvectors of the first
    gradient's statistics. The authors' code, and packages derived from it, return zero updates in
    that step and do not count it; `skip_first` does the same. Without it the first step is Adam's,
    in the axes of the parameters, as in the paper's algorithm with Q = I.

    Vectors, and matrices of one row or column, are updated by Adam. Before QR the vectors of a
    basis are sorted by the diagonal of QᵀLQ or QᵀRQ, largest first, and V with them, as in the
    authors' code. Derivatives treat the bases as constants.

    A gradient that is not square has less rank than its longer side. The basis of the null space,
    which eigenvectors do not determine, is chosen by a fixed rule, so that steps do not depend on
    the backend. It is left to rounding if a side is more than f + 1 times as long as the other,
    since the gradients do not span it at the first QR either.

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, in the units of the gradient. Directions without gradient contain rounding errors,
            10⁻⁷ of the gradient in float32, and follow them unless ε is larger.
        b3: β₃ in [0, 1); None for β₂.
        every: f ≥ 1, the steps from one decomposition to the next. The other steps do not pay for
            it.
        max_precond_dim: Longer sides are not rotated: their Q is I.
        mu_dtype: Dtype in which M is kept; float32 or wider by default.
        skip_first: Whether the first update is zero.
        fresh: Whether the bases of a step contain its gradient, but for the first step.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `every` is less than 1; an array of more than two axes without `matrix_axes`.

    Reference: Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024,
        https://arxiv.org/abs/2409.11321; Khona et al., SOAP, Muon, and beyond: pushing LLM
        pretraining scales, 2026, https://arxiv.org/abs/2607.20548
    """
    errors.check_counts("scale_by_soap", every=every)
    about = {"axes": matrix_axes, "where": "scale_by_soap"}

    def squares(make):
        """A state matrix for each rotated side."""

        def both(p):
            turned = [min(p.shape) > 1 and side <= max_precond_dim for side in p.shape]
            return tuple(make(n, dtype=p.dtype) if t else None for n, t in zip(p.shape, turned))

        return both

    def init(params):
        mean_square = lambda p: tree.filled_like(p, 0, jnp.finfo(p.dtype).dtype)
        nu = matrices.per_matrix(mean_square, params, **about)
        none = lambda n, dtype: jnp.zeros((n, n), dtype)
        statistics = matrices.per_matrix(squares(none), params, **about)
        basis = matrices.per_matrix(squares(jnp.eye), params, **about)
        return ScaleBySoapState(
            zero_count(), tree.moment_like(params, mu_dtype), nu, statistics, basis
        )

    def update(updates, state, params=None, **extra):
        first = state.count == 0
        due = state.count % every == 0
        t = increment(state.count)
        taken = jnp.maximum(state.count, 1) if skip_first else t
        c1, c2 = debias(b1, taken), debias(b2, taken)

        def unless_skipped(new, old):
            return jnp.where(first, old, new) if skip_first else new

        def average(g, m):
            return g, unless_skipped(ema(m, g, b1), m)

        _, mu = tree.evolve(average, (updates, state.mu))

        def leaf(g, V, P, Q, M):
            P = update_statistics(P, g, b2 if b3 is None else b3)

            def refreshed(Q, V):
                return refresh_if(due & ~first, lambda: next_bases(P, Q, V), (Q, V))

            Q, V = refreshed(Q, V) if fresh else (Q, V)
            V = unless_skipped(ema(V, abs_sq(rotate(g, Q)), b2), V)
            u = rotate_back(divide_by_root(rotate(M, Q) / c1, V / c2, eps), Q)
            Q = refresh_if(first, lambda: jax.tree.map(inverse_roots.eigenbasis, P), Q)
            Q, V = (Q, V) if fresh else refreshed(Q, V)
            return u, V, P, Q

        trees = updates, state.nu, state.statistics, state.basis
        updates, *rest = matrices.evolve(leaf, trees, mu, **about)
        return updates, ScaleBySoapState(t, mu, *rest)

    return init, update


@transformation(kind="optimizer")
def soap(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    b3: Decay | None = None,
    every: int = 10,
    max_precond_dim: int = 10000,
    mu_dtype: Any = None,
    *,
    skip_first: bool = True,
    fresh: bool = False,
    consistent_rms: NonNegative | None = None,
    matrix_axes: Any = None,
):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner, recomputed every few steps.

        W ← W − η·(Q_L · Adam(Q_Lᵀ·G·Q_R) · Q_Rᵀ + λW)

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.soap(1e-3, max_precond_dim=1000).init(jnp.ones([20, 2000]))[0]
    >>> jax.tree.map(jnp.shape, (state.nu, state.basis))
    ((20, 2000), ((20, 20), None))

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squares, in [0, 1).
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0, also in the first step.
        mask: Which parameters decay; see `add_decayed_weights`.
        b3: Decay of the statistics; None for `b2`.
        every: Steps from one decomposition of the statistics to the next.
        max_precond_dim: Longer sides are not rotated.
        mu_dtype: Dtype in which the mean gradient is kept; float32 or wider by default.
        skip_first: Whether the first update is zero; see `scale_by_soap`.
        fresh: Whether the bases of a step contain its gradient; see `scale_by_soap`.
        consistent_rms: Root mean square of the updates of matrices; None for what they are. See
            `scale_to_rms`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_soap`.

    Reference: Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024,
        https://arxiv.org/abs/2409.11321; Khona et al., SOAP, Muon, and beyond: pushing LLM
        pretraining scales, 2026, https://arxiv.org/abs/2607.20548
    """
    part = scale_by_soap(
        b1,
        b2,
        eps,
        b3,
        every,
        max_precond_dim,
        mu_dtype,
        skip_first=skip_first,
        fresh=fresh,
        matrix_axes=matrix_axes,
    )
    return chain(
        with_rms(part, consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
