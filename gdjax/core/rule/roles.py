"""Roles of the arrays in a state, said in the annotation of the field.

    class ScaleByAdamState(NamedTuple):
        count: Count
        mu: Mean  # of the gradients
        nu: MeanSquare  # of the gradients

Storage in few bits, offloading, placement on a mesh, saving and documentation read them, of states
that users write as of ours. A field without a role holds the state of another transformation, or
what nothing is known of.
"""

from __future__ import annotations

import functools
import sys
import typing
from typing import Annotated, Any, NamedTuple

import jax

__all__ = [
    "Count",
    "Factor",
    "Key",
    "Mean",
    "MeanSquare",
    "PerMatrix",
    "PerParam",
    "Role",
    "Scalar",
    "SlowMean",
    "SumOfSquares",
    "roles_of",
]


class Role(NamedTuple):
    """What the arrays of a field are, and what may be done with them between steps."""

    name: str
    like_params: bool = False  # one array for each parameter, in its shape
    square: bool = False  # never negative, and divided by
    fades: bool = False  # an average that forgets: it may be kept in few bits
    axis: int | None = None  # of a factor: the axis of the parameter that it follows


Array = jax.Array
Tree = Any  # a tree of arrays, None where a leaf does not take part

Count = Annotated[Array, Role("count")]  # [] int32
Scalar = Annotated[Array, Role("scalar")]  # []
Key = Annotated[Array, Role("key")]  # a random key
Mean = Annotated[Tree, Role("mean", like_params=True, fades=True)]
MeanSquare = Annotated[Tree, Role("mean square", like_params=True, square=True, fades=True)]
# A step adds less to these than a code of few bits can tell: stored only where they are named.
SlowMean = Annotated[Tree, Role("slow mean", like_params=True)]
SumOfSquares = Annotated[Tree, Role("sum of squares", like_params=True, square=True)]
PerParam = Annotated[Tree, Role("per parameter", like_params=True)]  # none of the above
PerMatrix = Annotated[Tree, Role("per matrix")]  # bases, factors, statistics of whole matrices


def Factor(axis: int) -> Any:  # noqa: N802 - an annotation, spelt as the others are
    """A factor of second moments that follows one axis of its parameter, -2 rows, -1 columns."""
    return Annotated[Tree, Role("factor", square=True, axis=axis)]


@functools.cache
def roles_of(kind: type) -> dict[str, Role]:
    """The roles that a class of states declares, by field; a field without one is left out.

    >>> from gdjax.core.rule.roles import Count, Mean, roles_of
    >>> class State(NamedTuple):
    ...     count: Count
    ...     mu: Mean
    ...     inner_state: Any
    >>> {name: role.name for name, role in roles_of(State).items()}
    {'count': 'count', 'mu': 'mean'}
    """
    found = {name: _role(_known(kind, hint)) for name, hint in kind.__annotations__.items()}
    return {name: role for name, role in found.items() if role is not None}


def _known(kind: type, hint: Any) -> Any:
    """An annotation looked up where it is written as a string; None where no module knows it."""
    hint = hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
    try:
        return eval(hint, vars(sys.modules[kind.__module__])) if isinstance(hint, str) else hint
    except NameError:
        return None


def _role(hint: Any) -> Role | None:
    """The role in an annotation, inside of a union too (`Mean | None`)."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Role):
            return extra
    return next((r for r in map(_role, typing.get_args(hint)) if r is not None), None)
