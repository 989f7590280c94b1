"""Rules that select parameters: by path, by rank, by function, by tree.

Every argument that takes a mask takes any of these, and `select` shows the selected parameters:

    None, True, False                  all parameters, all, none
    "matrices"                         arrays of two or more axes
    r".*/bias"                         parameters whose whole path matches a regular expression
    by_path(...), by_rank(...), ...    rules, which are data and combine: ~a, a | b, a & b
    {"dense": True, "norm": False}     a tree of bools, a prefix of the tree of parameters
    function                           a function of the parameters that returns one of these

Paths are written `dense/kernel`, `layers/0/bias`. Trees are matched by path too, so parameters and
mask may be in different containers: a dict, a state of Flax (which has an array in the field
`value`; a path may name it), a module of Equinox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

import jax
import numpy as np

from gdjax.core.data.hyperparams import is_array
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.rule import errors, tree

__all__ = [
    "ParamRule",
    "by_all",
    "by_any",
    "by_function",
    "by_label",
    "by_not",
    "by_path",
    "by_rank",
    "label",
    "select",
]

P = ParamSpec("P")


class ParamRule(Recipe):
    """A rule that selects parameters: a function of the parameters that is data."""

    def _try(self) -> None:
        self.factory.invoke(self.given)

    def __call__(self, params: Any) -> Any:
        """The tree of bools or labels of the parameters."""
        return label(params, self, self.name)

    def _of(self, params: Any, where: str) -> list[Any]:
        return self.factory.invoke(self.given)(params, where)

    def __invert__(self) -> ParamRule:
        """The complement: the parameters that this rule does not select."""
        return by_not(self)

    def __or__(self, other: Any) -> ParamRule:
        """The union: the parameters that one of the two rules selects."""
        return by_any(self, other)

    def __and__(self, other: Any) -> ParamRule:
        """The intersection: the parameters that both rules select."""
        return by_all(self, other)


def _rule(function: Callable[P, Any]) -> Callable[P, ParamRule]:
    return factory(function, ParamRule, "rule")


def select(params: Any, rule: Any, where: str = "select") -> Any:
    """Selects parameters by a rule: a mask, a tree of bools like the parameters.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"dense": {"bias": jnp.zeros(2), "kernel": jnp.zeros((3, 2))}, "gain": 1.0}
    >>> gd.select(params, "matrices")
    {'dense': {'bias': False, 'kernel': True}, 'gain': False}
    >>> gd.select(params, r".*/bias")
    {'dense': {'bias': True, 'kernel': False}, 'gain': False}

    Args:
        params: Parameters, or a tree like them; values are not read.
        rule: See `gdjax.params`.
        where: The caller, for messages.

    Raises:
        ValueError: A pattern matches nothing, or a tree does not fit; the message has the nearest.
    """
    leaves, treedef = jax.tree.flatten(params, is_leaf=tree.is_none)
    return treedef.unflatten(_blank(leaves, _flags(params, rule, where)))


def label(params: Any, rule: Any, where: str = "label") -> Any:
    """Labels parameters by a rule: a tree of labels like the parameters.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"dense": {"bias": jnp.zeros(2), "kernel": jnp.zeros((3, 2))}}
    >>> gd.label(params, gd.by_label(muon="matrices", adam=True))
    {'dense': {'bias': 'adam', 'kernel': 'muon'}}

    Args:
        params: Parameters, or a tree like them.
        rule: `by_label(...)`, a tree of labels that is a prefix of the parameters, a function of
            the parameters that returns one of these, or a rule that selects, whose labels are True
            and False.
        where: The caller, for messages.
    """
    leaves, treedef = jax.tree.flatten(params, is_leaf=tree.is_none)
    if isinstance(rule, ParamRule):
        labels = rule._of(params, where)
    elif _is_function(rule):
        return label(params, rule(params), where)
    else:
        labels = _by_tree(params, rule, where, "rules must be a tree of labels")
    return treedef.unflatten(_blank(leaves, labels))


def only(flags: Any, values: Any) -> Any:
    """The flagged leaves of a tree, and None for the others."""
    return jax.tree.map(lambda keep, x: x if keep else None, flags, values, is_leaf=tree.is_none)


@_rule
def by_path(*patterns: str):
    r"""Selects parameters by path: the whole path must match one of the regular expressions.

    A pattern that matches no parameter raises.

    >>> import gdjax as gd
    >>> gd.adamw(1e-3, mask=~gd.by_path(r".*/bias", r"norm_\d+/.*")).arguments["mask"]
    by_not(rule=by_path('.*/bias', 'norm_\\d+/.*'))
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            must = f"patterns must be regular expressions ({error})"
            errors.fail("by_path", must, pattern)

    def pick(params: Any, where: str) -> list[bool]:
        names = _names(params)
        found = [_matches(pattern, names, where) for pattern in patterns]
        return [any(flags) for flags in zip(*found)] if found else [False] * len(names)

    return pick


