"""Cautious weight decay."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Mask, WeightDecay
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.transforms.decay import masked_params

__all__ = ["add_cautious_weight_decay"]


@transformation
def add_cautious_weight_decay(weight_decay: WeightDecay = 0.0, mask: Mask = None):
    """Cautious weight decay: decays only the entries that the update moves towards zero.

        u = g + λθ if g·θ ≥ 0, else g

    g is the output of a stage such as `scale_by_adam`, before the learning rate, with the sign of
    the gradient. Cautious decay changes the path to a minimum but not the minimum itself.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(
    ...     gd.scale_by_adam(), gd.add_cautious_weight_decay(0.5), gd.scale_by_learning_rate(0.5)
    ... )
    >>> params = jnp.array([10.0, 10.0])
    >>> tx.update(jnp.array([1.0, -1.0]), tx.init(params), params)[0].round(2)
    Array([-3. ,  0.5], dtype=float32)

    Args:
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params, or the mask does not fit them.

    Reference: Chen et al., Cautious weight decay, 2025, https://arxiv.org/abs/2510.12402
    """
    name = "add_cautious_weight_decay"

    def leaf(g, p):
        if p is None:
            return g
        # Signs and not g·p, which underflows; of complex numbers, the angle between them.
        if jnp.iscomplexobj(g) or jnp.iscomplexobj(p):
            agree = jnp.real(jnp.conj(jnp.sign(g)) * jnp.sign(p)) >= 0
        else:
            agree = jnp.sign(g) * jnp.sign(p) >= 0
        return g + jnp.where(agree, weight_decay * p, 0)

    def update(updates, state, params=None, **extra):
        errors.need_params(name, params)
        return tree.map(leaf, updates, masked_params(params, mask, name)), state

    return lambda params: EmptyState(), update
