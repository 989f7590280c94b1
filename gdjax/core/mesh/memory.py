"""Arrays in the memory of the host: brought to the device, and put where another one lies.

Only the device computes, so whatever reads a state that may be offloaded takes it through `near`.
"""

from __future__ import annotations

from typing import Any

import jax

HOST = "pinned_host"  # the kind of memory, as a sharding calls it


def in_host(x: Any) -> bool:
    """Tells whether an array, concrete or traced, lies in the memory of the host."""
    return isinstance(x, jax.Array) and kind(jax.typeof(x)) == HOST


def kind(aval: Any) -> str | None:
    """The memory of what has this type, as a sharding calls it; None for the device's."""
    space = getattr(aval, "memory_space", None)
    return HOST if space is not None and space == jax.memory.Space.Host else None


def near(values: Any) -> Any:
    """A tree whose arrays are all on the device."""
    return jax.tree.map(lambda x: _moved(x, "Host", "Device") if in_host(x) else x, values)


def far(x: Any) -> Any:
    """The array in the memory of the host."""
    return x if in_host(x) else _moved(x, "Device", "Host")


def lying_as(values: Any, others: Any) -> Any:
    """A tree whose arrays lie in the host's memory where those of another tree do."""
    return jax.tree.map(lambda x, other: far(x) if in_host(other) else x, values, others)


def _moved(x: Any, here: str, there: str) -> Any:
    """A copy in another memory; derivatives take the same way back, so both ends are named."""
    space = jax.memory.Space
    return jax.device_put(x, getattr(space, there), src=getattr(space, here))
