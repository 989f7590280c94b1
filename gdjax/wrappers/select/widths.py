"""Hyperparameter transfer from small to large models: muP (width) and CompleteP (depth).

Hyperparameters are tuned on a narrow model and used for a wide one:

    small = jax.eval_shape(lambda: init(width=64))         only shapes are compared
    tx = gd.groups(gd.adam(3e-3), *gd.width_groups(params, small, "adam"))

The kind of an array follows from the axes that grow: both axes of a hidden matrix, the output axis
of an input layer or embedding, the input axis of the last layer, the only axis of a bias or gain.
Learning rates alone are not enough. Initialize every array with variance 1/fan_in, as is usual,
except the last layer: smaller by the ratio of widths, or zero (`outputs="small"`), or divide its
outputs by that ratio (`outputs="divided"`). Scale attention logits by 1/d instead of 1/√d.

Weight decay that is scaled by the learning rate becomes weaker where the learning rate does;
`chain(adam(η), decay_weights(λ))` is independent of it. `eps` must be small relative to the
gradients, which decrease as 1/width.
"""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np

from gdjax.core.rule import errors, tree
from gdjax.params.rules import by_path, select
from gdjax.wrappers.select.edit_chain import times

__all__ = ["depth_groups", "width_groups"]

# The factor of a rate; and the power of m in that of a last layer whose outputs are divided by m.
RULES = {
    "adam": (lambda inputs, outputs: 1 / inputs, 1),
    "sgd": (lambda inputs, outputs: outputs / inputs, 2),
    "matrix": (lambda inputs, outputs: (outputs / inputs) ** 0.5, 1),
}


def width_groups(
    params: Any,
    base_params: Any,
    optimizer: str = "adam",
    *,
    transposed: Any = False,
    outputs: str = "small",
) -> tuple[tuple[Any, float], ...]:
    """Maximal update parametrization (muP): learning-rate groups for a wider model.

        mᵢ, mₒ: ratios of fan-in and of fan-out, wide to small
        adam      1/mᵢ          each entry of an update has the size of the rate
        sgd       mₒ/mᵢ         updates are the gradients, or momentum of them
        matrix    √(mₒ/mᵢ)      updates U·Vᵀ of matrices; of other arrays as adam

    If outputs are divided by the ratio of widths, the last layer has m times that factor, under
    sgd m². `muon` includes a factor of √max(1, out/in): `matrix` is right for it where both axes of
    hidden matrices grow alike, and its AdamW trains the embeddings and the last layer.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> def shapes(n):
    ...     return {"in": jnp.zeros((8, n)), "mid": jnp.zeros((n, n)), "out": jnp.zeros((n, 2))}
    >>> rows = gd.width_groups(shapes(256), shapes(64), "adam")
    >>> rows
    ((by_path('mid', 'out'), 0.25),)
    >>> tx = gd.groups(gd.adam(3e-3), *rows)

    Args:
        params: Parameters of the wide model, arrays or abstract values (`jax.eval_shape`).
        base_params: Parameters of the small model, whose learning rate is known; the same paths.
        optimizer: How updates depend on gradients: `"adam"` (and all that divide by the size of
            gradients: Lion, Adafactor, RMSProp, sign descent), `"sgd"` or `"matrix"`.
        transposed: The arrays with axes (out, in, ...), as in layers of Equinox and torch, instead
            of (..., in, out); a rule of `gdjax.params`. Embeddings mostly are not transposed.
        outputs: `"small"` (initialization of the last layer) or `"divided"` (its outputs).

    Returns:
        Rows for `groups`: pairs of a rule and a factor of the learning rate, for factors other
        than 1.

    Raises:
        ValueError: The two trees differ in more than shapes, or inputs and outputs of an array
            cannot be distinguished.

    Reference: Yang et al., Tensor Programs V: tuning large neural networks via zero-shot
        hyperparameter transfer, 2022, https://arxiv.org/abs/2203.03466, tables 3 and 8; for
        matrices Yang, Simon and Bernstein, A spectral condition for feature learning, 2023,
        https://arxiv.org/abs/2310.17813
    """
    _one_of("width_groups", "optimizer", optimizer, RULES)
    _one_of("width_groups", "outputs", outputs, ("small", "divided"))
    factors = {}
    for path, axes, (inputs, outs) in _ratios("width_groups", params, base_params, transposed):
        rule, power = RULES[optimizer if axes > 1 or optimizer == "sgd" else "adam"]
        is_last = outs == 1 and outputs == "divided"
        factors[path] = rule(inputs, outs) * (inputs**power if is_last else 1)
    return _rows(factors, 1)


