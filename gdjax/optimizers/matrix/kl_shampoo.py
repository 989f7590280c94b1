"""KL-Shampoo: two-sided whitening by the Kronecker factors of least KL divergence."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import inverse_roots, matrices
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    ema,
    increment,
    safe_divide,
    safe_sqrt,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, PerMatrix
from gdjax.optimizers.matrix.soap import rotate, rotate_back
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms

__all__ = ["KLShampooState", "kl_shampoo", "scale_by_kl_shampoo"]


class KLShampooState(NamedTuple):
    """State of `scale_by_kl_shampoo`; each tree but mu has a pair for a matrix [m, n].

    In a pair, None stands for a side of length 1; in `covariance` and `basis` also for a side
    longer than `max_precond_dim`, and for vectors.
    """

    count: Count
    mu: Mean  # of the gradients
    covariance: PerMatrix  # [m, m], [n, n]: S
    basis: PerMatrix  # [m, m], [n, n]: Q, approximate eigenvectors of S
    eigenvalues: PerMatrix  # [m], [n]: λ, means along the columns of Q


@transformation
def scale_by_kl_shampoo(
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    every: int = 10,
    max_precond_dim: int = 10000,
    init_factor: Positive | None = None,
    mu_dtype: Any = None,
    *,
    matrix_axes: Any = None,
):
    """KL-Shampoo scaling: whitens gradients [m, n] by a Kronecker-factored covariance S_a ⊗ S_b.

        Δ_a = G·S_b⁻¹·Gᵀ / n,              Δ_b = Gᵀ·S_a⁻¹·G / m
        S_a ← β₂·S_a + (1 − β₂)·Δ_a        S_b ← β₂·S_b + (1 − β₂)·Δ_b
        λ ← β₂·λ + (1 − β₂)·diag(Qᵀ·Δ·Q)    for each side, where S⁻¹ = Q·diag(λ)⁻¹·Qᵀ
        Q ← the orthogonal factor of S·Q, by QR    for each side, every T steps
        u = Q_a·((Q_aᵀ·M·Q_b) / √(λ_a·λ_bᵀ))·Q_bᵀ

    with M = (β₁·M + (1 − β₁)·G) / (1 − β₁ᵗ). Each factor minimizes the Kullback-Leibler divergence
    from the gradients, given the other: no grafting and no second moment of the size of the
    matrix is needed. S_a and S_b start as equal multiples of I that fit the first gradient that is
    not zero; a zero gradient changes neither. Sides longer than `max_precond_dim` have Q = I, as
    have vectors, for which u = m / √λ with λ a mean of g². Derivatives treat the factors as
    constants.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, g = gd.scale_by_kl_shampoo(), 500 * jnp.eye(2)  # updates have no units
    >>> tx.update(g, tx.init(g))[0].round(3) + 0.0
    Array([[1.414, 0.   ],
           [0.   , 1.414]], dtype=float32)

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1), of the covariances.
        eps: The least eigenvalue, as a fraction of the largest of its side.
        every: T ≥ 1, the steps from one decomposition to the next.
        max_precond_dim: Longer sides have a diagonal S.
        init_factor: S_a and S_b start as this multiple of I; None to fit the first gradient.
        mu_dtype: Dtype in which the mean gradients are kept; float32 or wider by default.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `every` is less than 1; an array of more than two axes without `matrix_axes`.

    Reference: Lin, Lowe, Dangel, Eschenhagen, Xu and Grosse, Understanding and improving Shampoo
        and SOAP via Kullback-Leibler minimization, 2025, https://arxiv.org/abs/2509.03378
    """
    if every < 1:
        errors.fail("scale_by_kl_shampoo", "every must be at least 1", every)
    about = {"axes": matrix_axes, "where": "scale_by_kl_shampoo"}
    at_first = 0.0 if init_factor is None else init_factor

    def pair(make, whole=True):
        """A state for each side with a factor; unless `whole`, for those whose S is a matrix."""

        def both(p):
            m, n = p.shape
            kept = (m > 1 or n == 1, n > 1)
            if whole:
                kept = [min(m, n) > 1 and side <= max_precond_dim for side in p.shape]
            return tuple(make(side, p.dtype) if k else None for side, k in zip(p.shape, kept))

        return both

    def init(params):
        real = lambda side, dtype: jnp.full(side, at_first, jnp.finfo(dtype).dtype)
        return KLShampooState(
            zero_count(),
            tree.moment_like(params, mu_dtype),
            matrices.per_matrix(
                pair(lambda n, dtype: at_first * jnp.eye(n, dtype=dtype)), params, **about
            ),
            matrices.per_matrix(pair(lambda n, dtype: jnp.eye(n, dtype=dtype)), params, **about),
            matrices.per_matrix(pair(real, whole=False), params, **about),
        )

    def update(updates, state, params=None, **extra):
        due = state.count % every == 0
        t = increment(state.count)
        c = debias(b1, t)
        _, mu = tree.evolve(lambda g, m: (g, ema(m, g, b1)), (updates, state.mu))

        def leaf(g, S, Q, lam, M):
            g = lax.stop_gradient(g)
            size = numerics.norm(g) / max(g.size, 1) ** 0.5
            if init_factor is None:
                S, lam = start(S, lam, size ** (2 / sum(x is not None for x in lam)))
            S, lam = update_factors(g, S, Q, lam, b2, eps)
            Q, lam = refresh_if(due, lambda: turn(S, Q, lam), (Q, lam))
            return rotate_back(by_roots(rotate(M / c, Q), lam, eps), Q), S, Q, lam

        trees = updates, state.covariance, state.basis, state.eigenvalues
        updates, *rest = matrices.evolve(leaf, trees, mu, **about)
        return updates, KLShampooState(t, mu, *rest)

    return init, update


def start(S: tuple, lam: tuple, scale: jax.Array) -> tuple[tuple, tuple]:
    """Initializes S and λ to multiples of I and 1 where they are still 0."""
    largest = jnp.stack([jnp.max(x) for x in lam if x is not None])
    more = jnp.where(jnp.max(largest) == 0, scale, 0)
    S = jax.tree.map(lambda x: x + more.astype(x.dtype) * jnp.eye(len(x), dtype=x.dtype), S)
    return S, jax.tree.map(lambda x: x + more.astype(x.dtype), lam)


def by_roots(x: jax.Array, lam: tuple, eps: Any) -> jax.Array:
    """Divides x by √(λ_a·λ_bᵀ), with each λ at least eps times the largest; None is ones."""
    for side, values in enumerate(lam):
        if values is not None:
            root = safe_sqrt(jnp.maximum(values, eps * jnp.max(values))).astype(x.dtype)
            x = safe_divide(x, jnp.expand_dims(root, 1 - side))
    return x


def update_factors(
    g: jax.Array, S: tuple, Q: tuple, lam: tuple, decay: Any, eps: Any
) -> tuple[tuple, tuple]:
    """Updates S and λ of each side with the gradient whitened from the other, unless it is 0."""
    covariance, eigenvalues = list(S), list(lam)
    for side in (0, 1):
        w = by_roots(rotate(g, one_side(Q, 1 - side)), one_side(lam, 1 - side), eps)
        count = g.shape[1 - side]
        if S[side] is not None:
            delta = w @ w.mT.conj() if side == 0 else w.mT @ w.conj()
            covariance[side] = ema(S[side], delta / count, decay)
        if lam[side] is not None:
            squares = jnp.sum(abs_sq(rotate(w, one_side(Q, side))), 1 - side) / count
            eigenvalues[side] = ema(lam[side], squares, decay)
    keep = lambda new, old: jnp.where(jnp.any(g != 0), new, old)
    return jax.tree.map(keep, (tuple(covariance), tuple(eigenvalues)), (S, lam))


def one_side(pair: tuple, side: int) -> tuple[Any, Any]:
    """The pair with the other side replaced by None."""
    return (pair[0], None) if side == 0 else (None, pair[1])


def turn(S: tuple, Q: tuple, lam: tuple) -> tuple[tuple, tuple]:
    """A step of power iteration for both bases; eigenvalues are permuted with their vectors."""
    bases, orders = next_bases(S, Q)
    found = (x if order is None else jnp.take(x, order) for x, order in zip(lam, orders))
    return bases, tuple(found)


def next_bases(S: tuple, Q: tuple) -> tuple[tuple, tuple]:
    """A step of power iteration for both bases, and the permutations of their columns."""
    bases: list[Any] = [None, None]
    orders: list[Any] = [None, None]
    for side in (0, 1):
        if Q[side] is not None:
            top = jnp.max(jnp.abs(S[side])).astype(S[side].dtype)  # QR fails near the least numbers
            scaled = safe_divide(S[side], top)
            bases[side], orders[side] = inverse_roots.next_basis(scaled, Q[side])
    return (bases[0], bases[1]), (orders[0], orders[1])


@transformation(kind="optimizer")
def kl_shampoo(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    every: int = 10,
    max_precond_dim: int = 10000,
    init_factor: Positive | None = None,
    mu_dtype: Any = None,
    *,
    consistent_rms: NonNegative | None = None,
    matrix_axes: Any = None,
):
    """KL-Shampoo: two-sided whitening by the Kronecker factors of least KL divergence.

        W ← W − η·(S_a^(−1/2)·M·S_b^(−1/2) + λW)

    Vectors are updated as by RMSProp with momentum.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.kl_shampoo(1e-3, max_precond_dim=100).init(jnp.ones([20, 300]))[0]
    >>> jax.tree.map(jnp.shape, (state.covariance, state.eigenvalues))
    (((20, 20), None), ((20,), (300,)))

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the covariances, in [0, 1).
        eps: The least eigenvalue, as a fraction of the largest.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        every: Steps from one decomposition of the covariances to the next.
        max_precond_dim: Longer sides are whitened entry by entry.
        init_factor: The factors start as this multiple of I; see `scale_by_kl_shampoo`.
        mu_dtype: Dtype in which the mean gradients are kept; float32 or wider by default.
        consistent_rms: Root mean square of the updates of matrices; None for what they are. See
            `scale_to_rms`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_kl_shampoo`.

    Reference: Lin, Lowe, Dangel, Eschenhagen, Xu and Grosse, Understanding and improving Shampoo
        and SOAP via Kullback-Leibler minimization, 2025, https://arxiv.org/abs/2509.03378
    """
    part = scale_by_kl_shampoo(
        b1,
        b2,
        eps,
        every,
        max_precond_dim,
        init_factor,
        mu_dtype,
        matrix_axes=matrix_axes,
    )
    return chain(
        with_rms(part, consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
