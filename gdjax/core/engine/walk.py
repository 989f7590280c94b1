"""One descent into a transformation, for all who ask what is inside of it."""

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
    """A transformation on the way, where it is, and what is known of it there."""

    path: tuple[str, ...]  # the names of the children on the way
    tx: Any
    rule: Rule | None  # None of another library's, and of what only stands for the next
    state: Any  # its state, without the numbers that move
    params: Any  # those that it gets, None in the place of the others
    moving: Any  # the state of its numbers, if some move
    children: tuple[Child, ...]  # on the way: how it was reached
    given: bool  # whether the user gave it; not so is what another only stands for

    @property
    def stands_for_next(self) -> bool:
        """Whether this is an alias: the transformation that it stands for is visited next."""
        return self.rule is None and isinstance(self.tx, GradientTransformation)

    @property
    def prefix(self) -> tuple[str, ...]:
        """The user's names on the way, which stand in the paths of the state."""
        return tuple(child.name for child in self.children if child.named)


def walk(tx: Any, state: Any = None, params: Any = None) -> Iterator[Visit]:
    """Visits a transformation and all inside of it, from the outside in; computes nothing.

    Where one stands for another (an optimizer for a chain, say), both are visited, the other next.

    >>> import gdjax as gd
    >>> [visit.tx.name for visit in walk(gd.with_ema(gd.adam(1e-3), 0.9))]
    ['with_ema', 'adam', 'chain', 'scale_by_adam', 'scale_by_learning_rate']

    Args:
        tx: The transformation, of any origin.
        state: Its state, or None if that is of no interest.
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
    if rule is None:  # it stands for another
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
        must = "state must be the one that init of this transformation made"
        errors.fail(tx.name, must, type(state).__name__)


def distinct(names: list[str]) -> list[str]:
    """Numbers the names that come more than once: scale, scale_1."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{k}" for k in itertools.count(1))
        free = (n for n in itertools.chain([name], numbered) if n not in found)
        found.append(next(free))
    return found


def trained(tx: Any, params: Any) -> Any:
    """The parameters that a transformation may move, None in the place of those it never does.

    A wrapper that keeps an array for each parameter makes it of these, so that what is frozen
    inside costs nothing outside either.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.groups(gd.adam(1e-3), ("embed", gd.frozen))
    >>> trained(gd.apply_if_finite(tx), {"embed": jnp.ones(9), "w": jnp.ones(1)})
    {'embed': None, 'w': Array([1.], dtype=float32)}

    Args:
        tx: A transformation of any origin; another library's may move all.
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
