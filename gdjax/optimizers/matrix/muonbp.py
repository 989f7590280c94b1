"""MuonBP: Muon with block-periodic orthogonalization."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.blocking import Cut
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors
from gdjax.core.rule.branch import either
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.transforms import momentum
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["OrthogonalizeBlocksState", "muonbp", "orthogonalize_blocks"]


class OrthogonalizeBlocksState(NamedTuple):
    """State of `orthogonalize_blocks`."""

    count: Count


@transformation
def orthogonalize_blocks(
    blocks: Any = None,
    every: int = 5,
    consistent_rms: NonNegative = 0.2,
    block_scale: NonNegative = 1.0,
    *,
    backend: Any = "standard",
    steps: int = 5,
    eps: NonNegative = 1e-8,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Orthogonalizes blocks of each matrix, and the whole matrix in every P-th step.

        steps 0, P, 2P, …    u = r·√max(m, n)·orthogonal(G)            of the matrix [m, n]
        other steps          u = κ·r·√max(p, q)·orthogonal(G_ij)       of each block [p, q]

    Blocks are less work, and on a mesh nothing is sent if a block is what a device has: 4 of 5
    steps of Muon are then local. With κ = 1 both kinds of steps have entries of RMS r. The theory
    of the paper allows a κ between 1/√(number of blocks) and 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.orthogonalize_blocks((1, 2), every=2, consistent_rms=1.0, backend="svd")
    >>> g = jnp.array([[3.0, 3.0], [0.0, 4.0]])
    >>> whole, state = tx.update(g, tx.init(g))
    >>> (1000 * tx.update(g, state)[0]).round()  # each column alone
    Array([[1414.,  849.],
           [   0., 1131.]], dtype=float32)

    Args:
        blocks: The numbers of blocks (a, b) along rows and columns, of nearly equal sides; None for
            the parts of a matrix on the devices of a mesh with Explicit axes, see
            `gdjax.sharding.placed` for other meshes. Without a mesh that is the whole matrix.
        every: P ≥ 1; the paper has 5. With 1 the whole matrix in every step.
        consistent_rms: r ≥ 0; see `scale_by_shape`.
        block_scale: κ ≥ 0, the ratio of the learning rates of the two kinds of steps.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        eps: In the units of the updates.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: `every` is less than 1, `blocks` are not two positive numbers; an array of more
            than two axes without `matrix_axes`; see also `orthogonalize`.

    Reference: Khaled, Ozkara, Yu, Hong and Park, MuonBP: faster Muon via block-periodic
        orthogonalization, 2025, https://arxiv.org/abs/2510.16981
    """
    where = "orthogonalize_blocks"
    errors.check_counts(where, every=every)
    if blocks is not None and not (np.shape(blocks) == (2,) and min(blocks) >= 1):
        hint = f"Write ({blocks}, 1) for blocks of rows." if np.ndim(blocks) == 0 else ""
        errors.fail(where, "blocks must be two numbers, 1 or more", blocks, instead=hint)
    how = polar_steps(where, "backend", backend, steps, dtype)
    about = {"axes": matrix_axes, "where": where}

    def whole(g):
        size = consistent_rms * max(g.shape[-2:]) ** 0.5
        return size * polar.polar_factor(g, how, eps, dtype=dtype)

    def part(g):
        return block_scale * whole(g)

    def parts(g):
        cut = Cut.into(g.shape, blocks)
        return cut.whole(part(cut.blocks(g)))

    def update(updates, state, params=None, **extra):
        of_matrices = lambda: matrices.map(whole, updates, **about)

        def of_blocks():
            if blocks is None:
                return matrices.map_shards(part, updates, **about)
            return matrices.map(parts, updates, **about)

        updates = either(state.count % every == 0, of_matrices, of_blocks)
        return updates, OrthogonalizeBlocksState(increment(state.count))

    return lambda params: OrthogonalizeBlocksState(zero_count()), update


@transformation(kind="optimizer")
def muonbp(
    learning_rate: LearningRate,
    blocks: Any = None,
    every: int = 5,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    consistent_rms: NonNegative = 0.2,
    block_scale: NonNegative = 1.0,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """MuonBP: Muon that orthogonalizes blocks, the shards of a mesh, in most of its steps.

        W ← W − η·(u + λW),    u of the mean gradient by `orthogonalize_blocks`

    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`. AdamW's learning
    rate and weight decay apply to the matrices too, see `scale_by_shape`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.muonbp(1.0, (2, 1), backend="svd")
    >>> (1000 * tx.update(params, tx.init(params), params)[0]["w"]).round() + 0.0
    Array([[-283.,    0.],
           [   0., -283.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        blocks: The numbers of blocks (a, b) along rows and columns; None for the shards. See
            `orthogonalize_blocks`.
        every: P ≥ 1: the whole matrix is orthogonalized in steps 0, P, 2P, …
        b1: Decay of the mean gradient, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        consistent_rms: Root mean square of the updates of matrices; see `scale_by_shape`.
        block_scale: κ ≥ 0, the ratio of the learning rates of steps of blocks and of matrices.
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
        ValueError: `update` was called without params; see also `orthogonalize_blocks`.

    Reference: Khaled, Ozkara, Yu, Hong and Park, MuonBP: faster Muon via block-periodic
        orthogonalization, 2025, https://arxiv.org/abs/2510.16981
    """
    how = {"backend": backend, "steps": steps, "eps": eps, "dtype": dtype}
    hidden = chain(
        momentum.ema(b1, mu_dtype=mu_dtype),
        orthogonalize_blocks(
            blocks, every, consistent_rms, block_scale, **how, matrix_axes=matrix_axes
        ),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, muonbp=hidden)
