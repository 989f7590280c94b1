"""Learning-to-rank losses for lists of items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.losses.arrays import log_softmax, mask_of, paired, weigh

__all__ = ["ranking_softmax_loss"]


def ranking_softmax_loss(
    logits: Any,
    labels: Any,
    *,
    where: Any = None,
    weights: Any = None,
    reduce_fn: Callable[..., Any] | None = jnp.mean,
) -> jax.Array:
    """Ranking softmax loss (ListNet): cross-entropy of relevance and softmax over a list.

        l = −Σᵢ wᵢ·yᵢ·log(exp sᵢ / Σⱼ exp sⱼ)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> scores, relevance = jnp.array([[2.0, 1.0, 3.0]]), jnp.array([[1.0, 0.0, 0.0]])
    >>> f"{gd.ranking_softmax_loss(scores, relevance):.4f}"
    '1.4076'

    Args:
        logits: s, [..., n]: the score of each item.
        labels: y ≥ 0, [..., n]: the relevance of each item.
        where: Items that exist, [..., n]; the softmax is over these.
        weights: w, [..., n].
        reduce_fn: `jnp.mean`, `jnp.sum`, or another function of the losses of lists; with
            `where`, it is called as `reduce_fn(losses, where=lists_with_items)`. None returns the
            losses, [...].

    Returns:
        [] or [...], float32 or wider. Lists without items have loss 0, and are not averaged.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Cao et al., Learning to rank: from pairwise approach to listwise approach, 2007,
        https://doi.org/10.1145/1273496.1273513
    """
    name = "ranking_softmax_loss"
    given = {} if weights is None else {"weights": weights}
    s, y, *w = paired(name, logits=logits, labels=labels, **given)
    axes = (s.ndim - 1,)
    mask = mask_of(name, where, s.shape, ())
    y = y * w[0] if w else y
    y = y if mask is None else jnp.where(mask, y, 0)
    losses = -jnp.sum(weigh(y, log_softmax(s, axes, mask)), axis=-1)
    if reduce_fn is None:
        return losses
    if mask is None:
        return reduce_fn(losses)
    lists = jnp.any(mask, axis=-1)
    return reduce_fn(losses, where=lists | ~jnp.any(lists))  # 0, not 0 / 0, if all lists are empty
