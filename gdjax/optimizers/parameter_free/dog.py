"""Distance over gradients: DoG, layer-wise DoG, and DoWG."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import (
    Hyperparam,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import safe_divide, safe_sqrt, weak
from gdjax.core.rule.roles import PerParam, Scalar, Scalars
from gdjax.transforms.basic import identity, scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = [
    "DoGState",
    "DoWGState",
    "ScaleByDistanceOverGradientsState",
    "dog",
    "dowg",
    "scale_by_distance_over_gradients",
    "scale_by_dog",
    "scale_by_dowg",
]


class DoGState(NamedTuple):
    """State of `scale_by_dog`."""

    is_init_step: Scalar  # bool: before the first step
    init_params: PerParam  # the initial parameters
    max_dist: Scalar  # r̄
    sum_sq_norm_grads: Scalar  # G


class DoWGState(NamedTuple):
    """State of `scale_by_dowg`."""

    init_params: PerParam  # the initial parameters
    weighted_sq_norm_grads: Scalar  # v
    estim_sq_dist: Scalar  # r̄²


class ScaleByDistanceOverGradientsState(NamedTuple):
    """State of `scale_by_distance_over_gradients`."""

    max_dist: Scalars  # for each leaf r̄
    grad_sum_of_squares: Scalars  # for each leaf G
    init_params: PerParam  # the initial parameters


def _distance(updates: Any, start: Any, params: Any) -> jax.Array:
    return tree.norm(tree.map(lambda g, x0, x: x - x0, updates, start, params))


@transformation
def scale_by_dog(init_step: tuple[str, Any] = ("heuristic", 1e-6), eps: NonNegative = 1e-8):
    """DoG scaling: gradient times the distance from the start over the root of all ‖g‖².

        r̄ ← max(r̄, ‖θ − θ₀‖)      G ← G + ‖g‖²      u = r̄ / √(G + eps) · g
        with "distance": r̄₀ = α
        with "heuristic": r̄₀ = α·(1 + ‖θ₀‖)
        with "learning_rate": u = r̄ / √(G + eps) · g, in the first step α·g

    Norms are over all leaves. While the gradients are zero, u is zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_dog(("distance", 10.0))
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round()
    Array([ 6., -8.], dtype=float32)

    Args:
        init_step: α in a pair that sets the first step: `("distance", α)`, `("heuristic", α)` or
            `("learning_rate", α)`.
        eps: In the units of the squared gradient.

    Raises:
        ValueError: `update` was called without params, or the first of the pair is unknown.

    Reference: Ivgi, Hinder and Carmon, DoG is SGD's best friend: a parameter-free dynamic step size
        schedule, 2023, https://arxiv.org/abs/2302.12022
    """
    kind, value = init_step
    if kind not in ("distance", "heuristic", "learning_rate"):
        must = "init_step must begin with 'distance', 'heuristic' or 'learning_rate'"
        errors.fail("scale_by_dog", must, kind)

    def init(params):
        far = tree.scalar_like(params, 0.0 if kind == "learning_rate" else value)
        if kind == "heuristic":
            far = far * (1 + numerics.like(tree.norm(params), far))
        return DoGState(jnp.ones([], bool), tree.copy(params), far, tree.scalar_like(params))

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_dog", params)
        far, total = state.max_dist, state.sum_sq_norm_grads
        far = jnp.maximum(far, numerics.like(_distance(updates, state.init_params, params), far))
        total = total + numerics.like(tree.norm(updates) ** 2, total)
        rate = safe_divide(far, safe_sqrt(total + eps))
        if kind == "learning_rate":
            rate = jnp.where(state.is_init_step, value, rate)
        rate = weak(rate)
        u = tree.map(lambda g: rate * g, updates)
        return u, DoGState(jnp.zeros([], bool), state.init_params, far, total)

    return Rule(init, update, couples=True)


@transformation(kind="optimizer")
def dog(
    learning_rate: LearningRate = 1.0,
    init_step: tuple[str, Any] = ("heuristic", 1e-6),
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay | None = None,
    mask: Mask = None,
):
    """DoG: parameter-free SGD, with the distance from the start over gradient norms as step size.

        with weight_decay: g ← g + λθ
        r̄ ← max(r̄, ‖θ − θ₀‖)      G ← G + ‖g‖²      θ ← θ − η · r̄ / √(G + eps) · g
        with "distance": r̄₀ = α
        with "heuristic": r̄₀ = α·(1 + ‖θ₀‖)
        with "learning_rate": θ ← θ − η · r̄ / √(G + eps) · g, in the first step θ − ηα·g

    The rate needs no tuning: leave η at 1. The authors evaluate at an average of the iterates.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.dog(init_step=("distance", 0.1))
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round(4)
    Array([-0.06,  0.08], dtype=float32)

    Args:
        learning_rate: η ≥ 0, a factor of the rate that is found.
        init_step: α in a pair that sets the first step; see `scale_by_dog`.
        eps: In the units of the squared gradient.
        weight_decay: λ ≥ 0: L2 regularization, added to the gradient; None for none.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Ivgi, Hinder and Carmon, DoG is SGD's best friend: a parameter-free dynamic step size
        schedule, 2023, https://arxiv.org/abs/2302.12022
    """
    return chain(
        identity() if weight_decay is None else add_decayed_weights(weight_decay, mask),
        scale_by_dog(init_step, eps),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def scale_by_distance_over_gradients(
    reps_rel: NonNegative = 1e-6,
    eps: NonNegative = 1e-8,
    state_dtype: Any = None,
    global_scale: Hyperparam = 1.0,
):
    """Layer-wise DoG scaling: each leaf times its distance from the start over the root of ‖g‖².

        r̄ ← max(r̄, ‖θ − θ₀‖)      G ← G + ‖g‖²      u = c · r̄ / √(G + eps) · g
        r̄₀ = α·(1 + ‖θ₀‖)

    Norms are over one leaf.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.scale_by_distance_over_gradients(0.1), gd.scale(-1.0))
    >>> params = {"w": jnp.zeros(2), "b": jnp.ones(1)}
    >>> tx.update({"w": jnp.array([3.0, 4.0]), "b": jnp.ones(1)}, tx.init(params), params)[0]
    {'b': Array([-0.2], dtype=float32), 'w': Array([-0.06, -0.08], dtype=float32)}

    Args:
        reps_rel: α ≥ 0.
        eps: In the units of the squared gradient.
        state_dtype: Dtype in which θ₀ is kept; that of the parameters by default.
        global_scale: c, of either sign.

    Raises:
        ValueError: `update` was called without params.

    Reference: Ivgi, Hinder and Carmon, DoG is SGD's best friend: a parameter-free dynamic step size
        schedule, 2023, https://arxiv.org/abs/2302.12022
    """

    def init(params):
        start = tree.copy(params)
        if state_dtype is not None:
            start = tree.add(tree.moment_like(params, state_dtype), start)
        zeros = jax.tree.map(tree.scalar_like, start)
        far = jax.tree.map(
            lambda x0, r: reps_rel * (1 + numerics.like(tree.norm(x0), r)), start, zeros
        )
        return ScaleByDistanceOverGradientsState(far, zeros, start)

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_distance_over_gradients", params)

        def leaf(g, far, total, x0, x):
            far = jnp.maximum(far, numerics.norm(x - x0))
            total = total + numerics.norm(g) ** 2
            return (
                global_scale * safe_divide(far, safe_sqrt(total + eps)).astype(g.dtype) * g,
                far,
                total,
            )

        trees = (updates, state.max_dist, state.grad_sum_of_squares)
        u, far, total = tree.evolve(leaf, trees, state.init_params, params)
        return u, ScaleByDistanceOverGradientsState(far, total, state.init_params)

    return init, update


@transformation
def scale_by_dowg(init_estim_sq_dist: Positive | None = None, eps: NonNegative = 1e-4):
    """DoWG scaling: gradient times the squared distance from the start over weighted norms.

        q ← max(q, ‖θ − θ₀‖²)      v ← v + q·‖g‖²      u = q / (√v + eps) · g
        with init_estim_sq_dist: q₀ = init_estim_sq_dist
        without init_estim_sq_dist: q₀ = eps

    Norms are over all leaves.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_dowg(100.0, eps=0.0)
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round()
    Array([ 6., -8.], dtype=float32)

    Args:
        init_estim_sq_dist: The first q, a squared distance, > 0; eps by default.
        eps: In the units of the gradient times those of the parameters.

    Raises:
        ValueError: `update` was called without params.

    Reference: Khaled, Mishchenko and Jin, DoWG unleashed: an efficient universal parameter-free
        gradient descent method, 2023, https://arxiv.org/abs/2305.16284
    """

    def init(params):
        first = eps if init_estim_sq_dist is None else init_estim_sq_dist
        return DoWGState(
            tree.copy(params), tree.scalar_like(params), tree.scalar_like(params, first)
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_dowg", params)
        total, square = state.weighted_sq_norm_grads, state.estim_sq_dist
        distance = numerics.like(_distance(updates, state.init_params, params), square)
        square = jnp.maximum(square, distance**2)
        total = total + square * numerics.like(tree.norm(updates), total) ** 2
        rate = weak(safe_divide(square, safe_sqrt(total) + eps))
        u = tree.map(lambda g: rate * g, updates)
        return u, DoWGState(state.init_params, total, square)

    return Rule(init, update, couples=True)


@transformation(kind="optimizer")
def dowg(
    learning_rate: LearningRate = 1.0,
    init_estim_sq_dist: Positive | None = None,
    eps: NonNegative = 1e-4,
    weight_decay: WeightDecay | None = None,
    mask: Mask = None,
):
    """DoWG: parameter-free SGD by the distance over weighted gradients.

        with weight_decay: g ← g + λθ
        q ← max(q, ‖θ − θ₀‖²)      v ← v + q·‖g‖²      θ ← θ − η · q / (√v + eps) · g
        with init_estim_sq_dist: q₀ = init_estim_sq_dist
        without init_estim_sq_dist: q₀ = eps

    DoG with more weight on recent gradients, taken farther from the start. Leave η at 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.dowg(init_estim_sq_dist=0.01, eps=0.0)
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round(4)
    Array([-0.06,  0.08], dtype=float32)

    Args:
        learning_rate: η ≥ 0, a factor of the rate that is found.
        init_estim_sq_dist: The first q, a squared distance, > 0; eps by default.
        eps: In the units of the gradient times those of the parameters.
        weight_decay: λ ≥ 0: L2 regularization, added to the gradient; None for none.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Khaled, Mishchenko and Jin, DoWG unleashed: an efficient universal parameter-free
        gradient descent method, 2023, https://arxiv.org/abs/2305.16284
    """
    return chain(
        identity() if weight_decay is None else add_decayed_weights(weight_decay, mask),
        scale_by_dowg(init_estim_sq_dist, eps),
        scale_by_learning_rate(learning_rate),
    )
