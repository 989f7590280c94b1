"""Walking a transformation and everything inside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import GradientTransformation, name_of
from gdjax.core.rule import errors
from gdjax.core.rule.tree import is_none


class Visit(NamedTuple):
    """A transformation found by `walk`, with its path, state and parameters."""

    path: tuple[str, ...]  # the names of the children down to it
    tx: Any
    rule: Rule | None  # None for another library's, and for an alias
    state: Any  # its state, without the values of hyperparameters
    params: Any  # those that it gets, None for the others
    moving: Any  # the state of its hyperparameters, if some change
    children: tuple[Child, ...]  # the children down to it
    given: bool  # whether the user gave it; False for the target of an alias

    @property
    def stands_for_next(self) -> bool:
        """Whether this is an alias; the transformation that it returns is visited next."""
        return self.rule is None and isinstance(self.tx, GradientTransformation)

    @property
    def prefix(self) -> tuple[str, ...]:
        """The names given by the user down to it, which are in the paths of the state."""
        return tuple(child.name for child in self.children if child.named)


def walk(tx: Any, state: Any = None, params: Any = None) -> Iterator[Visit]:
    """Visits a transformation and everything inside it, from the outside in; computes nothing.

    Where one is an alias of another (an optimizer of a chain, say), both are visited in turn.

    >>> import gdjax as gd
    >>> [visit.tx.name for visit in walk(gd.with_ema(gd.adam(1e-3), 0.9))]
    ['with_ema', 'adam', 'chain', 'scale_by_adam', 'scale_by_learning_rate']

    Args:
        tx: The transformation, of gdjax or of another library.
        state: Its state, or None if it is not needed.
        params: Its parameters, or None.
    """
    yield from _visits(tx, state, params, (), True)


def _visits(
    tx: Any, state: Any, params: Any, children: tuple[Child, ...], given: bool
) -> Iterator[Visit]:
    path = tuple(child.name for child in children)
    if not isinstance(tx, GradientTransformation):
        yield Visit(path, tx, None, state, params, None, children, given)
        return
    body, inner, moving = tx.example(), state, None
    if tx.scheduled and state is not None:
        inner, moving = tx.peeled(state), state
    rule = body if isinstance(body, Rule) else None
    yield Visit(path, tx, rule, inner, params, moving, children, given)
    if rule is None:  # an alias
        yield from _visits(body, inner, params, children, False)
        return
    names = distinct([child.name or name_of(child.tx) for child in rule.children])
    for name, child in zip(names, rule.children):
        child = child._replace(name=name)
        own = None if inner is None else _state_in(child, tx, inner)
        yield from _visits(child.tx, own, child.params_of(params), (*children, child), given)


def _state_in(child: Child, tx: Any, state: Any) -> Any:
    try:
        return child.state_in(state)
    except (AttributeError, IndexError, KeyError, TypeError):
        must, hint = "state must be the one returned by init", "Write state = tx.init(params)."
        errors.fail(tx.name, must, errors.kind_of(state), instead=hint)


def distinct(names: list[str]) -> list[str]:
    """The names made distinct by numbers: scale, scale_1."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{k}" for k in itertools.count(1))
        free = (n for n in itertools.chain([name], numbered) if n not in found)
        found.append(next(free))
    return found


def trained(tx: Any, params: Any) -> Any:
    """The parameters that a transformation may change, with None for those it never changes.

    A wrapper that keeps an array for each parameter makes it for these, so that frozen parameters
    cost no memory in it.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.groups(gd.adam(1e-3), ("embed", gd.frozen))
    >>> trained(gd.apply_if_finite(tx), {"embed": jnp.ones(9), "w": jnp.ones(1)})
    {'embed': None, 'w': Array([1.], dtype=float32)}

    Args:
        tx: A transformation; another library's may change all parameters.
        params: Parameters, or abstract values of them.
    """
    body = tx.example() if isinstance(tx, GradientTransformation) else None
    if body is None:
        return params
    if isinstance(body, GradientTransformation):  # this one is an alias of it
        return trained(body, params)
    if body.moves is not None:
        return body.moves(params)
    if not body.children:
        return params
    moved = [trained(child.tx, child.params_of(params)) for child in body.children]
    first = lambda *leaves: next((x for x in leaves if x is not None), None)
    return jax.tree.map(first, *moved, is_leaf=is_none)
