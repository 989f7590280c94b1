"""Names of the arrays of a state: transformation, field, parameter.

An array is named by the transformation that owns it and by its path there,
`scale_by_adam/mu/dense/kernel`. Chains without names, wrappers and optimizers that are aliases of a
chain add nothing to a name, so adding a stateless stage or a wrapper changes no name. The stages of
a named chain and the labels of a partition are prefixes: `opt/scale_by_adam/mu/w`.
Transformations of one name are numbered: stages in their order, a wrapper after what is inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from gdjax.core.engine.transformation import name_of
from gdjax.core.engine.walk import walk
from gdjax.core.lowbit.quantized import is_quantized
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.roles import Role, roles_of
from gdjax.core.rule.tree import differentiable, joined, words

__all__ = ["Name", "named_leaves", "outside_in", "parameter_of"]


class Name(NamedTuple):
    """The name of one array of a state, in parts."""

    prefix: tuple[str, ...]  # the user's names on the way
    owner: str  # the factory of the transformation that keeps it
    number: int  # 0 for the first of that name, 1 for the second
    path: tuple[str, ...]  # the field, and the place in it
    moves: bool = False  # whether it is the count or a value of a hyperparameter that moves
    role: Role | None = None  # what the annotation of the field says of it
    text: str = ""  # how it is written, where its words with slashes are those of another

    def __str__(self) -> str:
        """The name with slashes."""
        return self.text or "/".join(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """The whole path."""
        owner = f"{self.owner}_{self.number}" if self.number else self.owner
        return (*self.prefix, owner, *self.path)


class _Place:
    """Stands for the array of a state that has this index."""

    def __init__(self, index: int) -> None:
        self.index = index


def named_leaves(tx: Any, state: Any, order: Any = None) -> list[tuple[Name, Any]]:
    """The arrays of a state with their names, in the order in which JAX flattens it.

    Args:
        tx: The transformation that made the state.
        state: Its state; the arrays may be abstract, and in boxes, which have no part in names.
        order: In which order transformations of one name are numbered; by default inside out, so
            that a wrapper that is added changes no name.
    """
    leaves, treedef = jax.tree.flatten(unboxed(state), is_leaf=is_quantized)
    places = treedef.unflatten(map(_Place, range(len(leaves))))
    names: dict[int, Name] = {}
    numbers: dict[tuple, int] = {}
    for prefix, owner, own in (order or _inside_out)(_owned(tx, places)):
        number = numbers.get((prefix, owner), 0)
        for path, index, moves, role in own:
            names[index] = Name(prefix, owner, number, path, moves, role)
        if own:
            numbers[prefix, owner] = number + 1
    ordered = [names[i] for i in range(len(leaves))]
    texts = joined([name.words for name in ordered])
    return [(name._replace(text=text), x) for name, text, x in zip(ordered, texts, leaves)]


def _inside_out(owned: Iterable[tuple]) -> Iterator[tuple]:
    """A transformation after what is inside it; stages of a chain in their order."""
    around: list[tuple] = []
    for one in owned:
        while around and around[-1][3] >= one[3]:
            yield around.pop()[:3]
        around.append(one)
    yield from (one[:3] for one in reversed(around))


def outside_in(owned: Iterable[tuple]) -> Iterator[tuple]:
    """A transformation before what is inside it: the order of version 1."""
    return (one[:3] for one in owned)


def _owned(tx: Any, state: Any) -> Iterator[tuple]:
    """Each transformation with state: prefix, name, its arrays with their paths, its depth."""
    for visit in walk(tx, state):
        own: list[tuple[tuple[str, ...], int, bool, Role | None]] = []
        if visit.moving is not None:  # beside what it keeps when nothing moves
            moving = {"count": visit.moving.count, **visit.moving.hyperparams}
            own = [(path, i, True, None) for path, i in _places({"hyperparams": moving})]
        if not visit.stands_for_next:
            inside = visit.rule.children if visit.rule else ()
            theirs = {i for child in inside for _, i in _places(child.state_in(visit.state))}
            roles = roles_of(type(visit.state)) if hasattr(visit.state, "_fields") else {}
            for path, i in _places(visit.state):
                if i not in theirs:
                    own.append((path, i, False, roles.get(path[0]) if path else None))
        yield visit.prefix, name_of(visit.tx), own, len(visit.children)


def _places(state: Any) -> list[tuple[tuple[str, ...], int]]:
    found = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(words(path), place.index) for path, place in found]


def parameter_of(
    name: Name, leaf: Any, params: dict[tuple[str, ...], Any]
) -> tuple[str, ...] | None:
    """The path of the parameter that an array of a state belongs to; None if it belongs to none.

    Args:
        name: The name of the array.
        leaf: The array, which may be abstract or quantized.
        params: The parameters by path.
    """
    inside = name.path[1:]
    for end in range(len(inside), 0, -1):
        for start in range(end):
            if inside[start:end] in params:
                return inside[start:end]
    if () in params and not name.moves:  # a bare array: what has its shape is for it
        shape = tuple(leaf.form["shape"]) if is_quantized(leaf) else leaf.shape
        real = is_quantized(leaf) or differentiable(leaf)
        return () if real and shape == np.shape(params[()]) else None
    return None
