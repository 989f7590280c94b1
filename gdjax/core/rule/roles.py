"""Roles of the arrays in a state, declared by the annotations of its fields.

    class ScaleByAdamState(NamedTuple):
        count: Count
        mu: Mean  # of the gradients
        nu: MeanSquare  # of the gradients

Quantized storage, placement on a mesh and documentation read the roles of users' states and of
those of gdjax. A field that holds the state of another transformation has no role of its own.
"""

from __future__ import annotations

import functools
import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax

Axis = int | Callable[[tuple[int, ...]], int]


class Role(NamedTuple):
    """The role of the arrays of a field, and what it allows between steps."""

    name: str
    small: bool = False  # one for the whole tree, or one number for each parameter
    like_params: bool = False  # one array for each parameter, of its shape
    square: bool = False  # never negative
    moment: bool = False  # a mean or a sum over steps, suitable for 8-bit codes
    bits: int = 32  # fewest bits for a number, unless the user names the field
    over: Axis | None = None  # of a factor: the averaged axis of the parameter


Array = jax.Array
Tree = Any  # a tree of arrays, None where a leaf does not take part

# Of the whole tree.
Count = Annotated[Array, Role("count", small=True)]  # [] int32
Scalar = Annotated[Array, Role("scalar", small=True)]  # []
Scalars = Annotated[Any, Role("scalars", small=True)]  # one for each parameter, several losses
Key = Annotated[Array, Role("key", small=True)]  # [2] uint32: the data of a random key

# Like the parameters; means and sums are float32 or wider unless an argument asks for less, squares
# are real. Rounding errors of a moving average decay with it. A step changes a slow mean or a sum
# by less than the resolution of 8-bit codes; sums of squares are stored in bfloat16 with stochastic
# rounding, which is right on average.
Mean = Annotated[Tree, Role("mean", like_params=True, moment=True, bits=8)]
_SQUARE = Role("mean square", like_params=True, square=True, moment=True, bits=8)
MeanSquare = Annotated[Tree, _SQUARE]
SlowMean = Annotated[Tree, Role("slow mean", like_params=True, moment=True)]
SumOfSquares = Annotated[Tree, _SQUARE._replace(name="sum of squares", bits=16)]
LastGradient = Annotated[Tree, Role("last gradient", like_params=True, bits=16)]
PerParam = Annotated[Tree, Role("per parameter", like_params=True)]  # any other: exact
Memory = Annotated[Tree, Role("memory")]  # each [steps, ...]: arrays of several steps, exact

# For the matrices of a parameter, as `core.matrix.matrices.like` makes them; means [..., m, n].
MatrixMean = Annotated[Tree, Role("mean of matrices", moment=True, bits=8)]
MatrixMeanSquare = Annotated[Tree, _SQUARE._replace(name="squares of matrices", like_params=False)]
PerMatrix = Annotated[Tree, Role("per matrix")]  # bases, statistics, values for rows: exact


def Factor(over: Axis) -> Role:  # noqa: N802 - used in annotations, like the others
    """The role of squares averaged over one axis of a parameter (factored second moments).

    Use it in an annotation: `v_row: Annotated[Any, Factor(-1)]`.

    Args:
        over: The averaged axis, or a function that returns it for a shape. The array has the other
            axes of the parameter; or all axes, this one with length 1.
    """
    return Role("factor", square=True, over=over)


@functools.cache
def roles_of(kind: type) -> dict[str, Role]:
    """The roles that a state class declares, by field; fields without a role are omitted.

    >>> from gdjax.core.rule.roles import Count, Mean, roles_of
    >>> class State(NamedTuple):
    ...     count: Count
    ...     mu: Mean
    ...     inner_state: Any
    >>> {name: role.name for name, role in roles_of(State).items()}
    {'count': 'count', 'mu': 'mean'}
    """
    found = {
        name: _role(_known(base, hint))
        for base in reversed(kind.__mro__)
        for name, hint in getattr(base, "__annotations__", {}).items()
    }
    return {name: role for name, role in found.items() if role is not None}


def map_fields(change: Callable[[Any, str, Role | None, Any], Any], state: Any) -> Any:
    """Maps a function over the fields of a state and of the states inside it.

    Args:
        change: Called with a NamedTuple, the name, the role and the value of a field. It returns
            the new value; for None, a field with a role does not change, and one without a role is
            traversed.
        state: The state of any transformation.
    """
    if hasattr(state, "_fields"):
        roles, changed = roles_of(type(state)), {}
        for name, value in zip(state._fields, state):
            role = roles.get(name)
            new = change(state, name, role, value)
            if new is None:
                new = value if role is not None else map_fields(change, value)
            changed[name] = new
        return state._replace(**changed)
    if isinstance(state, dict):
        return {name: map_fields(change, value) for name, value in state.items()}
    if isinstance(state, (tuple, list)):
        return type(state)([map_fields(change, value) for value in state])
    return state


def undeclared(state: Any) -> list[tuple[str, str]]:
    """The fields of a state that hold arrays and declare no role: class and field.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> from gdjax.core.rule.roles import undeclared
    >>> class State(NamedTuple):
    ...     momentum: Any
    ...     inner_state: Any
    >>> undeclared(State({"w": jnp.zeros(3)}, gd.adam(0.1).init(jnp.zeros(3))))
    [('State', 'momentum')]
    """
    found: dict[tuple[str, str], None] = {}

    def look(node: Any, owner: tuple[str, str]) -> None:
        if hasattr(node, "_fields"):
            kind = type(node)
            for name in set(node._fields) - set(roles_of(kind)):
                look(getattr(node, name), (kind.__name__, name))
        elif isinstance(node, (dict, tuple, list)):
            for value in node.values() if isinstance(node, dict) else node:
                look(value, owner)
        elif jax.tree.leaves(node):
            found[owner] = None

    look(state, (type(state).__name__, ""))
    return sorted(found)


def _known(kind: type, hint: Any) -> Any:
    """An annotation; one written as a string is evaluated, None if that fails."""
    hint = hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, vars(sys.modules[kind.__module__]))
    except (NameError, AttributeError, KeyError):  # imported only for type checkers
        return None


def _role(hint: Any) -> Role | None:
    """The role in an annotation, also inside a union (`Mean | None`)."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Role):
            return extra
    return next((r for r in map(_role, typing.get_args(hint)) if r is not None), None)
