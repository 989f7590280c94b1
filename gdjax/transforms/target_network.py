"""Target networks: soft (Polyak, EMA) and periodic updates of a slow copy of the parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics, tree

__all__ = ["incremental_update", "periodic_update"]

CALLED = ("new_tensors", "old_tensors")


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """Soft update of a target network (Polyak averaging, EMA): s·new + (1 − s)·old.

    Formed in float32 or wider and rounded once to the dtypes of the old tree. Leaves that are not
    differentiable (counts, keys) are those of the new tree; None in the new tree drops a subtree.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.incremental_update({"w": jnp.array(4.0)}, {"w": jnp.array(0.0)}, 0.25)
    {'w': Array(1., dtype=float32)}

    Args:
        new_tensors: The online parameters.
        old_tensors: The target network, a tree of the same structure.
        step_size: s in [0, 1], a number or [].

    Reference: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992,
        https://doi.org/10.1137/0330046
    """
    tree.check_like(new_tensors, old_tensors, "incremental_update", CALLED)
    s = numerics.weak(step_size)

    def one(new: Any, old: Any) -> Any:
        if new is None or not tree.differentiable(old):
            return new
        slow = numerics.wide(old)
        return numerics.like(s * numerics.like(new, slow) + (1 - s) * slow, jnp.asarray(old))

    return jax.tree.map(one, new_tensors, old_tensors, is_leaf=tree.is_none)


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: Any) -> Any:
    """Periodic update of a target network: the new parameters every k-th step, else the old.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> new, old = jnp.array(4.0), jnp.array(0.0)
    >>> [float(gd.periodic_update(new, old, step, 2)) for step in range(3)]
    [4.0, 0.0, 4.0]

    Args:
        new_tensors: The online parameters.
        old_tensors: The target network, a tree of the same structure; its dtypes are kept.
        steps: The number of steps done, an integer or [].
        update_period: k, the number of steps from one update to the next, an integer or [].

    Reference: Mnih et al., Human-level control through deep reinforcement learning, 2015,
        https://doi.org/10.1038/nature14236
    """
    tree.check_like(new_tensors, old_tensors, "periodic_update", CALLED)
    due = jnp.asarray(steps) % update_period == 0
    new = jax.tree.map(
        lambda x, to: jnp.asarray(x).astype(jnp.result_type(to)), new_tensors, old_tensors
    )
    return jax.lax.cond(due, lambda: new, lambda: jax.tree.map(jnp.asarray, old_tensors))
