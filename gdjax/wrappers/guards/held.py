"""The state of one wrapper, inside of whatever holds it."""

from __future__ import annotations

from typing import Any

import jax

from gdjax.core.rule import errors

__all__ = ["held"]


def held(where: str, state: Any, kind: type, of: str) -> Any:
    """The one state of a kind in a state.

    Args:
        where: Who asks, for messages.
        state: The state of the wrapper, or of what holds it.
        kind: The type of the wrapper's state.
        of: The wrapper.

    Raises:
        ValueError: There is none, or more than one.
    """
    is_one = lambda node: isinstance(node, kind)
    found = [node for node in jax.tree.leaves(state, is_leaf=is_one) if is_one(node)]
    if len(found) != 1:
        errors.fail(where, f"state must hold one state of {of}", f"{len(found)} of them")
    return found[0]
