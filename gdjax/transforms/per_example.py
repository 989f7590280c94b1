"""Per-example gradient clipping, for differential privacy.

Every array has the examples along its first axis, as `jax.vmap(jax.grad(loss))` gives them.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics, tree

__all__ = ["per_example_global_norm_clip", "per_example_layer_norm_clip"]


def per_example_global_norm_clip(grads: Any, l2_norm_clip: Any) -> tuple[Any, jax.Array]:
    """Per-example gradient clipping by global norm, and the sum over the examples.

        Σ_i g_i · min(1, C / ‖g_i‖)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> grads = {"w": jnp.array([[3.0, 4.0], [0.3, 0.4]])}
    >>> total, clipped = gd.per_example_global_norm_clip(grads, 1.0)
    >>> total["w"].round(6), clipped
    (Array([0.9, 1.2], dtype=float32), Array(1, dtype=int32))

    Args:
        grads: A tree of arrays [examples, ...].
        l2_norm_clip: C ≥ 0.

    Returns:
        The sum over the examples, float32 or wider, and the number of clipped examples, [] int32.

    Raises:
        ValueError: The arrays differ in the number of examples.

    Reference: Abadi et al., Deep learning with differential privacy, 2016,
        https://arxiv.org/abs/1607.00133
    """
    _check_examples("per_example_global_norm_clip", grads)
    floats = [g for g in jax.tree.leaves(grads) if tree.differentiable(g)]
    lengths = jax.vmap(tree.norm)(floats)
    return _sums(grads, lengths, l2_norm_clip)


def per_example_layer_norm_clip(
    grads: Any, global_l2_norm_clip: Any, uniform: bool = True
) -> tuple[Any, Any]:
    """Per-example gradient clipping, layer by layer, and the sum over the examples.

        Σ_i g_i,k · min(1, C_k / ‖g_i,k‖)
        C_k = C / √K  for K arrays;   not uniform: C · √(D_k / D)  for sizes D_k, together D

    The global norm of the gradient of an example is then at most C.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> grads = {"w": jnp.array([[3.0, 4.0], [0.3, 0.4]])}
    >>> total, clipped = gd.per_example_layer_norm_clip(grads, 1.0)
    >>> total["w"].round(6), clipped
    (Array([0.9, 1.2], dtype=float32), {'w': Array(1, dtype=int32)})

    Args:
        grads: A tree of arrays [examples, ...].
        global_l2_norm_clip: C ≥ 0.
        uniform: Whether all arrays have the same bound; False for larger bounds of larger arrays.

    Returns:
        The sums over the examples, float32 or wider, and the number of clipped examples of each
        array.

    Raises:
        ValueError: The arrays differ in the number of examples.

    Reference: McMahan et al., Learning differentially private recurrent language models, 2017,
        https://arxiv.org/abs/1710.06963
    """
    _check_examples("per_example_layer_norm_clip", grads)
    leaves, treedef = jax.tree.flatten(grads)
    sizes = [math.prod(g.shape[1:]) if tree.differentiable(g) else 0 for g in leaves]
    layers, total = sum(tree.differentiable(g) for g in leaves), sum(sizes)
    pairs: list[tuple[Any, Any]] = []
    for g, size in zip(leaves, sizes):
        if not tree.differentiable(g):
            pairs.append((None, None))
            continue
        share = 1 / layers if uniform else size / max(total, 1)
        bound = global_l2_norm_clip * math.sqrt(share)
        pairs.append(_sums(g, jax.vmap(tree.norm)(g), bound))
    sums, counts = zip(*pairs) if pairs else ((), ())
    return treedef.unflatten(sums), treedef.unflatten(counts)


def _check_examples(where: str, grads: Any) -> None:
    """Checks that all arrays have the same number of examples, and that there is an array."""
    leaves = [g for g in jax.tree.leaves(grads) if tree.differentiable(g)]
    shapes = {jnp.shape(g)[:1] for g in leaves}
    if len(shapes) != 1 or () in shapes:
        must = "all arrays must have the same number of examples along their first axis"
        errors.fail(where, must, f"first axes {sorted(shapes)}")


def _sums(grads: Any, lengths: jax.Array, bound: Any) -> tuple[Any, jax.Array]:
    """Sums over examples of clipped gradients of norms `lengths` [examples]; how many changed."""
    longer = lengths > bound
    factors = jnp.where(longer, bound / jnp.where(longer, lengths, 1), 1)

    def leaf(g):
        return jnp.einsum("i,i...->...", factors.astype(g.dtype), numerics.wide(g))

    return tree.map(leaf, grads), jnp.sum(longer, dtype=jnp.int32)
