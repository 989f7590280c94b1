"""Arrays in host memory: moving them to the device and back (offloading).

Only the device computes, so code that reads a state which may be offloaded uses `near`.
"""

from __future__ import annotations

from typing import Any

import jax

HOST = "pinned_host"  # the memory kind of shardings


def in_host(x: Any) -> bool:
    """Whether an array, concrete or traced, is in host memory."""
    return isinstance(x, jax.Array) and kind(jax.typeof(x)) == HOST


def kind(aval: Any) -> str | None:
    """The memory kind of an abstract value; None for device memory."""
    space = getattr(aval, "memory_space", None)
    return HOST if space is not None and space == jax.memory.Space.Host else None


def near(values: Any) -> Any:
    """A tree with all arrays in device memory."""
    return jax.tree.map(lambda x: _moved(x, "Host", "Device") if in_host(x) else x, values)


def far(x: Any) -> Any:
    """The array in host memory."""
    return x if in_host(x) else _moved(x, "Device", "Host")


def lying_as(values: Any, others: Any) -> Any:
    """A tree with arrays in host memory where those of another tree are."""
    return jax.tree.map(lambda x, other: far(x) if in_host(other) else x, values, others)


def _moved(x: Any, here: str, there: str) -> Any:
    """A copy in another memory; derivatives are copied back, so both memories are given."""
    space = jax.memory.Space
    return jax.device_put(x, getattr(space, there), src=getattr(space, here))