def depth_groups(
    params: Any,
    base_params: Any,
    depth: float,
    blocks: Any,
    *,
    alpha: float = 1.0,
    transposed: Any = False,
    weight_decay: bool = False,
) -> tuple[tuple[Any, dict[str, Any]], ...]:
    """CompleteP: AdamW hyperparameter groups for a wider and deeper model.

        m: ratio of widths,  l: ratio of depths
        learning rate     hidden matrices 1/m, times l^(α − 1) for all arrays in blocks
        eps               all arrays 1/m, times l^(−α) in blocks
        weight decay      hidden matrices m, so that the product with the rate stays

    The model must have residual blocks x ← x + l^(−α)·block(x) and outputs divided by m.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> wide = {"blocks": {"kernel": jnp.zeros((256, 256))}, "out": jnp.zeros((256, 2))}
    >>> small = {"blocks": {"kernel": jnp.zeros((64, 64))}, "out": jnp.zeros((64, 2))}
    >>> for rule, changes in gd.depth_groups(wide, small, depth=2, blocks="blocks/.*"):
    ...     print(rule, changes)
    by_path('blocks/kernel') {'learning_rate': times(factor=0.25), 'eps': times(factor=0.125)}
    by_path('out') {'eps': times(factor=0.25)}

    Args:
        params: Parameters of the large model, arrays or abstract values.
        base_params: Parameters of the small model, whose hyperparameters are known. Only widths
            are compared: it has as many blocks as `params`.
        depth: l, the number of blocks divided by that of the small model.
        blocks: The parameters in residual blocks; a rule of `gdjax.params`.
        alpha: α in [0.5, 1]; 1 for feature learning in every layer.
        transposed: As in `width_groups`.
        weight_decay: Whether the optimizer has `weight_decay`, scaled by the rate, as `adamw`.

    Returns:
        Rows for `groups`: pairs of a rule and a dict of factors other than 1.

    Raises:
        ValueError: As `width_groups`; or widths grow by different ratios.

    Reference: Dey et al., Don't be lazy: CompleteP enables compute-efficient deep transformers,
        2025, https://arxiv.org/abs/2505.01618, table 1
    """
    found = list(_ratios("depth_groups", params, base_params, transposed))
    widths = sorted({x for *_, both in found for x in both if x != 1}) or [1]
    if len(widths) > 1:
        errors.fail("depth_groups", "all widths must grow by one ratio", widths)
    (m,) = widths
    inside = dict(zip(tree.paths(params), jax.tree.leaves(select(params, blocks, "depth_groups"))))
    changes = {}
    for path, _, both in found:
        hidden = both == (m, m)
        factors = {
            "learning_rate": (1 / m if hidden else 1)
            * (depth ** (alpha - 1) if inside[path] else 1),
            "eps": (depth**-alpha if inside[path] else 1) / m,
            "weight_decay": m if hidden and weight_decay else 1,
        }
        changes[path] = tuple((name, x) for name, x in factors.items() if x != 1)
    rows = _rows(changes, ())
    return tuple((rule, {name: times(x) for name, x in both}) for rule, both in rows)


def _rows(said: dict[str, Any], nothing: Any) -> tuple[tuple[Any, Any], ...]:
    """One row for all paths with the same value."""
    paths: dict[Any, list[str]] = {}
    for path, value in said.items():
        if value != nothing:
            paths.setdefault(value, []).append(re.escape(path))
    return tuple((by_path(*of), value) for value, of in paths.items())


def _ratios(where: str, params: Any, base_params: Any, transposed: Any) -> Any:
    """For each array its path, its number of axes, and the ratios of fan-in and fan-out."""
    small = dict(zip(tree.paths(base_params), jax.tree.leaves(base_params)))
    turned = jax.tree.leaves(select(params, transposed, where))
    for path, x, flip in zip(tree.paths(params), jax.tree.leaves(params), turned):
        if path not in small:
            must = f"base_params must have the paths of params, and lack {path!r}"
            errors.fail(where, must, f"{len(small)} others", instead=errors.nearest(path, small))
        shape, base = np.shape(x), np.shape(small[path])
        if len(shape) != len(base):
            errors.fail(where, f"the axes must be as many as in base_params, at {path!r}", shape)
        yield path, len(shape), _ratio(where, path, shape, base, flip)


def _ratio(where: str, path: str, shape: tuple, base: tuple, flip: bool) -> tuple[float, float]:
    ratios = {i: n / b for i, (n, b) in enumerate(zip(shape, base)) if n != b}
    if len(shape) < 2:
        return 1, ratios.get(0, 1)
    inputs, outputs = (1, 0) if flip else (len(shape) - 2, len(shape) - 1)
    if set(ratios) <= {inputs, outputs}:
        return ratios.get(inputs, 1), ratios.get(outputs, 1)
    if len(ratios) > 1 and len(set(ratios.values())) == 1:  # heads, whose axis is one of several
        (ratio,) = set(ratios.values())
        return ratio, ratio
    must = f"the axes that grow must be those of inputs and outputs, at {path!r}"
    hint = "See `transposed`; or write the row of this array by hand."
    errors.fail(where, must, f"{base} and {shape}", instead=hint)


def _one_of(where: str, name: str, value: Any, known: Any) -> None:
    if value not in known:
        hint = errors.nearest(str(value), known)
        errors.fail(where, f"{name} must be one of {', '.join(known)}", value, instead=hint)
