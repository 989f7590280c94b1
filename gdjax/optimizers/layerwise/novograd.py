"""NovoGrad: momentum of gradients normalized per layer, one second moment for each array."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import abs_sq, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, Scalars
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import masked_params

__all__ = ["ScaleByNovogradState", "novograd", "scale_by_novograd"]


class ScaleByNovogradState(NamedTuple):
    """State of `scale_by_novograd`."""

    count: Count
    mu: Mean  # decayed sum of the scaled gradients
    nu: Scalars  # for each array the mean of ‖g‖²


@transformation
def scale_by_novograd(
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: WeightDecay = 0.0,
    mu_dtype: Any = None,
    *,
    mask: Mask = None,
):
    """NovoGrad scaling: momentum of gradients divided by the running norm of their array.

        v ← b2·v + (1 − b2)·‖g‖²,    in the first step ‖g‖²
        m ← b1·m + g / (√(v + eps_root) + eps) + λθ
        u = m

    Where the norm is 0 the gradient is too, and nothing is added.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_novograd(b1=0.95), gd.scale_by_learning_rate(0.01))
    chain(scale_by_novograd(b1=0.95), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient's norm, ≥ 0.
        eps_root: In the units of its square, ≥ 0.
        weight_decay: λ ≥ 0, added inside the momentum.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Ginsburg et al., Stochastic gradient methods with layer-wise adaptive moments for
        training of deep networks, 2019, https://arxiv.org/abs/1905.11286
    """

    def init(params):
        squares = jax.eval_shape(tree.square_like, params)
        nu = jax.tree.map(lambda v: jnp.zeros([], v.dtype), squares)
        return ScaleByNovogradState(zero_count(), tree.moment_like(params, mu_dtype), nu)

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_novograd", params)
        t = increment(state.count)

        def leaf(g, m, v, p):
            square = jnp.sum(abs_sq(g))
            v = jnp.where(t == 1, square, ema(v, square, b2))
            decay = 0 if p is None else weight_decay * p
            m = b1 * m + divide_by_root(g, v + eps_root, eps) + decay
            return m, m, v

        decayed = masked_params(params, mask, "scale_by_novograd")
        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu), decayed)
        return updates, ScaleByNovogradState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def novograd(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: WeightDecay = 0.0,
    *,
    mask: Mask = None,
):
    """NovoGrad: momentum of gradients normalized per layer, with weight decay inside.

        v ← b2·v + (1 − b2)·‖g‖²,    in the first step ‖g‖²
        m ← b1·m + g / (√(v + eps_root) + eps) + λθ
        θ ← θ − η·m

    It keeps one number v for each array of parameters, so about half the memory of Adam.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.novograd(0.1), jnp.zeros(2)
    >>> tx.update(jnp.array([30.0, 40.0]), tx.init(params), params)[0].round(4)
    Array([-0.06, -0.08], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the sum, in [0, 1); it is long by 1 / (1 − b1).
        b2: Decay of the squared norm, in [0, 1).
        eps: In the units of the gradient's norm.
        eps_root: Added under the root.
        weight_decay: λ ≥ 0, added inside the momentum.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Ginsburg et al., Stochastic gradient methods with layer-wise adaptive moments for
        training of deep networks, 2019, https://arxiv.org/abs/1905.11286
    """
    return chain(
        scale_by_novograd(b1, b2, eps, eps_root, weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    )
