"""Weight decay and L2 regularisation, and why they are not the same.

L2 regularisation adds λ/2·‖θ‖² to the loss, so λθ to the gradient, **before** the rule. Decoupled
decay shrinks the weights **beside** the rule. Under plain descent both are one,

    θ ← θ − η(g + λθ) = (1 − ηλ)θ − ηg,

and under anything that remembers or rescales gradients they part:

- Under momentum the L2 term enters the velocity: a weight is still pulled by where it was 1/(1 − μ)
  steps ago, and the pull of each step sums to ηλ/(1 − μ) instead of ηλ.
- Under Adam the L2 term is divided by √v̂ with the rest: a weight whose gradients are large is
  hardly decayed, one whose gradients vanish moves by the whole rate. Decoupled decay shrinks all
  weights by the same factor, whatever their gradients.

    chain(add_decayed_weights(λ), scale_by_adam(), scale_by_learning_rate(η))      L2 in Adam
    chain(scale_by_adam(), add_decayed_weights(λ), scale_by_learning_rate(η))      AdamW

Three kinds of decoupled decay are in use. They differ in what a change of the rate does to λ:

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
    """Adds a multiple of the parameters to the updates: u = g + λθ.

    Before the rule this is L2 regularisation, after it (and before the rate) decoupled decay
    scaled by the rate; `gdjax.transforms.decay` tells why they differ.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.add_decayed_weights(0.1).update(jnp.array([1.0]), gd.EmptyState(), jnp.array([10.0]))[0]
    Array([2.], dtype=float32)

    Args:
        weight_decay: λ ≥ 0.
        mask: Which parameters decay, `"matrices"` or any other rule of `gdjax.params`: a pattern
            of paths, a tree of bools like the parameters or a part of it from the root, a function
            that makes one of them; None decays all.

    Raises:
        ValueError: `update` was called without params, or the mask does not fit them.
    """
    return _decay("add_decayed_weights", weight_decay, mask)


@transformation
def decay_weights(weight_decay: WeightDecay = 0.0, mask: Mask = None):
    """Takes a multiple of the parameters from finished updates: u = g − λθ.

    It stands after the learning rate, so the decay does not depend on it; with a schedule as
    `weight_decay` it follows that schedule alone.

    >>> import gdjax as gd
    >>> gd.chain(gd.adam(1e-3), gd.decay_weights(1e-4))
    chain(adam(learning_rate=0.001), decay_weights(weight_decay=0.0001))

    Args:
        weight_decay: λ ≥ 0, the fraction of a weight that is lost in one step.
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
    """The parameters with None where the mask says False."""
    return params if mask is None else only(select(params, mask, where), params)
