"""Masked, frozen and partitioned parameters.

A transformation gets None for each parameter that is masked out, so it keeps no state there, and
the update is zero. In optax the gradients of masked-out parameters pass through `masked`, and an
optimizer that is masked so adds raw gradients to the parameters. Here that is an option,
`outside="pass"`, for a stage inside a chain whose later stages handle all parameters.

For two optimizers on two parts of the parameters use one `partition`, not a chain of two `masked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.rule import Child, EmptyState, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, tree
from gdjax.params.rules import ParamRule, by_label, label, only, select
from gdjax.transforms.basic import set_to_zero

__all__ = [
    "MaskedState",
    "PartitionState",
    "freeze",
    "frozen",
    "masked",
    "partition",
    "selective_transform",
]


class MaskedState(NamedTuple):
    """State of `masked`, `selective_transform` and `groups`."""

    inner_state: Any  # of the inner transformation, None where a parameter is left out


class PartitionState(NamedTuple):
    """State of `partition`."""

    inner_states: dict[str, Any]  # by label; each has None where a parameter is another's


frozen = set_to_zero()
"""Parameters that are not trained, in `groups` and `partition`: no update, no state, no decay."""


@transformation(kind="wrapper")
def masked(
    inner: Any, mask: Any, *, outside: str = "zero", mask_compatible_extra_args: bool = False
):
    """Masks a transformation: it applies to some parameters; the others get no update and no state.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    >>> tx = gd.masked(gd.sgd(0.5, momentum=0.9), "matrices")
    >>> updates, state = tx.update(params, tx.init(params), params)
    >>> updates["b"], gd.state.find(state, "trace")["b"]
    (Array([0., 0.], dtype=float32), None)

    Args:
        inner: The transformation.
        mask: The parameters it applies to; any rule of `gdjax.params`.
        outside: The updates of the other parameters: `"zero"`, or `"pass"` as in optax, for a
            stage inside a chain: `chain(masked(clip(1.0), "embed/.*", outside="pass"), adam(η))`.
        mask_compatible_extra_args: Whether to mask extra arguments that are trees like the
            updates.

    Raises:
        ValueError: The mask does not fit the parameters, or `outside` is unknown.
    """
    return restrict("masked", inner, mask, outside, mask_compatible_extra_args)


@transformation(kind="wrapper")
def selective_transform(inner: Any, *, freeze_mask: Any):
    """Freezes some parameters and trains the others; frozen ones have no update and no state.

    >>> import gdjax as gd
    >>> gd.selective_transform(gd.adamw(1e-3), freeze_mask="embed/.*")
    selective_transform(inner=adamw(learning_rate=0.001), freeze_mask='embed/.*')

    Args:
        inner: The transformation of the trained parameters.
        freeze_mask: The frozen parameters; any rule of `gdjax.params`.

    Raises:
        ValueError: The mask does not fit the parameters.
    """
    return restrict("selective_transform", inner, freeze_mask, invert=True)


@transformation
def freeze(mask: Any):
    """Freezes some parameters: sets their updates to zero and passes the others through.

    As the last stage of a chain it fixes parameters, against weight decay and momentum too. The
    stages before it still keep state for them; with `selective_transform` they do not.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.freeze("b"))
    >>> params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    >>> tx.update(params, tx.init(params))[0]
    {'b': Array([0., 0.], dtype=float32), 'w': Array([-1., -1.], dtype=float32)}

    Args:
        mask: The frozen parameters; any rule of `gdjax.params`.

    Raises:
        ValueError: The mask does not fit the parameters.
    """

    def update(updates, state, params=None, **extra):
        flags = select(updates if params is None else params, mask, "freeze")
        return _merge(flags, _zeros(only(flags, updates)), updates), state

    return lambda params: EmptyState(), update


@transformation(kind="wrapper")
def partition(rules: Any, *, mask_compatible_extra_args: bool = False, **transformations: Any):
    """Partitions the parameters by label and applies a transformation to each part.

    >>> import gdjax as gd
    >>> tx = gd.partition(
    ...     gd.by_label(matrix=gd.by_rank(2) & ~gd.by_path("embed/.*"), rest=True),
    ...     matrix=gd.sgd(0.02, 0.95),
    ...     rest=gd.adamw(3e-4),
    ... )
    >>> tx.replace(rest=gd.frozen).arguments["transformations"]["rest"]
    set_to_zero()

    A stage that couples parameters, such as a clip by the global norm, couples those of its part
    only. In front of the partition, `chain(clip_by_global_norm(1.0), partition(...))`, it couples
    all. `groups` splits only the stages of a chain that differ.

    Args:
        rules: `by_label(...)`, a tree of labels that is a prefix of the parameters, or a function
            of the parameters that returns one of these.
        mask_compatible_extra_args: Whether to split extra arguments that are trees like the
            updates.
        **transformations: The transformation of each label; `frozen` has no state. Write a label
            that is no Python name as `**{"1st": tx}`. A part may be empty, such as the matrices of
            a model without matrices.

    Raises:
        TypeError: The value of a label is no transformation.
        ValueError: A parameter has no label, or one without a transformation; a pattern matches
            nothing; the labels of `by_label` are not those of the transformations.
    """
    _judge_labels(rules, transformations)

    def parts_of(params: Any) -> dict[str, Any]:
        labels = label(params, rules, "partition")
        for path, one in zip(tree.paths(labels), jax.tree.leaves(labels)):
            if one not in transformations:
                must = f"the label of each parameter must be that of a transformation, at {path!r}"
                errors.fail("partition", must, repr(one), instead=_hint(one, transformations))
        return {name: jax.tree.map(lambda x, n=name: x == n, labels) for name in transformations}

    def init(params):
        own = {name: only(flags, params) for name, flags in parts_of(params).items()}
        return PartitionState({name: tx.init(own[name]) for name, tx in transformations.items()})

    def update(updates, state, params=None, **extra):
        out, after = updates, {}
        for name, flags in parts_of(updates if params is None else params).items():
            own = _of_part(flags, updates, extra) if mask_compatible_extra_args else extra
            inner = state.inner_states[name]
            mine, after[name] = _update(transformations[name], flags, updates, inner, params, own)
            out = _merge(flags, mine, out)
        return out, PartitionState(after)

    def own(name):
        return lambda params: only(parts_of(params)[name], params)

    children = [
        Child(name, tx, at=("inner_states", name), share=own(name), named=True)
        for name, tx in transformations.items()
    ]
    return Rule(init, update, children=tuple(children))


def _judge_labels(rules: Any, transformations: dict[str, Any]) -> None:
    """Checks labels as far as possible without the parameters."""
    for name, tx in transformations.items():
        hint = f"Write partition(..., {name}=adamw(1e-3))."
        check_transformation("partition", f"what is given for the label {name!r}", tx, hint)
        if "/" in name:
            errors.fail("partition", "a label must have no slash: it is part of paths", name)
    if not isinstance(rules, ParamRule):
        return
    if not rules.made_by(by_label):
        must = "rules must give labels, and this rule gives True or False"
        hint = f"Write by_label(picked={rules!r}, rest=True)."
        errors.fail("partition", must, rules, instead=hint)
    known = rules.arguments["rules"]
    for name in known:
        if name not in transformations:
            must = f"each label of by_label must have a transformation, and {name!r} has none"
            got = ", ".join(transformations) or "none"
            errors.fail("partition", must, got, instead=f"Write partition(..., {name}=...).")
    for name in transformations:
        if name not in known:
            must = "the label of each transformation must be one of by_label"
            errors.fail("partition", must, repr(name), instead=_hint(name, known))


def _hint(one: Any, known: Any) -> str:
    if not isinstance(one, str):
        return "Labels are strings: write by_label(picked=rule, rest=True)."
    return errors.nearest(one, known)


def restrict(
    where: str,
    inner: Any,
    mask: Any,
    outside: str = "zero",
    share_extra: bool = False,
    *,
    invert: bool = False,
) -> Rule:
    """Init and update of a transformation of some of the parameters; see `masked`."""
    if outside not in ("zero", "pass"):
        hint = errors.nearest(str(outside), ["zero", "pass"])
        errors.fail(where, 'outside must be "zero" or "pass"', outside, instead=hint)

    def flags_of(params: Any) -> Any:
        flags = select(params, mask, where)
        return jax.tree.map(lambda flag: not flag, flags) if invert else flags

    def init(params):
        return MaskedState(inner.init(only(flags_of(params), params)))

    def update(updates, state, params=None, **extra):
        flags = flags_of(updates if params is None else params)
        if share_extra:
            extra = _of_part(flags, updates, extra)
        mine, after = _update(inner, flags, updates, state.inner_state, params, extra)
        others = updates if outside == "pass" else _zeros(updates)
        return _merge(flags, mine, others), MaskedState(after)

    share = lambda params: only(flags_of(params), params)
    inside = Child("inner", inner, at="inner_state", share=share)
    moves = (lambda params: params) if outside == "pass" else None
    return Rule(init, update, children=(inside,), moves=moves)


def _zeros(updates: Any) -> Any:
    return tree.map(jnp.zeros_like, updates)


def _merge(flags: Any, flagged: Any, others: Any) -> Any:
    """One tree of two: the leaves of `flagged` where the flag is True."""
    choose: Callable[..., Any] = lambda flag, x, y: x if flag else y
    return jax.tree.map(choose, flags, flagged, others, is_leaf=tree.is_none)


def _of_part(flags: Any, updates: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The extra arguments, of those that are trees like the updates only the flagged leaves."""
    like = jax.tree.structure(updates, is_leaf=tree.is_none)
    return {
        name: only(flags, x) if jax.tree.structure(x, is_leaf=tree.is_none) == like else x
        for name, x in extra.items()
    }


def _update(tx: Any, flags: Any, updates: Any, state: Any, params: Any, extra: dict) -> Any:
    """Updates of the flagged leaves, None for the others, and the state."""
    if flags is False:  # a bare array that is not its own leaves nothing to call it with
        return None, state
    theirs = None if params is None else only(flags, params)
    return call_update(tx, only(flags, updates), state, theirs, extra)
