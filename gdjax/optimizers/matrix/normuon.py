"""NorMuon: Muon with neuron-wise normalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule.numerics import abs_sq, divide_by_root, ema
from gdjax.core.rule.roles import PerMatrix
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.transforms import momentum
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import in_place, length, unit
from gdjax.transforms.orthogonalize import orthogonalize

__all__ = ["ScaleByNeuronsState", "normuon", "scale_by_neurons"]


class ScaleByNeuronsState(NamedTuple):
    """State of `scale_by_neurons`."""

    nu: PerMatrix  # [out] for each matrix [in, out], float32 or wider: mean squares


@transformation
def scale_by_neurons(
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    rms: NonNegative | None = 0.2,
    *,
    matrix_axes: Any = None,
):
    """Normalizes the update of each output neuron by its running root mean square (RMS).

        v ← b2·v + (1 − b2)·mean_in g²          one number for each column of [in, out]
        n = g / (√v + eps)
        u = r·√(in·out) · n/‖n‖                 without r:  u = ‖g‖ · n/‖n‖

    After `orthogonalize` it is NorMuon. The size of u does not depend on that of g, so v needs no
    bias correction.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_neurons(rms=1.0)
    >>> g = jnp.array([[3.0, 0.1], [-3.0, 0.1]])
    >>> tx.update(g, tx.init(g))[0].round(4)
    Array([[ 1.,  1.],
           [-1.,  1.]], dtype=float32)

    Args:
        b2: Decay of the mean squares v, in [0, 1).
        eps: In the units of the updates.
        rms: r ≥ 0, the root mean square of the entries of u, as in the paper; None keeps the
            norm of the matrix, as in the authors' code.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: An array of more than two axes without `matrix_axes`.

    Reference: Li et al., NorMuon: making Muon more efficient and scalable, 2025,
        https://arxiv.org/abs/2510.05491
    """
    where = "scale_by_neurons"

    def leaf(g, v):
        v = ema(v, jnp.sum(abs_sq(g), -2) / max(g.shape[-2], 1), b2)
        n = divide_by_root(g, v[..., None, :], eps)
        size = length(g) if rms is None else rms * (g.shape[-2] * g.shape[-1]) ** 0.5
        return size * unit(n, length(n)), v

    def init(params):
        zeros = lambda p: jnp.zeros(p.shape[-1], jnp.finfo(p.dtype).dtype)
        return ScaleByNeuronsState(
            matrices.per_matrix(zeros, params, axes=matrix_axes, where=where)
        )

    def update(updates, state, params=None, **extra):
        updates, nu = in_place(leaf, (updates, state.nu), axes=matrix_axes, where=where)
        return updates, ScaleByNeuronsState(nu)

    return init, update


@transformation(kind="optimizer")
def normuon(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    rms: NonNegative | None = 0.2,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """NorMuon: Muon with neuron-wise normalization, AdamW for other parameters.

        O = U·Vᵀ of U·S·Vᵀ = mean gradient
        W ← W − η·(r·√(in·out)·N/‖N‖ + λW),    N = O / (√v + eps),    v for each neuron

    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.normuon(1.0, backend="svd")
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(4) + 0.0
    Array([[-0.2828,  0.    ],
           [ 0.    , -0.2828]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squares v, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps, and that of N, whose v is about 1/in.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        rms: r; None keeps the norm of O. See `scale_by_neurons`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params.

    Reference: Li et al., NorMuon: making Muon more efficient and scalable, 2025,
        https://arxiv.org/abs/2510.05491
    """
    hidden = chain(
        momentum.ema(b1, mu_dtype=mu_dtype),
        orthogonalize(backend, steps, eps, dtype=dtype, matrix_axes=matrix_axes),
        scale_by_neurons(b2, eps, rms, matrix_axes=matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, normuon=hidden)
