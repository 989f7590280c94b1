"""Dion3: Dion2 with the neuron-wise normalization of NorMuon (NorDion2); AdamW for the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, divide_by_root, ema
from gdjax.core.rule.roles import MatrixMean, PerMatrix
from gdjax.optimizers.matrix.dion2 import check_fraction, largest_rows
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_shape
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import length, unit

__all__ = ["ScaleByDion3State", "dion3", "scale_by_dion3"]


class ScaleByDion3State(NamedTuple):
    """State of `scale_by_dion3`."""

    mu: MatrixMean  # sum of the gradients; selected neurons decay
    nu: PerMatrix  # [out] for each matrix [in, out], float32 or wider: mean squares


@transformation
def scale_by_dion3(
    fraction: float = 0.25,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Dion3 scaling: orthogonalizes the neurons of largest momentum, and normalizes each of them.

        m ← m + g
        K = the ⌈α·out⌉ neurons, columns of [in, out], with the largest Σ|m|
        O = U·Vᵀ of m_K = U·S·Vᵀ,    m_K ← β·m_K
        v_K ← b2·v_K + (1 − b2)·mean_in O²,    n = O / (√v_K + eps)
        u_K = ‖O‖ · n/‖n‖,    u = 0 elsewhere

    Neurons that are not selected keep v, and accumulate in m until they are. Unlike
    `scale_by_dion2`, which selects rows of the shorter side, it selects neurons whatever the shape.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_dion3(0.5, backend="svd")
    >>> g = jnp.array([[0.0, 0.0, 5.0, 1.0], [1.0, 0.0, 0.0, 5.0]])
    >>> u, state = tx.update(g, tx.init(g))
    >>> state.nu.round(4)
    Array([0.   , 0.   , 0.025, 0.025], dtype=float32)

    Args:
        fraction: α in (0, 1].
        b1: β in [0, 1), the decay of a neuron's momentum in a step in which it was selected.
        b2: Decay of the mean squares v, in [0, 1).
        eps: In the units of the gradient; also that of n, whose v is about 1/in.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: `fraction` is not in (0, 1]; an array of more than two axes without
            `matrix_axes`.

    Reference: Ahn, Amsel and Langford, Dion2: a simple method to shrink matrix in Muon, 2025,
        https://arxiv.org/abs/2512.16928; Li et al., NorMuon: making Muon more efficient and
        scalable, 2025, https://arxiv.org/abs/2510.05491; NorDion2, their combination in the
        authors' code, https://github.com/microsoft/dion
    """
    where = "scale_by_dion3"
    check_fraction(where, fraction)
    how = polar_steps(where, "backend", backend, steps, dtype)

    def leaf(g, m, v):
        m = m + g
        chosen = largest_rows(m.T, fraction)
        part, squares = m[:, chosen], v[chosen]
        o = polar.polar_factor(part, how, eps, dtype=dtype)
        squares = ema(squares, jnp.mean(abs_sq(o), 0), b2)
        n = divide_by_root(o, squares[None, :], eps)
        u = jnp.zeros_like(m).at[:, chosen].set(unit(n, length(n)) * length(o).astype(n.dtype))
        return u, m.at[:, chosen].set(b1 * part), v.at[chosen].set(squares)

    def init(params):
        about = {"axes": matrix_axes, "where": where}
        mu = matrices.per_matrix(lambda p: tree.filled_like(p, 0), params, **about)
        zeros = lambda p: jnp.zeros(p.shape[-1], jnp.finfo(p.dtype).dtype)
        return ScaleByDion3State(mu, matrices.per_matrix(zeros, params, **about))

    def update(updates, state, params=None, **extra):
        trees = (updates, state.mu, state.nu)
        updates, mu, nu = matrices.evolve(leaf, trees, axes=matrix_axes, where=where)
        return updates, ScaleByDion3State(mu, nu)

    return init, update


@transformation(kind="optimizer")
def dion3(
    learning_rate: LearningRate,
    fraction: float = 0.25,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Dion3 (NorDion2): Dion2 with NorMuon's normalization of neurons, AdamW for the rest.

        W ← W − η·(√(out/in)·u + λW),    u of `scale_by_dion3`

    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.dion3(1.0, 0.5, backend="svd")
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(4) + 0.0
    Array([[-1.,  0.],
           [ 0.,  0.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        fraction: α in (0, 1], the fraction of neurons updated in a step.
        b1: Decay of the selected neurons' momentum, in [0, 1).
        b2: Decay of the mean squares v, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps, and that of n, see `scale_by_dion3`.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_dion3`.

    Reference: Ahn, Amsel and Langford, Dion2: a simple method to shrink matrix in Muon, 2025,
        https://arxiv.org/abs/2512.16928; Li et al., NorMuon: making Muon more efficient and
        scalable, 2025, https://arxiv.org/abs/2510.05491; NorDion2, their combination in the
        authors' code, https://github.com/microsoft/dion
    """
    how = {"backend": backend, "steps": steps, "dtype": dtype}
    hidden = chain(
        scale_by_dion3(fraction, b1, b2, eps, **how, matrix_axes=matrix_axes),
        scale_by_shape(matrix_axes, shape_factor="spectral"),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, None, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, dion3=hidden)
