"""Shampoo: left and right matrix preconditioners, with grafting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.compare import is_transformation
from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import inverse_roots, matrices
from gdjax.core.matrix.blocking import Cut
from gdjax.core.rule import errors, numerics
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import abs_sq, debias, ema, increment, zero_count
from gdjax.core.rule.roles import Count, PerMatrix
from gdjax.optimizers.adaptive.adagrad import scale_by_rss
from gdjax.optimizers.adaptive.rmsprop import scale_by_rms
from gdjax.transforms.basic import identity, scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms
from gdjax.transforms.momentum import ema as average
from gdjax.wrappers.graft import graft

__all__ = ["ScaleByShampooState", "scale_by_shampoo", "shampoo"]

ROOTS = {
    "eigh": inverse_roots.inverse_root,
    "newton": inverse_roots.inverse_root_by_newton,
    "cans": inverse_roots.inverse_root_by_cans,
}
LONG_SIDES = ("identity", "diagonal")


class ScaleByShampooState(NamedTuple):
    """State of `scale_by_shampoo`, for a matrix cut into a·b blocks [p, q].

    A pair for each matrix, left and right; None for a side without a preconditioner, [..., a, b, p]
    for a diagonal one.
    """

    count: Count
    statistics: PerMatrix  # ([..., a, b, p, p], [..., a, b, q, q]): of G·Gᵀ and Gᵀ·G
    preconditioners: PerMatrix  # the same shapes: inverse roots, as of the last refresh


def each_side(function: Callable[..., Any], pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """`function(side, x)` for the left and the right side; None where x is None."""
    left, right = (None if x is None else function(side, x) for side, x in enumerate(pair))
    return left, right


def is_full(s: jax.Array) -> bool:
    """Whether a side has a matrix, [a, b, p, p], or a diagonal, [a, b, p]."""
    return s.ndim == 4


def second_moment(x: jax.Array, side: int, full: bool) -> jax.Array:
    """X·Xᵀ for the left side, Xᵀ·X for the right one; or their diagonals."""
    if not full:
        return jnp.sum(abs_sq(x), -2 if side else -1)
    return x.mT.conj() @ x if side else x @ x.mT.conj()


def apply(y: jax.Array, x: jax.Array, side: int) -> jax.Array:
    """Y·X on the left side, X·Y on the right one."""
    if is_full(y):
        return x @ y if side else y @ x
    return x * jnp.expand_dims(y, -2 if side else -1).astype(x.dtype)


def inverse_root(s: jax.Array, root: int, eps: Any, method: str) -> jax.Array:
    """(S + eps·λ₁·I) to the power −1/root, 0 where that is 0."""
    if is_full(s):
        return ROOTS[method](s, root, eps)
    ridged = s + eps * jnp.max(s, -1, keepdims=True)
    zero = ridged == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, ridged) ** (-1 / root))


@transformation
def scale_by_shampoo(
    b2: Decay | None = 0.999,
    eps: NonNegative = 1e-6,
    initial_accumulator_value: NonNegative = 0.0,
    *,
    root: int | None = None,
    method: str = "eigh",
    every: int = 10,
    start_step: int = 0,
    block_size: int | None = 1024,
    max_precond_dim: int | None = None,
    long_sides: str = "identity",
    matrix_axes: Any = None,
):
    """Shampoo scaling: gradient times inverse roots of its left and right second moments.

        L ← β₂·L + (1 − β₂)·G·Gᵀ,    R ← β₂·R + (1 − β₂)·Gᵀ·G        sums where β₂ is None
        L̂ = L / (1 − β₂ᵗ),           R̂ = R / (1 − β₂ᵗ)
        U = (L̂ + ε·λ₁(L̂)·I)^(−1/4) · G · (R̂ + ε·λ₁(R̂)·I)^(−1/4)

    With one preconditioner alone the power is −1/2: for a vector, and where one side is longer than
    `max_precond_dim`. With β₂ = 0 and ε = 0, U is the orthogonal factor of G.

    A large matrix is split into blocks, each preconditioned as a matrix of its own.

    Args:
        b2: β₂ in [0, 1), or None to add up, as the first paper does.
        eps: ε ≥ 0, relative to the largest eigenvalue λ₁.
        initial_accumulator_value: L and R before the first step are this times I; the first paper's
            ε. In the units of the squared gradient.
        root: p of the power −1/p of every preconditioner; None for twice the number of
            preconditioned sides.
        method: How a root is computed: "eigh", by eigenvalues, "newton", by 30 steps of a coupled
            Newton iteration, or "cans", by 14 cubic polynomials for each square root, for roots
            that are powers of two. The last two are matrix products alone; a 4th root takes 120 of
            them, or 84, a square root 90, or 42.
        every: Steps from one computation of the roots to the next. The other steps do not pay for
            it.
        start_step: Number of first steps that update L and R and return the gradient.
        block_size: Largest side of a block; None for no blocks.
        max_precond_dim: Longer sides have no matrix preconditioner; None for no limit.
        long_sides: The preconditioner of longer sides: "identity", none, or "diagonal", the
            diagonal of L or R. A vector with a diagonal is updated as by AdaGrad or RMSProp.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: Unknown `method` or `long_sides`; `every`, `block_size` or `root` less than 1; a
            root for "cans" that is not a power of two; an array of more than two axes without
            `matrix_axes`.

    Reference: Gupta, Koren and Singer, Shampoo: preconditioned stochastic tensor optimization,
        2018, https://arxiv.org/abs/1802.09568; Anil et al., Scalable second order optimization for
        deep learning, 2020, https://arxiv.org/abs/2002.09018; Shi et al., A distributed
        data-parallel PyTorch implementation of the distributed Shampoo optimizer for training
        neural networks at-scale, 2023, https://arxiv.org/abs/2309.06497
    """
    _check(method, long_sides, root, every, block_size)
    about = {"axes": matrix_axes, "where": "scale_by_shampoo"}

    def sides_of(shape):
        """For each side True for a matrix, False for a diagonal, None for no preconditioner."""

        def kind(side):
            if side == 1 < max(shape):
                return None
            short = max_precond_dim is None or side <= max_precond_dim
            return short if short or long_sides == "diagonal" else None

        left, right = map(kind, shape)
        return left, None if shape == (1, 1) else right

    def both(make, params):
        """A state for the sides of each matrix; `make` makes it for a side of one block."""

        def of(p):
            cut = Cut.of(p.shape, block_size)

            def one(n, full):
                x = make(n, dtype=p.dtype) if full else jnp.ones(n, jnp.finfo(p.dtype).dtype)
                return jnp.broadcast_to(x, (*cut.count, *x.shape))

            found = zip(cut.sides, sides_of(p.shape))
            return tuple(None if full is None else one(n, full) for n, full in found)

        return matrices.per_matrix(of, params, **about)

    def init(params):
        units = both(jnp.eye, params)
        scale = numerics.weak(initial_accumulator_value)
        statistics = jax.tree.map(lambda x: x * scale, units)
        return ScaleByShampooState(zero_count(), statistics, units)

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = 1.0 if b2 is None else debias(b2, t)
        since = state.count - start_step
        due = (since >= 0) & (since % every == 0)

        def leaf(g, S, Y):
            cut = Cut.of(g.shape, block_size)
            x = cut.blocks(g)
            p = 2 * sum(s is not None for s in S) if root is None else root

            def updated(side, s):
                square = second_moment(x, side, is_full(s))
                return s + square if b2 is None else ema(s, square, b2)

            after = each_side(updated, S)
            refreshed = lambda: each_side(lambda _, s: inverse_root(s / c, p, eps, method), after)
            now = refresh_if(due, refreshed, Y)
            for side, y in enumerate(now):
                x = x if y is None else apply(y, x, side)
            return cut.whole(x), after, now

        trees = updates, state.statistics, state.preconditioners
        updates, statistics, preconditioners = matrices.evolve(leaf, trees, **about)
        return updates, ScaleByShampooState(t, statistics, preconditioners)

    return init, update


def _check(
    method: str, long_sides: str, root: int | None, frequency: int, block: int | None
) -> None:
    where = "scale_by_shampoo"
    if method not in ROOTS:
        errors.fail(where, f"method must be one of {', '.join(ROOTS)}", method)
    if long_sides not in LONG_SIDES:
        errors.fail(where, f"long_sides must be one of {', '.join(LONG_SIDES)}", long_sides)
    named = {"root": root, "every": frequency, "block_size": block}
    errors.check_counts(where, **{name: n for name, n in named.items() if n is not None})


GRAFTS = {
    "sgd": lambda b2, eps: identity(),
    "adagrad": lambda b2, eps: scale_by_rss(eps=eps),
    "rmsprop": lambda b2, eps: scale_by_rms(b2, eps),
    "adam": lambda b2, eps: scale_by_rms(b2, eps, bias_correction=True),
}


@transformation(kind="optimizer")
def shampoo(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay | None = 0.999,
    eps: NonNegative = 1e-6,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    *,
    grafting: Any = "adam",
    graft_eps: NonNegative = 1e-8,
    initial_accumulator_value: NonNegative = 0.0,
    root: int | None = None,
    method: str = "eigh",
    every: int = 10,
    start_step: int = 0,
    block_size: int | None = 1024,
    max_precond_dim: int | None = None,
    long_sides: str = "identity",
    mu_dtype: Any = None,
    consistent_rms: NonNegative | None = None,
    matrix_axes: Any = None,
):
    """Shampoo: left and right matrix preconditioners, step size grafted from Adam.

        U = L^(−1/4)·G·R^(−1/4),    N = U·‖G/√V̂‖ / ‖U‖,    M ← β₁·M + (1 − β₁)·N
        W ← W − η·(M / (1 − β₁ᵗ) + λW)

    Momentum comes after grafting, so the grafted method keeps only its second moment. The first
    paper's method is `shampoo(η, 0, None, 0, grafting=None, every=1, initial_accumulator_value=ε)`.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.shampoo(1e-3, grafting=None).init(jnp.ones([20, 30]))[0]
    >>> jax.tree.map(jnp.shape, state.statistics)
    ((1, 1, 20, 20), (1, 1, 30, 30))

    Args:
        learning_rate: η ≥ 0.
        b1: β₁ in [0, 1).
        b2: Decay of L, R and V, in [0, 1); None to add up L and R, V then has 0.999.
        eps: Ridge of L and R, relative to their largest eigenvalues.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        grafting: The method that gives the step size: "sgd", "adagrad", "rmsprop", "adam" without
            momentum, a transformation, or None for Shampoo's own.
        graft_eps: ε of the grafted method, in the units of the gradient.
        initial_accumulator_value: L and R before the first step are this times I.
        root: p of the powers −1/p; None for twice the number of preconditioned sides.
        method: How a root is computed, "eigh", "newton" or "cans"; see `scale_by_shampoo`.
        every: Steps from one computation of the roots to the next.
        start_step: Number of first steps taken by the grafted method.
        block_size: Largest side of a block; None for no blocks.
        max_precond_dim: Longer sides have no matrix preconditioner; None for no limit.
        long_sides: The preconditioner of longer sides: "identity" or "diagonal".
        mu_dtype: Dtype in which M is kept; float32 or wider by default.
        consistent_rms: Root mean square of the updates of matrices; None for what they are. See
            `scale_to_rms`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: Unknown `grafting`; `update` was called without params; see also
            `scale_by_shampoo`.

    Reference: Gupta, Koren and Singer, Shampoo: preconditioned stochastic tensor optimization,
        2018, https://arxiv.org/abs/1802.09568; Anil et al., Scalable second order optimization for
        deep learning, 2020, https://arxiv.org/abs/2002.09018; Shi et al., A distributed
        data-parallel PyTorch implementation of the distributed Shampoo optimizer for training
        neural networks at-scale, 2023, https://arxiv.org/abs/2309.06497
    """
    if not (grafting is None or is_transformation(grafting) or grafting in GRAFTS):
        must = f"grafting must be None, a transformation or one of {', '.join(GRAFTS)}"
        errors.fail("shampoo", must, grafting)
    part = scale_by_shampoo(
        b2,
        eps,
        initial_accumulator_value,
        root=root,
        method=method,
        every=every,
        start_step=start_step,
        block_size=block_size,
        max_precond_dim=max_precond_dim,
        long_sides=long_sides,
        matrix_axes=matrix_axes,
    )
    if isinstance(grafting, str):
        grafting = GRAFTS[grafting](0.999 if b2 is None else b2, graft_eps)
    if grafting is not None:
        part = graft(part, grafting, matrix_axes=matrix_axes)
    return chain(
        part,
        with_rms(average(b1, mu_dtype=mu_dtype), consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
