"""Parts of the parameters: masked, frozen, or split among several transformations.

A transformation sees None where a parameter is not its own, so it keeps no state there. What
nobody takes has a zero update. In optax what `masked` leaves out passes through instead, which in
the place of an optimizer adds raw gradients to the parameters; here that is said: `outside="pass"`,
for a stage in the midst of a chain that others of the same chain finish.

Two optimizers for two parts are one `partition`, not a chain of two `masked`.
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


# What a part of the parameters that is not trained gets: no update, no state, no decay.
frozen = set_to_zero()


@transformation(kind="wrapper")
def masked(
    inner: Any, mask: Any, *, outside: str = "zero", mask_compatible_extra_args: bool = False
):
    """Applies a transformation to some of the parameters; the others have no update and no state.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    >>> tx = gd.masked(gd.sgd(0.5, momentum=0.9), "matrices")
    >>> updates, state = tx.update(params, tx.init(params), params)
    >>> updates["b"], gd.state.find(state, "trace")["b"]
    (Array([0., 0.], dtype=float32), None)

    Args:
        inner: The transformation.
        mask: Which parameters it gets; any rule of `gdjax.params`.
        outside: What becomes of the updates of the others: `"zero"`, or `"pass"`, as in optax, in
            a stage of a chain that other stages finish:
            `chain(masked(clip(1.0), "embed/.*", outside="pass"), adam(η))`.
        mask_compatible_extra_args: Masks those extra arguments too that are trees like the updates.

    Raises:
        ValueError: The mask does not fit the parameters, or `outside` is another word.
    """
    return restrict("masked", inner, mask, outside, mask_compatible_extra_args)


@transformation(kind="wrapper")
def selective_transform(inner: Any, *, freeze_mask: Any):
    """Trains all parameters but those of the mask, which have no update and no state.

    >>> import gdjax as gd
    >>> gd.selective_transform(gd.adamw(1e-3), freeze_mask="embed/.*")
    selective_transform(inner=adamw(learning_rate=0.001), freeze_mask='embed/.*')

    Args:
        inner: What trains the others.
        freeze_mask: Which parameters stay as they are; any rule of `gdjax.params`.

    Raises:
        ValueError: The mask does not fit the parameters.
    """
    return restrict("selective_transform", inner, freeze_mask, invert=True)


@transformation
def freeze(mask: Any):
    """Makes the updates of some parameters zero and lets the others pass.

    As the last stage of a chain it holds parameters fixed, decay and momentum included; the stages
    before it keep their state, which `selective_transform` spares.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.freeze("b"))
    >>> params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    >>> tx.update(params, tx.init(params))[0]
    {'b': Array([0., 0.], dtype=float32), 'w': Array([-1., -1.], dtype=float32)}

    Args:
        mask: Which parameters stay as they are; any rule of `gdjax.params`.

    Raises:
        ValueError: The mask does not fit the parameters.
    """

    def update(updates, state, params=None, **extra):
        flags = select(updates if params is None else params, mask, "freeze")
        return _merge(flags, _zeros(only(flags, updates)), updates), state

    return lambda params: EmptyState(), update


@transformation(kind="wrapper")
def partition(rules: Any, *, mask_compatible_extra_args: bool = False, **transformations: Any):
    """Applies to each part of the parameters a transformation of its own.

    >>> import gdjax as gd
    >>> tx = gd.partition(
    ...     gd.by_label(matrix=gd.by_rank(2) & ~gd.by_path("embed/.*"), rest=True),
    ...     matrix=gd.sgd(0.02, 0.95),
    ...     rest=gd.adamw(3e-4),
    ... )
    >>> tx.replace(rest=gd.frozen).arguments["transformations"]["rest"]
    set_to_zero()

    What couples parameters, a clip by the global norm say, sees those of its own part only; in
    front of the partition, `chain(clip_by_global_norm(1.0), partition(...))`, it sees all.
    `groups` splits no more of a chain than differs.

    Args:
        rules: `by_label(...)`, a tree of labels like the parameters or a part of it from the root,
            or a function that makes one of these of the parameters.
        mask_compatible_extra_args: Splits those extra arguments too that are trees like the
            updates.
        **transformations: The transformation of each label; `frozen` keeps no state. A label that
            is no Python name is given as `**{"1st": tx}`. A part may be empty, as the matrices of
            a model that has none.

    Raises:
        TypeError: What is given for a label is no transformation.
        ValueError: A parameter has no label, or one that no transformation has; a pattern matches
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
    """Judges what can be judged before there are parameters."""
    for name, tx in transformations.items():
        hint = f"Write partition(..., {name}=adamw(1e-3))."
        check_transformation("partition", f"what is given for the label {name!r}", tx, hint)
        if "/" in name:
            errors.fail("partition", "labels stand in paths of the state and have no slash", name)
    if not isinstance(rules, ParamRule):
        return
    if not rules.made_by(by_label):
        must = "rules must give labels, and this one picks"
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
    """The functions of a transformation that gets some of the parameters; see `masked`."""
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
