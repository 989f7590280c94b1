"""SOAP-Muon: orthogonalized SOAP updates for hidden matrices, AdamW for other parameters."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_shape
from gdjax.optimizers.matrix.soap import scale_by_soap
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.orthogonalize import orthogonalize

__all__ = ["soap_muon"]


@transformation(kind="optimizer")
def soap_muon(
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
    backend: Any = "standard",
    steps: int = 5,
    gram: bool = False,
    dtype: Any = None,
    skip_first: bool = True,
    consistent_rms: NonNegative | None = None,
    shape_factor: str = "wide",
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """SOAP-Muon: orthogonalized SOAP updates for hidden matrices, AdamW for other parameters.

        N = Q_L · (Q_Lᵀ·M̂·Q_R / (√V̂ + ε)) · Q_Rᵀ = U·S·Vᵀ
        W ← W − η·(√max(1, out/in)·U·Vᵀ + λW)

    Muon's update is equally large in all directions, whatever the noise in them; Adam's is small
    where the gradient is mostly noise. Here Adam weighs the directions of the eigenbasis and Muon
    determines the size of the update, so Muon's learning rates apply. There is no paper: it is a
    chain of `scale_by_soap`, `orthogonalize` and `scale_by_shape`.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> params = {"up": jnp.ones((4, 8)), "embed": jnp.ones((9, 4)), "bias": jnp.ones(8)}
    >>> state = gd.soap_muon(0.02).init(params)
    >>> jax.tree.map(jnp.shape, gd.state.find(state, "basis"))
    {'bias': None, 'embed': None, 'up': ((4, 4), (8, 8))}

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squares, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        b3: Decay of the statistics; None for `b2`.
        every: Steps from one decomposition of the statistics to the next.
        max_precond_dim: Longer sides are not rotated.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        gram: Whether the iteration is on N·Nᵀ alone.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        skip_first: Whether the first update of matrices is zero; see `scale_by_soap`.
        consistent_rms: Root mean square of the entries of U·Vᵀ; see `scale_by_shape`.
        shape_factor: "wide" or "spectral", where `consistent_rms` is None; see `scale_by_shape`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays without
            matrix axes are updated by AdamW. None for arrays of two axes, without embeddings and
            heads.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_soap` and
            `orthogonalize`.

    Reference: Vyas et al., SOAP: improving and stabilizing Shampoo using Adam, 2024,
        https://arxiv.org/abs/2409.11321; Jordan et al., Muon: an optimizer for hidden layers in
        neural networks, 2024, https://kellerjordan.github.io/posts/muon/
    """
    hidden = chain(
        scale_by_soap(
            b1,
            b2,
            eps,
            b3,
            every,
            max_precond_dim,
            mu_dtype,
            skip_first=skip_first,
            matrix_axes=matrix_axes,
        ),
        orthogonalize(backend, steps, gram=gram, dtype=dtype, matrix_axes=matrix_axes),
        scale_by_shape(matrix_axes, consistent_rms, shape_factor=shape_factor),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, soap_muon=hidden)
