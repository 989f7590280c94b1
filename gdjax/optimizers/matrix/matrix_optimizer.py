"""One transformation for hidden weight matrices, AdamW for all other parameters."""

from __future__ import annotations

from typing import Any

import jax

from gdjax.core.matrix.matrices import is_matrix
from gdjax.optimizers.adam.adam import adamw
from gdjax.wrappers.select.masked import partition

__all__ = ["matrix_optimizer"]


def matrix_optimizer(
    matrix_axes: Any, learning_rate: Any, adam_learning_rate: Any, *adam: Any, **hidden: Any
) -> Any:
    """A partition of the parameters: one transformation for hidden matrices, AdamW for the rest.

    Args:
        matrix_axes: See `gdjax.matrix_axes`; None for arrays of two axes, except embeddings and
            heads, which are recognized by name: `.*embed.*`, `wte`, `head`, `lm_head` and so on.
        learning_rate: The rate of the matrices.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        *adam: The other arguments of `adamw`, in its order.
        **hidden: The transformation of the matrices, by its name in the state.
    """
    (name,) = hidden
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate

    def labels(params):
        matrices = is_matrix(params, matrix_axes, name)
        return jax.tree.map(lambda matrix: name if matrix else "adam", matrices)

    return partition(labels, **hidden, adam=adamw(rate, *adam))
