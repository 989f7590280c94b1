"""State in the memory of the host, brought to the device for the step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_evaluate, call_step, call_update, transformation
from gdjax.core.mesh import memory
from gdjax.core.rule import errors

__all__ = ["OffloadState", "offload"]


class OffloadState(NamedTuple):
    """State of `offload`."""

    inner_state: Any  # of the inner transformation; its large arrays are in the host's memory


@transformation(kind="wrapper")
def offload(inner: Any, min_size: int = 4096):
    """Keeps the large arrays of a transformation's state in the pinned memory of the host.

    A step copies them to the device and back, which the compiler may do beside other work: what it
    costs is the bus. The state stays there between steps, under `jit` and `scan`, divided among
    devices as it was. On a CPU the state lies in that memory anyway, and the transformation is
    called as it is.

    Only the device computes: `gdjax.state` brings near what it reads, and so does
    `jax.device_put(x, jax.memory.Space.Device)`. Keep it outermost, around guards and averages,
    which compute with the state inside of them. Donate parameters and state in the order in which
    the step returns them: JAX pairs buffers by shape, and those of two memories are an error.

    >>> import gdjax as gd
    >>> gd.offload(gd.store(gd.adamw(1e-3), "8bit"))
    offload(inner=store(inner=adamw(learning_rate=0.001), format='8bit'))

    Args:
        inner: The transformation.
        min_size: Arrays with fewer entries stay on the device, and scalars do.

    Raises:
        RuntimeError: The device has no such memory.
    """

    def offloaded(state: Any) -> OffloadState:
        if not _is_apart():
            return OffloadState(state)
        large = lambda x: np.ndim(x) > 0 and np.size(x) >= min_size
        return OffloadState(jax.tree.map(lambda x: memory.far(x) if large(x) else x, state))

    def init(params):
        return offloaded(inner.init(params))

    def update(updates, state, params=None, **extra):
        near = memory.near(state.inner_state)
        updates, after = call_update(inner, updates, near, params, extra)
        return updates, offloaded(after)

    def step(updates, state, params, **extra):
        params, after = call_step(inner, updates, memory.near(state.inner_state), params, extra)
        return params, offloaded(after)

    def evaluate(state, params):
        return call_evaluate(inner, memory.near(state.inner_state), params)

    return Rule(init, update, step, evaluate, children=(Child("inner", inner, at="inner_state"),))


def _is_apart() -> bool:
    """Tells whether the memory of the host is another than the device's.

    Raises:
        RuntimeError: It is, and nothing can be kept in it.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        return False
    kinds = [one.kind for one in device.addressable_memories()]
    if not hasattr(jax, "memory") or memory.HOST not in kinds:
        must = f"the device must have the memory {memory.HOST!r}"
        got = f"{device.platform} with {', '.join(kinds)} (jax {jax.__version__})"
        hint = "Leave the wrapper out here."
        errors.fail("offload", must, got, instead=hint, kind=RuntimeError)
    return True
