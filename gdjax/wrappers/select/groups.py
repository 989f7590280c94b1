"""Parameter groups: one optimizer with other arguments for some of the parameters.

    groups(
        chain(clip_by_global_norm(1.0), adamw(1e-3, weight_decay=0.1)),
        (r".*/bias", dict(weight_decay=0.0)),      other arguments
        (r"head/.*", 10.0),                        ten times the learning rate
        (r"embed/.*", sgd(0.1)),                   another transformation
        (r"backbone/.*", frozen),                  not trained: no update, no state, no decay
    )

A parameter belongs to the first row that picks it, and to the base if none does. Only the stages
that differ are split: the clip above stays one stage with the norm of all trained parameters, and
the group of biases has a stage `adamw` of its own. For chains that are separate in every stage, use
`partition`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax

from gdjax.core.data.compare import is_transformation, show
from gdjax.core.data.hyperparams import is_known, is_number
from gdjax.core.engine.chain import chain
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import transformation
from gdjax.core.engine.walk import distinct
from gdjax.core.rule import errors
from gdjax.params.rules import by_all, by_any, by_label, by_not, label
from gdjax.transforms.basic import identity, scale
from gdjax.wrappers.select.edit_chain import chain_like, edited, faster, is_chain, leading, parts_of
from gdjax.wrappers.select.masked import frozen, partition, restrict

__all__ = ["groups"]


@transformation(kind="wrapper")
def groups(inner: Any, *rows: Any):
    r"""Parameter groups: other arguments, learning rates or optimizers for some parameters.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.groups(
    ...     gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(1e-3, weight_decay=0.1)),
    ...     (r".*/bias", dict(weight_decay=0.0)),
    ...     ("head", 10.0),
    ...     ("embed", gd.frozen),
    ... )
    >>> params = {"embed": jnp.ones(9), "dense": {"bias": jnp.ones(2)}, "head": jnp.ones(2)}
    >>> state = tx.init(params)
    >>> sorted(gd.state.find(state, "inner_states"))
    ['base', 'group_1', 'head']
    >>> updates, state = tx.update(params, state, params)
    >>> bool(updates["embed"].any()), round(float(gd.state.find(state, "norm")), 1)
    (False, 2.0)

    For layer-wise learning rates, weight decay without biases, freezing and fine-tuning. Wrappers
    go outside: `accumulate(groups(...), 4)`.

    Args:
        inner: The transformation of the parameters that no row picks; `base` in the state.
        *rows: Pairs of a rule, any of `gdjax.params`, and a change; a parameter belongs to the
            first row that picks it. A change is one of

            - a dict of arguments: `dict(weight_decay=0.0)` sets the decay of the one stage of
              `inner` that has this argument; if several stages have it, `{"opt/weight_decay": 0.0}`
              names the stage. The value may be `times(factor)`;
            - a number: a factor of the learning rate, which may be a schedule (`scaled_schedule`);
              a factor of the updates, if no stage or several stages have a learning rate. A `live`
              learning rate is set in each group separately;
            - a transformation that replaces `inner`, except for leading stages of a chain that
              couple all parameters, such as a clip by the global norm;
            - `frozen`: no update, no state, no decay, and no part in norms.

            A rule that is a plain word names the group in the state; others are `group_1`, ... by
            their place among the rows.

    Raises:
        TypeError: A row is no pair, or its second item is none of these changes.
        ValueError: No stage or several stages have an argument, or a pattern matches nothing; the
            message has the nearest names.
    """
    _judge(inner, rows)
    rules, changes = [row[0] for row in rows], [row[1] for row in rows]
    names = _names(rules)
    own, factors = [inner] * len(rows), [None] * len(rows)
    others = {}
    for i, change in enumerate(changes):
        if is_transformation(change):
            if not _is_frozen(change):  # those are taken out before anything sees them
                others[i] = change
        elif isinstance(change, Mapping):
            own[i] = _noted(names[i], edited, inner, dict(change))
        else:
            own[i], factors[i] = _noted(names[i], faster, inner, change)

    split = _Split(names, rules)
    tx = split.around(own, inner, others)
    if any(f is not None for f in factors):
        last = identity()
        tx = chain(tx, split([last if f is None else scale(f) for f in factors], last))

    still = {name for name, change in zip(names, changes) if _is_frozen(change)}

    def trained(params):
        labels = label(params, by_label(**dict(zip(names, rules)), base=True), "groups")
        return jax.tree.map(lambda name: name not in still, labels)

    return restrict("groups", tx, trained)


def _is_frozen(change: Any) -> bool:
    """Whether a row freezes its parameters."""
    return is_transformation(change) and change == frozen


class _Split:
    """Combines several variants of one transformation, each for its own rows."""

    def __init__(self, names: list[str], rules: list[Any]) -> None:
        self.names, self.rules = names, rules

    def __call__(self, own: list[Any], base: Any) -> Any:
        """The variant of each row and that of the rest, stage by stage, shared where all are one.

        Variants are compared by identity: what is split depends on the rows, not on numbers.
        """
        if all(one is base for one in own):
            return base
        if not is_chain(base):
            return self.parts(own, base)
        return chain_like(base, self.stages(own, base))

    def stages(self, own: list[Any], base: Any) -> list[Any]:
        """The stages of a chain, each split if it differs."""
        columns = zip(*(parts_of(one).values() for one in own))
        return [self(list(c), part) for c, part in zip(columns, parts_of(base).values())]

    def parts(self, own: list[Any], base: Any) -> Any:
        """A partition; a row that has the base's variant is of the base."""
        said, transformations = {}, {}
        for i, one in enumerate(own):
            if one is not base:
                before = [rule for rule, earlier in zip(self.rules[:i], own) if earlier is base]
                rule = self.rules[i]
                said[self.names[i]] = by_all(rule, by_not(by_any(*before))) if before else rule
                transformations[self.names[i]] = one
        return partition(by_label(**said, base=True), **transformations, base=base)

    def around(self, own: list[Any], base: Any, others: dict[int, Any]) -> Any:
        """As a call, where some rows have a transformation that is no variant of the base."""
        if not others:
            return self(own, base)
        if not is_chain(base):
            return self.parts([others.get(i, one) for i, one in enumerate(own)], base)
        stages, lead = self.stages(own, base), leading(list(parts_of(base).values()))
        if lead + 1 == len(stages):  # one stage is left, itself a chain perhaps
            *_, last = parts_of(base)
            column = [parts_of(one)[last] for one in own]
            return chain_like(
                base, [*stages[:lead], self.around(column, parts_of(base)[last], others)]
            )
        rest = chain(*stages[lead:]) if lead < len(stages) else identity()
        tail = self.parts([others.get(i, rest) for i in range(len(own))], rest)
        return chain_like(base, [*stages[:lead], tail]) if lead else tail


