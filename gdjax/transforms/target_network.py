"""Slow copies of parameters, as target networks and teachers need them: functions of trees."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics, tree

__all__ = ["incremental_update", "periodic_update"]


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """Moves a slow copy a part of the way: s·new + (1 − s)·old, in the dtypes of the old.

    Formed in float32 or wider and rounded once. What is not differentiable (counts, keys) is taken
    from the new; None of the new stands for a whole part that is not kept.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.incremental_update({"w": jnp.array(4.0)}, {"w": jnp.array(0.0)}, 0.25)
    {'w': Array(1., dtype=float32)}

    Args:
        new_tensors: The tree that moves fast.
        old_tensors: The slow copy, a tree of the same structure.
        step_size: s in [0, 1], a number or [].

    Reference: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992,
        https://doi.org/10.1137/0330046
    """
    s = numerics.weak(step_size)

    def one(new: Any, old: Any) -> Any:
        if new is None or not tree.differentiable(old):
            return new
        slow = numerics.wide(old)
        return numerics.like(s * numerics.like(new, slow) + (1 - s) * slow, jnp.asarray(old))

    return jax.tree.map(one, new_tensors, old_tensors, is_leaf=tree.is_none)


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: Any) -> Any:
    """Replaces a slow copy at every so many steps: new where steps is a multiple, else old.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> new, old = jnp.array(4.0), jnp.array(0.0)
    >>> [float(gd.periodic_update(new, old, step, 2)) for step in range(3)]
    [4.0, 0.0, 4.0]

    Args:
        new_tensors: The tree that moves fast.
        old_tensors: The slow copy, a tree of the same structure; its dtypes are kept.
        steps: Steps done, an integer or [].
        update_period: Steps from one replacement to the next, an integer or [].

    Reference: Mnih et al., Human-level control through deep reinforcement learning, 2015,
        https://doi.org/10.1038/nature14236
    """
    due = jnp.asarray(steps) % update_period == 0
    new = jax.tree.map(
        lambda x, to: jnp.asarray(x).astype(jnp.result_type(to)), new_tensors, old_tensors
    )
    return jax.lax.cond(due, lambda: new, lambda: jax.tree.map(jnp.asarray, old_tensors))
