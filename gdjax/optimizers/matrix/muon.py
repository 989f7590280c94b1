"""Muon: orthogonalized momentum for hidden weight matrices, AdamW for other parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import debias, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["MuonState", "muon", "scale_by_muon", "scale_by_shape"]


class MuonState(NamedTuple):
    """State of `scale_by_muon`."""

    count: Count
    mu: Mean  # of the gradients


@transformation
def scale_by_muon(
    backend: Any = "standard",
    steps: int = 5,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Muon scaling: orthogonalizes the momentum of each matrix, U·S·Vᵀ to about U·Vᵀ.

        m ← β·m + (1 − β)·g
        m̂ = m / (1 − βᵗ)
        with nesterov: m̂ = (β·m + (1 − β)·g) / (1 − βᵗ⁺¹)
        X₀ = m̂ / (‖m̂‖ + eps),    X ← a·X + (b·XXᵀ + c·(XXᵀ)²)·X,    u = X₅
        adaptive: u = ⟨m̂, X₅⟩·X₅

    Vectors and scalars are matrices of one column: u is about m̂/‖m̂‖.

    Args:
        backend: (a, b, c); or a triple for each step, then `steps` is not used; or a name:
            "standard", which leaves singular values between 0.7 and 1.2, "dion" (five steps),
            "classical", "polar_express" (8 steps reach full precision), "cans" (10 cubic steps),
            "deepseek" (10 steps); or "svd" or "qdwh", exact.
        steps: Number of steps.
        b1: β in [0, 1).
        eps: In the units of the gradient.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum.
        adaptive: Scales u by the nuclear norm of m̂, so that it scales with the gradients.
        preconditioning: How X₀ is scaled: by its "frobenius", "spectral" or "schatten" (4) norm,
            or its rows by "aol".
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: Unknown coefficients or preconditioning; an array of more than two axes without
            `matrix_axes`; a dtype with an exact backend, or a real dtype for complex matrices.

    The default backend is a Newton–Schulz iteration.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/
    """
    how = polar_steps("scale_by_muon", "backend", backend, steps, dtype)
    if preconditioning not in polar.SCALINGS:
        must = f"preconditioning must be one of {', '.join(polar.SCALINGS)}"
        errors.fail("scale_by_muon", must, preconditioning)

    def orthogonal(m):
        u = polar.polar_factor(m, how, eps, preconditioning, dtype=dtype)
        return u * jnp.sum(jnp.real(jnp.conj(m) * u)).astype(u.dtype) if adaptive else u

    def init(params):
        return MuonState(zero_count(), tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = debias(b1, increment(t) if nesterov else t)

        def leaf(g, m):
            m = ema(m, g, b1)
            return (ema(m, g, b1) if nesterov else m) / c, m

        means, mu = tree.evolve(leaf, (updates, state.mu))
        updates = matrices.map(orthogonal, means, axes=matrix_axes, where="scale_by_muon")
        return updates, MuonState(t, mu)

    return init, update


@transformation
def scale_by_shape(
    matrix_axes: Any = None,
    consistent_rms: NonNegative | None = None,
    *,
    shape_factor: str = "wide",
):
    """Rescales orthogonalized updates of matrices [in, out] by a function of their shape.

        u = g · √max(1, out/in)           "wide", the default: Muon's own
        u = g · √(out/in)                 "spectral": outputs change alike for every shape
        u = g · r·√max(in, out)           entries of RMS r, similar to AdamW's for r = 0.2

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones((1, 4))
    >>> gd.scale_by_shape().update(params, gd.EmptyState(), params)[0]
    Array([[2., 2., 2., 2.]], dtype=float32)

    Args:
        matrix_axes: As in `scale_by_muon`.
        consistent_rms: r ≥ 0, in place of `shape_factor`.
        shape_factor: "wide" or "spectral".

    Raises:
        ValueError: Unknown `shape_factor`; an array of more than two axes without `matrix_axes`.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/; Liu et al., Muon is scalable for LLM training,
        2025, https://arxiv.org/abs/2502.16982
    """
    if shape_factor not in ("wide", "spectral"):
        errors.fail("scale_by_shape", "shape_factor must be 'wide' or 'spectral'", shape_factor)

    def leaf(g, sides):
        if sides is None:
            return g
        g, (rows, columns) = numerics.wide(g), sides
        if consistent_rms is not None:
            return consistent_rms * g * max(rows, columns) ** 0.5
        ratio = columns / max(rows, 1)
        return g * (max(1, ratio) if shape_factor == "wide" else ratio) ** 0.5

    def update(updates, state, params=None, **extra):
        sides = matrices.sides(updates, matrix_axes, "scale_by_shape")
        return jax.tree.map(leaf, updates, sides, is_leaf=tree.is_none), state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def muon(
    learning_rate: LearningRate,
    backend: Any = "standard",
    steps: int = 5,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    dtype: Any = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
    consistent_rms: NonNegative | None = None,
):
    """Muon: orthogonalized momentum for hidden weight matrices, AdamW for other parameters.

        W ← W − η·(√max(1, out/in)·U·Vᵀ + λW),    U·S·Vᵀ = mean gradient

    Embeddings and the last layer, though matrices, train better with AdamW. They are recognized by
    name (`.*embed.*`, `wte`, `head`, `lm_head` and so on), unless `matrix_axes` is given.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.muon(1.0, "dion")
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(1) + 0.0
    Array([[-1.,  0.],
           [ 0., -1.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        backend: See `scale_by_muon`.
        steps: Steps of the iteration.
        b1: Decay of the mean gradient, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum.
        adaptive: Scales the step by the nuclear norm of the mean gradient.
        preconditioning: See `scale_by_muon`.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_eps_root: Added under AdamW's root.
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.
        consistent_rms: Root mean square of the entries of U·Vᵀ; see `scale_by_shape`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_muon`.

    The default backend is a Newton–Schulz iteration.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/
    """
    hidden = chain(
        scale_by_muon(
            backend,
            steps,
            b1,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            preconditioning=preconditioning,
            dtype=dtype,
            matrix_axes=matrix_axes,
        ),
        scale_by_shape(matrix_axes, consistent_rms),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, muon=hidden)