def _noted(name: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception as error:
        error.add_note(f"in {name} of groups")
        raise


def _names(rules: list[Any]) -> list[str]:
    """The names of groups in the state: a plain word as it is, others by number."""
    taken, names = ["base", "rules", "mask_compatible_extra_args"], []
    for i, rule in enumerate(rules):
        plain = isinstance(rule, str) and re.fullmatch(r"\w[\w.-]*", rule) and rule not in taken
        *_, name = distinct([*taken, rule if plain else f"group_{i + 1}"])
        taken.append(name)
        names.append(name)
    return names


def _judge(base: Any, rows: tuple) -> None:
    check_transformation("groups", "inner", base, "Write groups(adamw(1e-3), ...).")
    for row in rows:
        if not isinstance(row, (tuple, list)) or is_transformation(row) or len(row) != 2:
            must, hint = "each row must be a pair", 'Write (".*/bias", dict(weight_decay=0.0)).'
            errors.fail("groups", must, row, instead=hint, kind=TypeError)
        change: Any = row[1]
        kinds = isinstance(change, Mapping) or is_number(change)
        if not kinds and not is_transformation(change):
            must = "the second of a row must be a dict of arguments, a number or a transformation"
            hint = "Call the factory." if callable(change) else ""
            errors.fail("groups", must, show(change), instead=hint, kind=TypeError)
        known: Any = change if is_number(change) and is_known(change) else 0
        if not known >= 0:
            errors.fail("groups", "a factor of the learning rate must lie in [0, inf]", change)
