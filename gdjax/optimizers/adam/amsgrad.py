"""AMSGrad: Adam with the largest second moment so far as denominator."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, MeanSquare
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["ScaleByAmsgradState", "amsgrad", "scale_by_amsgrad"]


class ScaleByAmsgradState(NamedTuple):
    """State of `scale_by_amsgrad`."""

    count: Count
    mu: Mean  # of the gradients
    nu: MeanSquare  # of the gradients
    nu_max: MeanSquare  # the largest of these


@transformation
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    bias_correction_max: bool = False,
):
    """AMSGrad scaling: first moment over the root of the largest second moment so far.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·|g|²            x ← max(x, v / (1 − b2ᵗ))
        u = m̂ / (√(x̂ + eps_root) + eps)     x̂ = x
        without bias_correction_mu:         m̂ = m
        without bias_correction_nu:         x ← max(x, v)
        with bias_correction_max:           x̂ = x / (1 − b2ᵗ)

    Three forms are in use. They differ in what is bias-corrected:

        m and v             the default, as optax has it
        neither             the paper: bias_correction_mu=False, bias_correction_nu=False
        m and x             torch: bias_correction_nu=False, bias_correction_max=True

    The paper's proof of convergence needs a denominator that never shrinks; torch's shrinks while
    the bias correction lasts.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_amsgrad(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_amsgrad(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        bias_correction_mu: Divides m by 1 − b1ᵗ.
        bias_correction_nu: Divides v by 1 − b2ᵗ before the maximum is taken.
        bias_correction_max: Divides the maximum by 1 − b2ᵗ where it is used.

    Reference: Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018,
        https://arxiv.org/abs/1904.09237
    """

    def init(params):
        mu, nu = tree.moment_like(params, mu_dtype), tree.square_like(params)
        return ScaleByAmsgradState(zero_count(), mu, nu, tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        of_m = debias(b1, t) if bias_correction_mu else 1.0
        of_v = debias(b2, t) if bias_correction_nu else 1.0
        of_x = debias(b2, t) if bias_correction_max else 1.0

        def leaf(g, m, v, x):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            x = jnp.maximum(x, v / of_v)
            return divide_by_root(m / of_m, x / of_x + eps_root, eps), m, v, x

        trees = updates, state.mu, state.nu, state.nu_max
        updates, *moments = tree.evolve(leaf, trees)
        return updates, ScaleByAmsgradState(t, *moments)

    return init, update


@transformation(kind="optimizer")
def amsgrad(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    bias_correction_max: bool = False,
):
    """AMSGrad: Adam with the largest second moment so far as denominator, which never shrinks.

        m ← b1·m + (1 − b1)·g,    v ← b2·v + (1 − b2)·g²,    x ← max(x, v / (1 − b2ᵗ))
        θ ← θ − η·m̂ / (√x̂ + eps),    m̂ = m / (1 − b1ᵗ),    x̂ = x
        without bias_correction_mu:    m̂ = m
        without bias_correction_nu:    x ← max(x, v)
        with bias_correction_max:      x̂ = x / (1 − b2ᵗ)

    A rare large gradient is never forgotten. `scale_by_amsgrad` explains the paper's form, without
    bias correction, and torch's.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.amsgrad(0.1, b1=0.0, b2=0.5, bias_correction_nu=False)
    >>> _, state = tx.update(jnp.array([8.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([0.5]), state)[0].round(6)  # 0.1 · 0.5 / √32
    Array([-0.008839], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        bias_correction_mu: Divides m by 1 − b1ᵗ.
        bias_correction_nu: Divides v by 1 − b2ᵗ before the maximum is taken.
        bias_correction_max: Divides the maximum by 1 − b2ᵗ where it is used.

    Reference: Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018,
        https://arxiv.org/abs/1904.09237
    """
    rule = scale_by_amsgrad(
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype,
        bias_correction_mu,
        bias_correction_nu,
        bias_correction_max=bias_correction_max,
    )
    return chain(rule, scale_by_learning_rate(learning_rate))