@_rule
def by_rank(at_least: int = 0, at_most: int | None = None):
    """Selects parameters by their number of axes; `by_rank(2)` selects the matrices.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.by_rank(at_most=1)({"w": jnp.ones((2, 2)), "b": jnp.ones(2)})
    {'b': True, 'w': False}
    """

    def fits(leaf: Any) -> bool:
        rank = leaf.ndim if hasattr(leaf, "ndim") else np.ndim(leaf)
        return at_least <= rank and (at_most is None or rank <= at_most)

    return lambda params, where: [x is not None and fits(x) for x in _leaves(params)]


@_rule
def by_function(function: Callable[[str, Any], bool]):
    """Selects parameters by a predicate: a function of path and array that returns a bool.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> large = gd.by_function(lambda path, x: x.size > 100)
    >>> large({"w": jnp.ones((20, 20)), "b": jnp.ones(20)})
    {'b': False, 'w': True}

    The function may read shape and dtype of the array, not values.
    """

    def pick(params: Any, where: str) -> list[bool]:
        flags = zip(_names(params), _leaves(params))
        return [x is not None and _as_bool(function(names[-1], x), where) for names, x in flags]

    return pick


@_rule
def by_not(rule: Any):
    """Complement of a rule: selects the parameters that it does not; also written `~rule`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.by_not("b")({"w": jnp.ones((2, 2)), "b": jnp.ones(2)})
    {'b': False, 'w': True}
    """
    return lambda params, where: [not flag for flag in _flags(params, rule, where)]


@_rule
def by_any(*rules: Any):
    """Union of rules: selects the parameters that any of them selects; also `rule | rule`.

    >>> import gdjax as gd
    >>> gd.by_any(gd.by_path("embed/.*"), gd.by_rank(2)) == gd.by_path("embed/.*") | gd.by_rank(2)
    True
    """
    return lambda params, where: _join(any, params, rules, where)


@_rule
def by_all(*rules: Any):
    """Intersection of rules: selects the parameters that all of them select; also `rule & rule`.

    >>> import gdjax as gd
    >>> gd.by_all(gd.by_rank(2), gd.by_not("gain")) == gd.by_rank(2) & gd.by_not("gain")
    True
    """
    return lambda params, where: _join(all, params, rules, where)


@_rule
def by_label(**rules: Any):
    """Labels each parameter by the first rule that selects it.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"embed": jnp.ones((9, 2)), "w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    >>> gd.by_label(table="embed", matrix="matrices", rest=True)(params)
    {'b': 'rest', 'embed': 'table', 'w': 'matrix'}

    Raises:
        ValueError: No rule selects a parameter; the message names it.
    """

    def pick(params: Any, where: str) -> list[Any]:
        said = {name: _flags(params, rule, where) for name, rule in rules.items()}
        labels = []
        for i, (names, leaf) in enumerate(zip(_names(params), _leaves(params))):
            labels.append(next((name for name, flags in said.items() if flags[i]), None))
            if leaf is not None and labels[-1] is None:
                must = "each parameter must be picked by one of the rules of by_label"
                hint = "End with one that picks the rest: rest=True."
                errors.fail(where, must, f"none for {names[-1]!r}", instead=hint)
        return labels

    return pick


def _leaves(params: Any) -> list[Any]:
    return jax.tree.leaves(params, is_leaf=tree.is_none)


