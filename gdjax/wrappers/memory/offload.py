"""Offloading of optimizer state to the memory of the host."""

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
    """Offloads the large arrays of optimizer state to pinned host memory (CPU offload).

    Each step copies them to the device and back; the compiler may overlap the copies with other
    work, so the cost is bandwidth. Between steps the state stays on the host, under `jit` and
    `scan` too, with its sharding over devices. On a CPU backend the wrapper does nothing.

    Only the device computes: the functions of `gdjax.state` copy what they read to the device, and
    so does `jax.device_put(x, jax.memory.Space.Device)`. Make it the outermost wrapper: guards and
    averages compute with the state inside of them. Donate parameters and state in the order in
    which the step returns them: JAX pairs donated buffers by shape, and a pair in two memories is
    an error.

    >>> import gdjax as gd
    >>> gd.offload(gd.store(gd.adamw(1e-3), "8bit"))
    offload(inner=store(inner=adamw(learning_rate=0.001), format='8bit'))

    Args:
        inner: The transformation.
        min_size: Arrays with fewer entries, and scalars, stay on the device.

    Raises:
        RuntimeError: The device has no pinned host memory.
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
    """Whether the memory of the host differs from the memory of the device.

    Raises:
        RuntimeError: It differs, and the device cannot keep arrays in it.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        return False
    kinds = [one.kind for one in device.addressable_memories()]
    if not hasattr(jax, "memory") or memory.HOST not in kinds:
        must = f"the device must have the memory {memory.HOST!r}"
        got = f"{device.platform} with {', '.join(kinds)} (jax {jax.__version__})"
        hint = "Remove offload on this device."
        errors.fail("offload", must, got, instead=hint, kind=RuntimeError)
    return True
