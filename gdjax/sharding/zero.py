"""ZeRO: optimizer state split over the devices that hold the same parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax.sharding import get_abstract_mesh

from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_evaluate, call_step, call_update, transformation
from gdjax.sharding.placement import state_specs
from gdjax.sharding.split import Split, devices, put

__all__ = ["ZeroState", "zero"]


class ZeroState(NamedTuple):
    """State of `zero`."""

    inner_state: Any  # of the inner transformation, its arrays split over the axis


@transformation(kind="wrapper")
def zero(inner: Any, axis: str = "data"):
    """ZeRO: splits the optimizer state over the devices that hold the same parameters.

    Each of the n devices along an axis of the mesh keeps 1/n of the state and does 1/n of the work
    on its slices of parameters and gradients. An all-gather returns the updates, or with `step` the
    new parameters, to all devices. Rules of whole arrays or of the whole tree get whole arrays, so
    the numbers are those of the inner transformation.

    The mesh is the one that `jax.set_mesh` sets; without a mesh or without that axis the wrapper
    does nothing. An array is split along its first axis that n divides, and is kept whole if there
    is none. Gradients may be averaged, or already split: see `reduce_scatter`.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.sharding.zero(gd.adamw(1e-3))
    >>> n = len(jax.devices())
    >>> with jax.set_mesh(jax.make_mesh((n,), ("data",))):
    ...     state = tx.init({"w": jnp.ones((64, 3))})
    >>> gd.state.find(state, "mu")["w"].addressable_shards[0].data.shape == (64 // n, 3)
    True

    Args:
        inner: Any transformation.
        axis: An axis of the mesh; parameters that are split over it already stay as they are.

    Raises:
        ValueError: Called inside of a `shard_map` over the axis.

    Reference: Rajbhandari, Rasley, Ruwase and He, ZeRO: memory optimizations toward training
        trillion parameter models, 2019, https://arxiv.org/abs/1910.02054
    """

    def split(like: Any) -> Split | None:
        n = devices(axis, "zero")
        return None if n == 1 else Split.of(like, axis, n)

    def place(state: Any, like: Any, into: Split) -> Any:
        leaves, treedef = jax.tree.flatten(state)
        at = state_specs(inner, like, into.specs, get_abstract_mesh())
        one = lambda x, spec: x if spec is None else put(x, spec, axis)
        return treedef.unflatten(map(one, leaves, at))

    def init(params):
        if (into := split(params)) is None:
            return ZeroState(inner.init(params))
        make = lambda params: place(inner.init(into.parts(params)), params, into)
        return ZeroState(jax.jit(make)(params))

    def shared(call: Any, updates: Any, state: Any, params: Any, extra: Any) -> Any:
        """`update` or `step` of the inner transformation, on slices."""
        like = updates if params is None else params
        if (into := split(like)) is None:
            out, after = call(inner, updates, state.inner_state, params, extra)
            return out, ZeroState(after)
        before = place(state.inner_state, like, into)
        grads = updates if facts_of(inner).per_example else into.parts(updates)
        out, after = call(inner, grads, before, into.parts(params), extra)
        return into.whole(out), ZeroState(place(after, like, into))

    def update(updates, state, params=None, **extra):
        return shared(call_update, updates, state, params, extra)

    def step(updates, state, params, **extra):
        return shared(call_step, updates, state, params, extra)

    def evaluate(state, params):
        if (into := split(params)) is None:
            return call_evaluate(inner, state.inner_state, params)
        return into.whole(call_evaluate(inner, state.inner_state, into.parts(params)))

    inside = Child("inner", inner, at="inner_state", split=axis)
    return Rule(init, update, step, evaluate, children=(inside,))
