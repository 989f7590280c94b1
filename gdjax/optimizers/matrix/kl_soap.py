"""KL-SOAP: Adam in the eigenbasis of the Kronecker factors of least KL divergence."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, MatrixMeanSquare, Mean, PerMatrix
from gdjax.optimizers.matrix.kl_shampoo import next_bases, start, update_factors
from gdjax.optimizers.matrix.soap import rotate, rotate_back
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms

__all__ = ["KLSoapState", "kl_soap", "scale_by_kl_soap"]


class KLSoapState(NamedTuple):
    """State of `scale_by_kl_soap`; pairs for a matrix [m, n], of None for vectors.

    In a pair of `covariance` and `basis`, None also stands for a side longer than
    `max_precond_dim`.
    """

    count: Count
    mu: Mean  # of the gradients, in the parameters' own axes
    nu: MatrixMeanSquare  # of the gradients, in the eigenbasis
    covariance: PerMatrix  # [m, m], [n, n]: S
    basis: PerMatrix  # [m, m], [n, n]: Q, approximate eigenvectors of S
    eigenvalues: PerMatrix  # [m], [n]: λ, means along the columns of Q


@transformation
def scale_by_kl_soap(
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    b3: Decay | None = None,
    every: int = 10,
    max_precond_dim: int = 10000,
    mu_dtype: Any = None,
    *,
    factor_eps: NonNegative = 1e-8,
    matrix_axes: Any = None,
):
    """KL-SOAP scaling: Adam in the eigenbasis of the covariances S_a, S_b of KL-Shampoo.

        S_a ← β₃·S_a + (1 − β₃)·G·S_b⁻¹·Gᵀ / n,    S_b ← β₃·S_b + (1 − β₃)·Gᵀ·S_a⁻¹·G / m
        Q ← the orthogonal factor of S·Q, by QR    for each side, every f steps
        V ← β₂·V + (1 − β₂)·(Q_aᵀ·G·Q_b)²
        u = Q_a·(Q_aᵀ·M̂·Q_b / (√V̂ + ε))·Q_bᵀ

    with M̂ and V̂ as in Adam, and the inverses of S as in `scale_by_kl_shampoo`. SOAP's statistics
    are the same with S⁻¹ = I. The bases contain the gradient of the step that they are used in, so
    with f = 1 they are never behind: at large batches stale bases are a cause of SOAP's spikes, and
    QR in every step is the remedy of the second reference. Before QR the columns of Q are
    sorted, and V with them. Vectors are updated by Adam. Derivatives treat the bases as constants.

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, in the units of the gradient.
        b3: β₃ in [0, 1); None for β₂.
        every: f ≥ 1, the steps from one QR to the next.
        max_precond_dim: Longer sides are not rotated, and have a diagonal S.
        mu_dtype: Dtype in which M is kept; float32 or wider by default.
        factor_eps: The least eigenvalue of S in an inverse, as a fraction of the largest.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `every` is less than 1; an array of more than two axes without `matrix_axes`.

    Reference: Lin, Lowe, Dangel, Eschenhagen, Xu and Grosse, Understanding and improving Shampoo
        and SOAP via Kullback-Leibler minimization, 2025, https://arxiv.org/abs/2509.03378; Khona et
        al., SOAP, Muon, and beyond: pushing LLM pretraining scales, 2026,
        https://arxiv.org/abs/2607.20548
    """
    errors.check_counts("scale_by_kl_soap", every=every)
    about = {"axes": matrix_axes, "where": "scale_by_kl_soap"}

    def pair(make, longest=None):
        """A state for each side of a matrix that is at most `longest`."""

        def both(p):
            kept = [min(p.shape) > 1 and (longest is None or n <= longest) for n in p.shape]
            return tuple(make(n, p.dtype) if k else None for n, k in zip(p.shape, kept))

        return both

    def init(params):
        per = lambda make: matrices.per_matrix(make, params, **about)
        zeros = lambda n, dtype: jnp.zeros((n, n), dtype)
        eye = lambda n, dtype: jnp.eye(n, dtype=dtype)
        real = lambda n, dtype: jnp.zeros(n, jnp.finfo(dtype).dtype)
        return KLSoapState(
            zero_count(),
            tree.moment_like(params, mu_dtype),
            per(lambda p: tree.filled_like(p, 0, jnp.finfo(p.dtype).dtype)),
            per(pair(zeros, max_precond_dim)),
            per(pair(eye, max_precond_dim)),
            per(pair(real)),
        )

    def update(updates, state, params=None, **extra):
        due = state.count % every == 0
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)
        _, mu = tree.evolve(lambda g, m: (g, ema(m, g, b1)), (updates, state.mu))

        def leaf(g, V, S, Q, lam, M):
            if lam != (None, None):
                h = lax.stop_gradient(g)
                size = numerics.norm(h) / max(h.size, 1) ** 0.5
                S, lam = start(S, lam, size)
                S, lam = update_factors(h, S, Q, lam, b2 if b3 is None else b3, factor_eps)
                Q, lam, V = refresh_if(due, lambda: turned(S, Q, lam, V), (Q, lam, V))
            V = ema(V, abs_sq(rotate(g, Q)), b2)
            u = rotate_back(divide_by_root(rotate(M, Q) / c1, V / c2, eps), Q)
            return u, V, S, Q, lam

        trees = updates, state.nu, state.covariance, state.basis, state.eigenvalues
        updates, *rest = matrices.evolve(leaf, trees, mu, **about)
        return updates, KLSoapState(t, mu, *rest)

    return init, update


def turned(S: tuple, Q: tuple, lam: tuple, V: jax.Array) -> tuple[tuple, tuple, jax.Array]:
    """The next bases, with eigenvalues and mean squares permuted as their columns."""
    bases, orders = next_bases(S, Q)
    values = list(lam)
    for side, order in enumerate(orders):
        if order is not None:
            values[side] = jnp.take(lam[side], order)
            V = jnp.take(V, order, axis=side)
    return bases, tuple(values), V


@transformation(kind="optimizer")
def kl_soap(
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
    factor_eps: NonNegative = 1e-8,
    consistent_rms: NonNegative | None = None,
    matrix_axes: Any = None,
):
    """KL-SOAP: Adam in the eigenbasis of the Kronecker factors of least KL divergence.

        W ← W − η·(Q_a · Adam(Q_aᵀ·G·Q_b) · Q_bᵀ + λW)

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.kl_soap(1e-3, max_precond_dim=100).init(jnp.ones([20, 300]))[0]
    >>> jax.tree.map(jnp.shape, (state.nu, state.basis, state.eigenvalues))
    ((20, 300), ((20, 20), None), ((20,), (300,)))

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squares, in [0, 1).
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        b3: Decay of the covariances; None for `b2`.
        every: Steps from one QR to the next; 1 is the most stable.
        max_precond_dim: Longer sides are not rotated.
        mu_dtype: Dtype in which the mean gradients are kept; float32 or wider by default.
        factor_eps: The least eigenvalue of a covariance, as a fraction of the largest.
        consistent_rms: Root mean square of the updates of matrices; None for what they are. See
            `scale_to_rms`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_kl_soap`.

    Reference: Lin, Lowe, Dangel, Eschenhagen, Xu and Grosse, Understanding and improving Shampoo
        and SOAP via Kullback-Leibler minimization, 2025, https://arxiv.org/abs/2509.03378; Khona et
        al., SOAP, Muon, and beyond: pushing LLM pretraining scales, 2026,
        https://arxiv.org/abs/2607.20548
    """
    part = scale_by_kl_soap(
        b1,
        b2,
        eps,
        b3,
        every,
        max_precond_dim,
        mu_dtype,
        factor_eps=factor_eps,
        matrix_axes=matrix_axes,
    )
    return chain(
        with_rms(part, consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
