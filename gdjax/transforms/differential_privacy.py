"""Differential privacy: clipped per-example gradients with Gaussian noise (DP-SGD)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.roles import Key
from gdjax.transforms.noise import judge_key, key_data, key_of, leaf_keys
from gdjax.transforms.per_example import per_example_global_norm_clip

__all__ = ["DifferentiallyPrivateAggregateState", "differentially_private_aggregate"]


class DifferentiallyPrivateAggregateState(NamedTuple):
    """State of `differentially_private_aggregate`."""

    rng_key: Key  # of the next step


@transformation
def differentially_private_aggregate(
    max_norm: NonNegative, noise_multiplier: NonNegative, key: Any = 0
):
    """Differential privacy (DP-SGD): mean of clipped per-example gradients plus Gaussian noise.

        u = (Σ_i g_i·min(1, C/‖g_i‖) + σC·N(0, 1)) / n

    The incoming gradients have the examples along the first axis of every array, as from
    `jax.vmap(jax.grad(loss), in_axes=(None, 0))`; the updates do not have this axis. No earlier
    stage may average over examples.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.differentially_private_aggregate(1.0, noise_multiplier=0.0)
    >>> per_example = jnp.array([[3.0, 4.0], [0.3, 0.4]])
    >>> tx.update(per_example, tx.init(jnp.zeros(2)))[0].round(6)
    Array([0.45, 0.6 ], dtype=float32)

    Args:
        max_norm: C ≥ 0, the largest norm of the gradient of an example.
        noise_multiplier: σ ≥ 0, the standard deviation of the noise in units of C.
        key: A seed, or a key of `jax.random`. It must be secret for the run to be private.

    Raises:
        ValueError: The arrays differ in the number of examples, or do not fit the parameters.

    Reference: Abadi et al., Deep learning with differential privacy, 2016,
        https://arxiv.org/abs/1607.00133
    """
    name = "differentially_private_aggregate"
    judge_key(name, key)

    def init(params):
        return DifferentiallyPrivateAggregateState(key_data(key))

    def update(updates, state, params=None, **extra):
        if params is not None:
            tree.check_like(jax.tree.map(_of_one_example, updates), params, name)
        now, after = jax.random.split(key_of(state.rng_key, key))
        leaves = [g for g in jax.tree.leaves(updates) if tree.differentiable(g)]
        if leaves:
            count = leaves[0].shape[0]
            sums, _ = per_example_global_norm_clip(updates, max_norm)

            def leaf(g, k):
                noise = jax.random.normal(k, g.shape, g.dtype)
                return (g + noise_multiplier * max_norm * noise) / count

            updates = tree.map(leaf, sums, leaf_keys(now, sums))
        return updates, DifferentiallyPrivateAggregateState(jax.random.key_data(after))

    return Rule(init, update, couples=True, per_example=True)


def _of_one_example(g: Any) -> Any:
    if not tree.differentiable(g) or jnp.ndim(g) == 0:
        return g
    return jax.ShapeDtypeStruct(jnp.shape(g)[1:], jnp.result_type(g))
