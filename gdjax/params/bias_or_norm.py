"""The rule that picks biases and the parameters of norms, which are usually left out of decay.

The number of axes alone is not enough: biases of Flax's attention have two axes (heads and their
width), those of Equinox' convolutions three, and stacked layers give one more to everything. So
names are read as well: the last word of a path, and the module that owns the array.
"""

from __future__ import annotations

import re
from typing import Any

from gdjax.params.rules import _rule, by_function, by_rank

__all__ = ["by_bias_or_norm"]

# What a bias, or the scale or shift of a norm is called: Flax, Equinox, torch, Keras, Haiku.
_OWN = re.compile(r"(.*_)?bias(_.*)?|b|beta|gain|gamma|offset|scale")
# What a norm is called: LayerNorm_0, layer_norm, rmsnorm, norm1, q_norm, ln_f, key_ln, bn2.
_NORM = re.compile(r"(?i)(.*_)?(.*norms?|ln|bn|gn)\d*(_.*)?")


@_rule
def by_bias_or_norm():
    """Picks biases and the scales and shifts of norms: the parameters without weight decay.

    These are all arrays of at most one axis, and those of more axes whose name says what they are:
    `bias`, `query_bias`, `b`, `beta`, `offset`, `scale`, `gamma`, `gain`, and `weight` in a module
    that is called as a norm is (`LayerNorm_0/weight`, `ln_f/weight`, `norm1/weight`).

    A mask of decay picks the parameters that do decay, so write `~` there; a row of `groups` picks
    those that differ. Another rule adds to it: `gd.by_bias_or_norm() | ".*/embedding"`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> attention = {"kernel": jnp.ones((8, 2, 4)), "bias": jnp.ones((2, 4))}
    >>> gd.by_bias_or_norm()({"query": attention, "norm": {"scale": jnp.ones(8)}})
    {'norm': {'scale': True}, 'query': {'bias': True, 'kernel': False}}
    >>> tx = gd.adamw(1e-3, weight_decay=0.1, mask=~gd.by_bias_or_norm())
    >>> tx = gd.groups(
    ...     gd.adamw(1e-3, weight_decay=0.1), (gd.by_bias_or_norm(), dict(weight_decay=0.0))
    ... )
    """
    return (by_rank(at_most=1) | by_function(_is_called_so))._of


def _is_called_so(path: str, _: Any) -> bool:
    """Whether its name is that of a bias or of a part of a norm."""
    *modules, name = [word for word in path.split("/") if not word.isdigit()] or [""]
    owner = modules[-1] if modules else ""
    return bool(_OWN.fullmatch(name) or (name in ("weight", "w", "g") and _NORM.fullmatch(owner)))
