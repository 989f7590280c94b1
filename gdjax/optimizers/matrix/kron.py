"""PSGD-Kron: Kronecker-factored preconditioner with triangular factors, without inverses."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular

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
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import abs_sq, debias, ema, increment, safe_divide, zero_count
from gdjax.core.rule.roles import Count, Key, Mean, PerMatrix
from gdjax.schedules.decays import exponential_decay
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms
from gdjax.transforms.noise import judge_key, key_data, key_of, leaf_keys
from gdjax.transforms.norms import shorten

__all__ = ["KronState", "kron", "scale_by_kron"]

ROUNDING = 2.0**-11.5  # the root of 2⁻²³, the rounding of float32
MODES = (None, "smart_one_diag", "one_diag", "all_diag")
# Every step in the first 500 steps, then less and less often, in the end every 34th step.
PROBABILITY = exponential_decay(1.0, 1000, math.exp(-1), 500, end_value=0.03)


class KronState(NamedTuple):
    """State of `scale_by_kron`."""

    count: Count
    since: Count  # steps since the preconditioner was fitted
    rng_key: Key  # stays the same
    mu: Mean  # of the gradients
    factors: PerMatrix  # for [m, n] a pair of [m, m] or [m] and [n, n] or [n], or None


@transformation
def scale_by_kron(
    b1: Decay = 0.9,
    preconditioner_update_probability: NonNegative | None = None,
    max_size_triangular: int = 8192,
    memory_save_mode: str | None = None,
    momentum_into_precond_update: bool = True,
    precond_lr: NonNegative = 0.1,
    precond_init_scale: Positive = 1.0,
    damping: Positive = ROUNDING,
    clipping_threshold: Positive | None = 1.1,
    mu_dtype: Any = None,
    key: Any = 0,
    *,
    matrix_axes: Any = None,
):
    """PSGD-Kron scaling: whitens the momentum by P = QᵀQ, Q = Q_a ⊗ Q_b, upper triangular.

        M ← β·M + (1 − β)·G,    M̂ = M / (1 − βᵗ)
        every 1/p steps, with entries of V from N(0, 1) and Ĝ = M̂ + δ·mean|M̂|·V:
            A = Q_a·Ĝ·Q_bᵀ,    B = Q_a⁻ᵀ·V·Q_b⁻¹
            Q_a ← Q_a − μ·triu(A·Aᵀ − B·Bᵀ)·Q_a / ‖A·Aᵀ + B·Bᵀ‖    and Q_b with Aᵀ, Bᵀ
        u = P·M̂ = Q_aᵀ·Q_a·M̂·Q_bᵀ·Q_b,    u ← u·min(1, d / rms(u))

    This is a gradient step on the group of triangular matrices for the mean of gᵀPg + vᵀP⁻¹v,
    which is least at P = (E ggᵀ)^(−1/2). The norm is a lower bound on the spectral norm, by two
    products from the longest column. Then both factors are scaled to the same largest entry, which
    leaves P as it is. A zero gradient changes no factor. Vectors have one diagonal factor.
    Derivatives treat the factors as constants.

    The factors are fitted when 1/p steps have passed, p the probability: as often on average, but
    not at random. V depends on the key, the step, the path of the array and the index of the
    matrix in it, and not on the sharding of arrays.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.scale_by_kron(memory_save_mode="one_diag")
    >>> jax.tree.map(jnp.shape, tx.init({"w": jnp.ones((2, 3)), "b": jnp.ones(3)}).factors)
    {'b': ((3,), None), 'w': ((2, 2), (3,))}

    Args:
        b1: β in [0, 1).
        preconditioner_update_probability: p; None for 1 in the first 500 steps, then
            e^(−t/1000), not less than 0.03.
        max_size_triangular: Longer sides have a diagonal factor.
        memory_save_mode: Which other factors are diagonal: "one_diag" that of the longer side, of
            the last where both are equal; "smart_one_diag" of the longer side alone; "all_diag"
            both.
        momentum_into_precond_update: Fits to M̂; False fits to G.
        precond_lr: μ ≥ 0, less than 1.
        precond_init_scale: Q starts as this multiple of I.
        damping: δ > 0, against unbounded growth of Q in directions without gradient.
        clipping_threshold: d > 0; None does not clip.
        mu_dtype: Dtype in which M is kept; float32 or wider by default.
        key: A seed, or a key of `jax.random`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: Unknown `memory_save_mode`; an array of more than two axes without
            `matrix_axes`.

    Reference: Li, Preconditioned stochastic gradient descent, 2015,
        https://arxiv.org/abs/1512.04202; Li, Black box Lie group preconditioners for SGD, 2022,
        https://arxiv.org/abs/2211.04422
    """
    judge_key("scale_by_kron", key)
    if memory_save_mode not in MODES:
        must = "memory_save_mode must be None, 'one_diag', 'smart_one_diag' or 'all_diag'"
        errors.fail("scale_by_kron", must, memory_save_mode)
    about = {"axes": matrix_axes, "where": "scale_by_kron"}

    def factors(p):
        kinds = kinds_of(p.shape, max_size_triangular, memory_save_mode)
        scale = precond_init_scale ** (1 / sum(kind is not None for kind in kinds))
        real = jnp.finfo(p.dtype).dtype
        return tuple(
            None
            if kind is None
            else scale * (jnp.eye(n, dtype=p.dtype) if kind == "triangle" else jnp.ones(n, real))
            for n, kind in zip(p.shape, kinds)
        )

    def init(params):
        mu = tree.moment_like(params, mu_dtype)
        Q = matrices.per_matrix(factors, params, **about)
        return KronState(zero_count(), zero_count(), key_data(key), mu, Q)

    def update(updates, state, params=None, **extra):
        t, since = increment(state.count), increment(state.since)
        p = preconditioner_update_probability
        p = PROBABILITY(state.count) if p is None else p
        due = numerics.weak(since.astype(float)) * numerics.weak(p) > 1 - 1e-6  # 49·(1/49) < 1
        c = debias(b1, t)
        _, mu = tree.evolve(lambda g, m: (g, ema(m, g, b1)), (updates, state.mu))
        of_step = jax.random.fold_in(key_of(state.rng_key, key), state.count)
        keys = matrix_keys(of_step, updates, about)

        def leaf(g, Q, k, M):
            M = M / c
            x = lax.stop_gradient(M if momentum_into_precond_update else g)
            normal = lambda: jax.random.normal(key_of(k, key), x.shape, x.dtype)
            Q = refresh_if(due, lambda: fit(Q, x, normal(), precond_lr, damping), Q)
            u = across(across(M, Q), Q, adjoint=True)
            if clipping_threshold is not None:
                rms = numerics.norm(u) / max(u.size, 1) ** 0.5
                u = shorten(u, rms, clipping_threshold)
            return u, Q, k

        updates, Q, _ = matrices.evolve(leaf, (updates, state.factors, keys), mu, **about)
        since = jnp.where(due, jnp.zeros_like(since), since)
        return updates, KronState(t, since, state.rng_key, mu, Q)

    return init, update


def kinds_of(shape: tuple[int, ...], longest: int, mode: str | None) -> list[str | None]:
    """For each side of a matrix: triangle, diagonal, or None for a side without a factor."""
    m, n = shape
    if min(m, n) == 1:
        return ["diagonal" if n == 1 else None, None if n == 1 else "diagonal"]
    diagonal = [side > longest or mode == "all_diag" for side in shape]
    if mode == "one_diag" or (mode == "smart_one_diag" and m != n):
        diagonal[0 if m > n else 1] = True
    return ["diagonal" if flag else "triangle" for flag in diagonal]


def matrix_keys(key: jax.Array, updates: Any, about: dict[str, Any]) -> Any:
    """The data of a key for each matrix, from `key`, the path of its array and its index there."""
    counts = matrices.per_matrix(lambda p: jnp.zeros([], jnp.uint32), updates, **about)

    def each(k: jax.Array, zeros: jax.Array | None) -> jax.Array | None:
        if zeros is None:
            return None
        numbers = jnp.arange(zeros.size, dtype=jnp.uint32)
        data = jax.random.key_data(jax.vmap(jax.random.fold_in, (None, 0))(k, numbers))
        return data.reshape(*zeros.shape, *data.shape[1:])

    return jax.tree.map(each, leaf_keys(key, updates), counts)


def across(x: jax.Array, Q: tuple, adjoint: bool = False, inverse: bool = False) -> jax.Array:
    """Q_a·x·Q_bᴴ; its adjoint Q_aᴴ·x·Q_b; its inverse Q_a⁻ᴴ·x·Q_b⁻¹; None stands for I."""
    for q in Q:
        if q is not None and q.ndim == 1:
            x = x / q[:, None].astype(x.dtype) if inverse else x * q[:, None].astype(x.dtype)
        elif q is not None and inverse:
            x = solve_triangular(q, x, trans="C")
        elif q is not None:
            x = (q.mT.conj() if adjoint else q) @ x
        x = x.mT.conj()  # one side, then the other; transposed twice
    return x


def fit(Q: tuple, g: jax.Array, V: jax.Array, rate: Any, damping: Any) -> tuple:
    """One step of both factors towards P = (E ggᴴ)^(−1/2); no change where g is 0."""
    size = jnp.max(jnp.abs(g))
    A = across(g + (damping * jnp.mean(jnp.abs(g))).astype(g.dtype) * V, Q)
    B = across(V, Q, inverse=True)
    top = jnp.maximum(jnp.max(jnp.abs(A)), jnp.max(jnp.abs(B))).astype(g.dtype)
    A, B = safe_divide(A, top), safe_divide(B, top)  # a common factor cancels
    fitted: list[Any] = []
    for q in Q:
        fitted.append(None if q is None else jnp.where(size > 0, descend(q, A, B, rate), q))
        A, B = A.mT.conj(), B.mT.conj()
    return balance(tuple(fitted))


def descend(q: jax.Array, A: jax.Array, B: jax.Array, rate: Any) -> jax.Array:
    """Q − rate·triu(A·Aᴴ − B·Bᴴ)·Q / ‖A·Aᴴ + B·Bᴴ‖; elementwise for a diagonal Q."""
    if q.ndim == 1:
        a, b = jnp.sum(abs_sq(A), 1), jnp.sum(abs_sq(B), 1)
        return q - rate * safe_divide((a - b) * q, jnp.max(a + b))
    a, b = A @ A.mT.conj(), B @ B.mT.conj()
    return q - rate * safe_divide(jnp.triu(a - b) @ q, norm_from_below(a + b).astype(q.dtype))


def norm_from_below(a: jax.Array) -> jax.Array:
    """A lower bound on the spectral norm of a Hermitian matrix, by two products."""
    v = a @ jnp.take(a, jnp.argmax(jnp.sum(abs_sq(a), 0)), 1)
    return numerics.norm(a @ safe_divide(v, numerics.norm(v).astype(v.dtype)))


def balance(Q: tuple) -> tuple:
    """The factors scaled to the same largest entry, with the same product."""
    if any(q is None for q in Q):
        return Q
    roots = [jnp.sqrt(jnp.max(jnp.abs(q))) for q in Q]
    both = roots[0] * roots[1]
    return tuple(q * (both / root / root).astype(q.dtype) for q, root in zip(Q, roots))


@transformation(kind="optimizer")
def kron(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    preconditioner_update_probability: NonNegative | None = None,
    max_size_triangular: int = 8192,
    memory_save_mode: str | None = None,
    momentum_into_precond_update: bool = True,
    precond_lr: NonNegative = 0.1,
    precond_init_scale: Positive = 1.0,
    damping: Positive = ROUNDING,
    clipping_threshold: Positive | None = 1.1,
    mu_dtype: Any = None,
    key: Any = 0,
    *,
    consistent_rms: NonNegative | None = None,
    matrix_axes: Any = None,
):
    """PSGD-Kron: momentum whitened by an inverse-free Kronecker-factored preconditioner.

        W ← W − η·(Q_aᵀ·Q_a·M·Q_bᵀ·Q_b + λW)

    Entries of the updates are about η. A third of Adam's learning rate and three to ten times its
    weight decay are good values.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, w = gd.kron(0.5, preconditioner_update_probability=0.5), jnp.ones((2, 2))
    >>> tx.update(w, tx.init(w), w)[0].round(4)
    Array([[-0.5, -0.5],
           [-0.5, -0.5]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        preconditioner_update_probability: How often the factors are fitted; see `scale_by_kron`.
        max_size_triangular: Longer sides have a diagonal factor.
        memory_save_mode: Which other factors are diagonal; see `scale_by_kron`.
        momentum_into_precond_update: Fits to the mean gradient; False fits to the gradient.
        precond_lr: Learning rate of the factors, less than 1.
        precond_init_scale: Q starts as this multiple of I.
        damping: Noise added to the gradient in the fit, relative to its mean absolute entry.
        clipping_threshold: Largest root mean square of an update over η; None does not clip.
        mu_dtype: Dtype in which the mean gradient is kept; float32 or wider by default.
        key: A seed, or a key of `jax.random`.
        consistent_rms: Root mean square of the updates of matrices; None for what they are. See
            `scale_to_rms`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_kron`.

    Reference: Li, Preconditioned stochastic gradient descent, 2015,
        https://arxiv.org/abs/1512.04202; Li, Black box Lie group preconditioners for SGD, 2022,
        https://arxiv.org/abs/2211.04422
    """
    part = scale_by_kron(
        b1,
        preconditioner_update_probability,
        max_size_triangular,
        memory_save_mode,
        momentum_into_precond_update,
        precond_lr,
        precond_init_scale,
        damping,
        clipping_threshold,
        mu_dtype,
        key,
        matrix_axes=matrix_axes,
    )
    return chain(
        with_rms(part, consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
