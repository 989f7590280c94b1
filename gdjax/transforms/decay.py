"""Weight decay and L2 regularization, and how they differ.

L2 regularization adds λ/2·‖θ‖² to the loss, so λθ to the gradient, **before** the rule. Decoupled
weight decay shrinks the weights **beside** the rule. Under plain gradient descent both are the
same,

    θ ← θ − η(g + λθ) = (1 − ηλ)θ − ηg,

but they differ under momentum and under adaptive learning rates:

- Under momentum the L2 term enters the velocity: weights of the last 1/(1 − μ) steps still act, and
  the effect of each step sums to ηλ/(1 − μ) instead of ηλ.
- Under Adam the L2 term is divided by √v̂: weights with large gradients hardly decay, and weights
  with vanishing gradients move by the whole learning rate. Decoupled decay shrinks all weights by
  the same factor, whatever their gradients.

    chain(add_decayed_weights(λ), scale_by_adam(), scale_by_learning_rate(η))      L2 in Adam
    chain(scale_by_adam(), add_decayed_weights(λ), scale_by_learning_rate(η))      AdamW

Three kinds of decoupled decay are in use. They differ in how the decay follows the learning rate:

    θ ← θ − η(t)(u + λθ)         scaled by the rate: `adamw(η, weight_decay=λ)`, the default
    θ ← θ − η(t)u − λθ           independent of it: `chain(adam(η), decay_weights(λ))`
    θ ← θ − s(t)(αu + λθ)        scaled by the schedule s alone, as in the paper: with
                                 η(t) = α·s(t), `chain(adam(η), decay_weights(λ·s))`

Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2017,
    https://arxiv.org/abs/1711.05101
"""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import AddedDecay, Mask, WeightDecay
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.params.rules import only, select

__all__ = ["add_decayed_weights", "decay_weights"]


@transformation
def add_decayed_weights(weight_decay: AddedDecay = 0.0, mask: Mask = None):
    """Weight decay or L2 regularization: adds λ times the parameters to the updates.

        u = g + λθ

    Before the rule this is L2 regularization; after it, before the learning rate, decoupled weight
    decay that is scaled by the learning rate. `gdjax.transforms.decay` explains the difference.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.add_decayed_weights(0.1).update(jnp.array([1.0]), gd.EmptyState(), jnp.array([10.0]))[0]
    Array([2.], dtype=float32)

    Args:
        weight_decay: λ ≥ 0.
        mask: The parameters that decay, `~gd.by_bias_or_norm()`, `"matrices"` or any other rule of
            `gdjax.params`: a pattern of paths, a tree of bools that is a prefix of the parameters,
            or a function of the parameters that returns one of these; None decays all.

    Raises:
        ValueError: `update` was called without params, or the mask does not fit them.
    """
    return _decay("add_decayed_weights", weight_decay, mask)


@transformation
def decay_weights(weight_decay: WeightDecay = 0.0, mask: Mask = None):
    """Decoupled weight decay, independent of the learning rate.

        u = g − λθ

    Put it after the learning rate. With a schedule as `weight_decay` the decay follows this
    schedule alone.

    >>> import gdjax as gd
    >>> gd.chain(gd.adam(1e-3), gd.decay_weights(1e-4))
    chain(adam(learning_rate=0.001), decay_weights(weight_decay=0.0001))

    Args:
        weight_decay: λ ≥ 0, the fraction by which a weight decays in one step.
        mask: As in `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params, or the mask does not fit them.
    """
    return _decay("decay_weights", weight_decay, mask, sign=-1)


def _decay(name: str, weight_decay: Any, mask: Any, sign: int = 1):
    def update(updates, state, params=None, **extra):
        if params is None:
            errors.need_params(name, params)
        theirs = params if mask is None else masked_params(params, mask, name)
        nothing = isinstance(weight_decay, (int, float)) and weight_decay == 0  # reads no params

        def leaf(g, p):
            return g if p is None or nothing else g + sign * weight_decay * p

        return tree.map(leaf, updates, theirs), state

    return lambda params: EmptyState(), update


def masked_params(params: Any, mask: Any, where: str) -> Any:
    """The parameters with None where the mask is False."""
    return params if mask is None else only(select(params, mask, where), params)
