"""Gradient release: the update of each layer inside the backward pass of a scanned model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.transformation import call_step, name_of
from gdjax.core.engine.walk import walk
from gdjax.core.lowbit.words import mix
from gdjax.core.rule import errors, tree
from gdjax.core.rule.roles import map_fields

__all__ = ["ReleasedGradients", "ReleasedState", "release_gradients"]


class ReleasedState(NamedTuple):
    """State of a step with gradient release."""

    outer: Any  # of the transformation of the other parameters
    layers: Any  # of the transformation of the layers; each array has a leading axis of layers


class ReleasedGradients(NamedTuple):
    """A training step with gradient release.

    Attributes:
        init: `init(params)` returns the state.
        step: `step(params, state, batch, **extra)` returns `(value, params, state)`.
    """

    init: Callable[[Any], ReleasedState]
    step: Callable[..., tuple[jax.Array, Any, ReleasedState]]


def release_gradients(
    tx: Any,
    first: Callable[..., Any],
    layer: Callable[..., Any],
    loss: Callable[..., Any],
    outer: Any = None,
) -> ReleasedGradients:
    """Gradient release: a training step that updates each layer inside the backward pass.

        x ← first(outer, batch);  x ← layer(pᵢ, x, batch) for each layer i;  loss(outer, x, batch)

    The parameters are `{"outer": ..., "layers": ...}`; arrays of `layers` have a leading axis of
    layers, as for `lax.scan`. The forward pass stores the input of each layer. The backward pass
    computes each layer again, its gradients, and its update, from the last layer to the first, and
    overwrites its parameters and state. So the gradients of one layer exist at a time. Donate
    parameters and state: `jax.jit(released.step, donate_argnums=(0, 1))`.

    The update of a layer cannot depend on the gradients of others, so `tx` must not declare that it
    couples leaves: no clipping by the global norm, no rate from distances or losses of the whole
    model, no guard that looks at all gradients. Another library's transformation does not declare
    it. Clip by value, by array or by update (`clip`, `clip_by_block_rms`), or guard outside.

    Each layer has a state of its own, made from its own parameters: arrays have the axes that they
    have in one layer, in rules for matrices too, and counts have an axis of layers. Random keys of
    the state are different for each layer.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> params = {"outer": jnp.ones((3, 4)), "layers": jnp.ones((8, 4, 4))}
    >>> released = gd.release_gradients(
    ...     gd.adamw(1e-3),
    ...     first=lambda outer, x: x @ outer,
    ...     layer=lambda p, x, batch: x + jnp.tanh(x @ p),
    ...     loss=lambda outer, x, batch: jnp.mean(x**2),
    ... )
    >>> step = jax.jit(released.step, donate_argnums=(0, 1))
    >>> value, params, state = step(params, released.init(params), jnp.ones((2, 3)))
    >>> jax.tree.map(jnp.shape, state.layers[0])
    ScaleByAdamState(count=(8,), mu=(8, 4, 4), nu=(8, 4, 4))

    Args:
        tx: The transformation of the layers, its learning rate included.
        first: Computes the input of the first layer: an array, or a tree of floating-point arrays.
        layer: Computes a layer; its output has the shapes and dtypes of x.
        loss: Computes the loss, [], from the output of the last layer.
        outer: The transformation of the other parameters, `tx` by default; it may couple them.

    Raises:
        ValueError: `tx` couples leaves, or needs the gradients of each example.

    Reference: Gonzalez Ortiz, Gupta, Renard and Blalock, FlashOptim: optimizers for memory
        efficient training, 2026, https://arxiv.org/abs/2602.23349
    """
    _check_apart(tx)
    other = tx if outer is None else outer

    def init(params):
        def one(p, i):
            return _with_own_keys(tx.init(p), i)

        layers = _check_layers(params)
        number = jax.tree.leaves(layers)[0].shape[0]
        states = jax.vmap(one)(layers, jnp.arange(number, dtype=jnp.uint32))
        return ReleasedState(other.init(params["outer"]), states)

    def step(params, state, batch, **extra):
        layers, others = _check_layers(params), params["outer"]

        def forward(x, p):
            return layer(p, x, batch), x

        start, back_to_first = jax.vjp(lambda o: first(o, batch), others)
        last, inputs = jax.lax.scan(forward, start, layers)
        value, back = jax.vjp(lambda o, x: loss(o, x, batch), others, last)
        if jnp.shape(value):
            must = "loss must return a scalar"
            errors.fail("release_gradients", must, f"shape {jnp.shape(value)}")
        direct, slope = back(jnp.ones_like(value))

        def backward(carry, at):
            layers, states, slope = carry
            i, x = at

            def of_layer(p, own, x, slope):
                _, back = jax.vjp(lambda p, x: layer(p, x, batch), p, x)
                grads, slope = back(slope)
                return *call_step(tx, grads, own, p, extra), slope

            p, own, slope = _alone(of_layer, i, _at(layers, i), _at(states, i), x, slope)
            return (_put(layers, p, i), _put(states, own, i), slope), None

        at = jnp.arange(jax.tree.leaves(layers)[0].shape[0]), inputs
        carry = layers, state.layers, slope
        (layers, states, slope), _ = jax.lax.scan(backward, carry, at, reverse=True)
        (through,) = back_to_first(slope)
        grads = jax.tree.map(_sum, direct, through)
        others, outer_state = call_step(other, grads, state.outer, others, extra)
        return value, {"outer": others, "layers": layers}, ReleasedState(outer_state, states)

    return ReleasedGradients(init, step)


def _check_apart(tx: Any) -> None:
    """Raises for a transformation whose update of a layer needs other layers or examples."""
    facts = facts_of(tx)
    if facts.per_example:
        must = "tx must take the gradient of a batch, not gradients of examples"
        errors.fail("release_gradients", must, name_of(tx))
    if facts.couples:
        visits = [v for v in walk(tx) if not v.stands_for_next]
        coupling = [name_of(v.tx) for v in visits if v.rule is None or v.rule.couples]
        must = "tx must update each layer from its own gradients alone"
        got = f"{name_of(tx)} with {', '.join(dict.fromkeys(coupling))}"
        hint = "Leave it out, or write clip or clip_by_block_rms in place of clip_by_global_norm."
        errors.fail("release_gradients", must, got, instead=hint)


def _check_layers(params: Any) -> Any:
    """The layers of parameters, each array of which has the same leading axis."""
    if not isinstance(params, dict) or params.keys() != {"outer", "layers"}:
        must = 'params must be {"outer": ..., "layers": ...}'
        errors.fail("release_gradients", must, errors.kind_of(params))
    layers = params["layers"]
    sizes = {path: np.shape(x)[:1] for path, x in zip(tree.paths(layers), jax.tree.leaves(layers))}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        must = "arrays of layers must have the same leading axis"
        got = ", ".join(f"{path!r} {size}" for path, size in sizes.items()) or "no arrays"
        errors.fail("release_gradients", must, got)
    return layers


def _with_own_keys(state: Any, i: jax.Array) -> Any:
    """The state of layer i, whose random keys differ from those of other layers."""

    def field(owner, name, role, value):
        if role is None or role.name != "key" or value is None:
            return None
        return value ^ mix(i.astype(value.dtype) + 1)

    return map_fields(field, state)


def _alone(function: Callable[..., Any], i: jax.Array, *args: Any) -> Any:
    """The results of a function, whose arguments and results are arrays of their own.

    Else XLA on CPU reads the slice of a layer from the whole while it is written to, and so copies
    the whole for each layer. The body of a conditional is not merged with what is around it; that
    its condition always holds XLA does not know.
    """

    def apart(*args: Any) -> Any:
        like = jax.eval_shape(function, *args)
        nothing = lambda *_: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)
        return jax.lax.cond(i >= 0, function, nothing, *args)

    return jax.lax.platform_dependent(*args, cpu=apart, default=function)


def _at(whole: Any, i: jax.Array) -> Any:
    take = lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False)
    return jax.tree.map(take, whole)


def _put(whole: Any, part: Any, i: jax.Array) -> Any:
    put = lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, i, 0)
    return jax.tree.map(put, whole, part)


def _sum(some: Any, others: Any) -> Any:
    return some if some.dtype == jax.dtypes.float0 else some + others