def _blank(leaves: list[Any], said: list[Any]) -> list[Any]:
    """None for a leaf that is no parameter."""
    return [None if leaf is None else x for leaf, x in zip(leaves, said)]


def _keys(params: Any) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The path of each leaf as words, and whether its last word is the field `value` of a box."""
    for path, _ in jax.tree_util.tree_flatten_with_path(params, is_leaf=tree.is_none)[0]:
        yield tree.words(path), path[-1:] == (jax.tree_util.GetAttrKey("value"),)


def _names(params: Any) -> list[list[str]]:
    """The names of each leaf: with the box that it is in, where it is in one, and without."""
    keys = list(_keys(params))
    whole, bare = (tree.joined([w[: len(w) - n * b] for w, b in keys]) for n in (0, 1))
    return [[a, b] if boxed else [a] for a, b, (_, boxed) in zip(whole, bare, keys)]


def _matches(pattern: str, names: list[list[str]], where: str) -> list[bool]:
    found = [any(re.fullmatch(pattern, name) for name in own) for own in names]
    if not any(found) and names:
        must = "a pattern must match the path of a parameter from end to end"
        hint = errors.nearest(pattern, [own[-1] for own in names], cutoff=0.3)
        if any(name.startswith(f"{pattern}/") for own in names for name in own):
            hint = f"Write {f'{pattern}/.*'!r} for all parameters in it."
        errors.fail(where, must, repr(pattern), instead=hint)
    return found


def _is_function(rule: Any) -> bool:
    """Whether a value is a function, and no callable tree such as a module of Equinox."""
    return callable(rule) and jax.tree_util.all_leaves([rule])


def _flags(params: Any, rule: Any, where: str) -> list[bool]:
    """The flag or label of each leaf, with None as a leaf."""
    if rule is None or isinstance(rule, (bool, np.bool_)):
        return [rule is None or bool(rule)] * len(_leaves(params))
    if isinstance(rule, str):
        rule = by_rank(2) if rule == "matrices" else by_path(rule)
    if isinstance(rule, ParamRule):
        return [_as_bool(flag, where) for flag in rule._of(params, where)]
    if _is_function(rule):
        return _flags(params, rule(params), where)
    said = _by_tree(params, rule, where, "mask must be a tree of bools")
    return [_as_bool(flag, where) for flag in said]


def _join(how: Callable[..., bool], params: Any, rules: tuple, where: str) -> list[bool]:
    said = [_flags(params, rule, where) for rule in rules]
    return [how(flags[i] for flags in said) for i in range(len(_leaves(params)))]


def _as_bool(flag: Any, where: str) -> bool:
    known = isinstance(flag, (bool, np.bool_)) or (
        is_array(flag) and not isinstance(flag, jax.core.Tracer) and flag.dtype == bool
    )
    if flag is not None and (not known or np.ndim(flag) != 0):
        must = "mask must be a rule, or a tree of bools that are not traced"
        errors.fail(where, must, flag, instead="A mask depends on shapes and paths, not on values.")
    return bool(flag)


def _by_tree(params: Any, said: Any, where: str, must: str) -> list[Any]:
    """The flag or label of each leaf, from a tree that is a prefix of the parameters."""
    must += " like the parameters, or a prefix of that tree"
    values, entries, found = jax.tree.leaves(said, is_leaf=tree.is_none), {}, []
    for i, (words, boxed) in enumerate(_keys(said)):
        entries |= {words: i} | ({words[:-1]: i} if boxed else {})
    for (words, _), leaf in zip(_keys(params), _leaves(params)):
        heads = [words[:n] for n in range(len(words) + 1) if words[:n] in entries]
        if not heads and leaf is not None:
            hint = errors.nearest("/".join(words), map("/".join, entries))
            errors.fail(where, must, f"a tree without {'/'.join(words)!r}", instead=hint)
        found.append(entries[heads[0]] if heads else None)
    if extra := [words for words, i in entries.items() if i not in found and found]:
        hint = errors.nearest("/".join(extra[0]), (names[-1] for names in _names(params)))
        errors.fail(where, must, f"a tree with {'/'.join(extra[0])!r}", instead=hint)
    return [None if i is None else values[i] for i in found]
