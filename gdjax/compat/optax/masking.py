"""Masking with optax's convention: masked-out updates pass through unchanged.

gdjax's own `masked` sets masked-out updates to zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import jax

from gdjax.compat.optax.tree_search import Placeholder
from gdjax.compat.optax.twins import named
from gdjax.compat.optax.types import MaskedNode
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule import errors
from gdjax.core.rule.tree import paths
from gdjax.transforms.basic import set_to_zero

__all__ = [
    "MaskedState",
    "MultiTransformState",
    "PartitionState",
    "freeze",
    "masked",
    "multi_transform",
    "partition",
    "selective_transform",
]


class MaskedState(NamedTuple):
    """State of `masked`."""

    inner_state: Any  # of the inner transformation, MaskedNode() where it is masked out


class PartitionState(NamedTuple):
    """State of `partition`."""

    inner_states: dict[Hashable, MaskedState]  # by label


MultiTransformState = PartitionState


def _resolve(rule: Any, tree: Any) -> Any:
    """The mask or the labels themselves. A callable module that is a tree is not called."""
    if callable(rule) and jax.tree_util.all_leaves([rule]):
        return rule(tree)
    return rule


def _take(mask: Any, tree: Any) -> Any:
    """A tree with `MaskedNode()` for masked-out leaves."""
    return jax.tree.map(lambda keep, part: part if keep else MaskedNode(), mask, tree)


def _fits(where: str, what: str, tree: Any, params: Any) -> Any:
    try:
        jax.tree.map(lambda *_: None, tree, params)
    except ValueError as error:
        must = f"{what} must be a tree like the parameters, or a prefix of that tree"
        hint = f"JAX says: {errors.shorten(str(error), 200)}"
        got = f"a tree with {', '.join(paths(tree)) or 'no leaves'}"
        errors.fail(where, must, got, instead=hint)
    return tree


def _init(inner: Any, mask: Any, params: Any) -> MaskedState:
    return MaskedState(inner.init(_take(mask, params)))


def _update(
    inner: Any,
    mask: Any,
    updates: Any,
    state: MaskedState,
    params: Any,
    extra: dict[str, Any],
    mask_extra: bool,
) -> tuple[Any, MaskedState]:
    if mask_extra:
        structure = jax.tree.structure(updates)
        extra = {
            k: _take(mask, v) if jax.tree.structure(v) == structure else v for k, v in extra.items()
        }
    below = None if params is None else _take(mask, params)
    changed, inner_state = call_update(inner, _take(mask, updates), state.inner_state, below, extra)
    merged = jax.tree.map(lambda keep, new, old: new if keep else old, mask, changed, updates)
    return merged, MaskedState(inner_state)


@named("optax")
def masked(inner: Any, mask: Any, *, mask_compatible_extra_args: bool = False):
    """Masks a transformation: it applies to some leaves; the others pass through unchanged.

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> tx = optax.masked(optax.scale(-1.0), {"w": True, "b": False})
    >>> grads = {"w": jnp.ones(1), "b": jnp.ones(1)}
    >>> tx.update(grads, tx.init(grads))[0]
    {'b': Array([1.], dtype=float32), 'w': Array([-1.], dtype=float32)}

    Args:
        inner: The transformation.
        mask: A tree of bools like the parameters, or a prefix of that tree, True where the
            transformation applies; or a function that makes it of parameters or updates.
        mask_compatible_extra_args: Masks extra arguments that are trees like the updates too.

    Raises:
        ValueError: The mask does not fit.
    """

    def flags(tree: Any) -> Any:
        return _fits("optax.masked", "mask", _resolve(mask, tree), tree)

    def init(params):
        if isinstance(params, Placeholder):
            return MaskedState(inner.init(params))
        return _init(inner, flags(params), params)

    def update(updates, state, params=None, **extra):
        at = flags(updates)
        return _update(inner, at, updates, state, params, extra, mask_compatible_extra_args)

    return Rule(
        init,
        update,
        children=(Child("inner", inner, at="inner_state"),),
        moves=lambda params: params,
    )


@named("optax")
def partition(
    transforms: Mapping[Hashable, Any],
    param_labels: Any,
    *,
    mask_compatible_extra_args: bool = False,
):
    """Partitions the parameters by label and applies a transformation to each part.

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> parts = {"fast": optax.sgd(1.0), "slow": optax.sgd(0.1)}
    >>> tx = optax.partition(parts, {"w": "slow", "b": "fast"})
    >>> grads = {"w": jnp.ones(1), "b": jnp.ones(1)}
    >>> tx.update(grads, tx.init(grads))[0]
    {'b': Array([-1.], dtype=float32), 'w': Array([-0.1], dtype=float32)}

    Args:
        transforms: Transformations by label.
        param_labels: A tree of labels like the parameters, or a prefix of that tree, or a
            function that makes it of parameters or updates.
        mask_compatible_extra_args: Masks extra arguments that are trees like the updates too.

    Raises:
        ValueError: A label has no transformation, or the labels do not fit.
    """

    def masks(tree: Any) -> dict[Hashable, Any]:
        labels = _fits("optax.partition", "labels", _resolve(param_labels, tree), tree)
        known = ", ".join(map(str, transforms))
        for label in jax.tree.leaves(labels):
            if label not in transforms:
                must = f"labels must be among those of transforms ({known})"
                errors.fail("optax.partition", must, str(label))
        return {k: jax.tree.map(lambda label, k=k: label == k, labels) for k in transforms}

    def init(params):
        if isinstance(params, Placeholder):
            return PartitionState({k: MaskedState(tx.init(params)) for k, tx in transforms.items()})
        at = masks(params)
        return PartitionState({k: _init(tx, at[k], params) for k, tx in transforms.items()})

    def update(updates, state, params=None, **extra):
        at, states = masks(updates), {}
        for k, tx in transforms.items():
            updates, states[k] = _update(
                tx, at[k], updates, state.inner_states[k], params, extra, mask_compatible_extra_args
            )
        return updates, PartitionState(states)

    children = [
        Child(str(k), tx, at=("inner_states", k, "inner_state")) for k, tx in transforms.items()
    ]
    return Rule(init, update, children=tuple(children), moves=lambda params: params)


multi_transform = partition


def freeze(mask: Any) -> Any:
    """Freezes parameters: sets updates to zero where the mask is True, passes the others."""
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: Any, *, freeze_mask: Any) -> Any:
    """Freezes parameters where the mask is True, and applies an optimizer where it is False."""
    labels = jax.tree.map(lambda frozen: "freeze" if frozen else "train", freeze_mask)

    return partition({"freeze": set_to_zero(), "train": optimizer}, labels)
