"""signSGD and Signum: steps along the sign of the gradient or of its moving average."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.momentum import ema

__all__ = ["scale_by_sign", "sign_sgd", "signum"]


@transformation
def scale_by_sign():
    """Replaces the updates by their signs; for complex entries, g / |g|.

        u = sign(g)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.scale_by_sign().update(jnp.array([-3.0, 0.0, 0.1]), gd.EmptyState())[0]
    Array([-1.,  0.,  1.], dtype=float32)

    Reference: Bernstein et al., signSGD: compressed optimisation for non-convex problems, 2018,
        https://arxiv.org/abs/1802.04434
    """

    def update(updates, state, params=None, **extra):
        return tree.map(jnp.sign, updates), state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def sign_sgd(learning_rate: LearningRate):
    """signSGD: every entry moves by the learning rate, against the sign of its gradient.

        θ ← θ − η·sign(g)

    It is steepest descent in the maximum norm.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sign_sgd(0.5)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0]
    Array([-0.5,  0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.

    Also called sign descent.

    Reference: Bernstein et al., signSGD: compressed optimisation for non-convex problems, 2018,
        https://arxiv.org/abs/1802.04434
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


@transformation(kind="optimizer")
def signum(learning_rate: LearningRate, b1: Decay = 0.9, mu_dtype: Any = None):
    """Signum: signSGD with momentum, steps along the sign of the averaged gradient.

        m ← β·m + (1 − β)·g
        θ ← θ − η·sign(m)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.signum(0.5)
    >>> _, state = tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([-2.0]), state)[0]
    Array([-0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: β in [0, 1).
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Also called sign descent with momentum.

    Reference: Bernstein et al., signSGD: compressed optimisation for non-convex problems, 2018,
        https://arxiv.org/abs/1802.04434
    """
    return chain(
        ema(b1, debias=False, mu_dtype=mu_dtype),  # bias correction would not change the sign
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )
