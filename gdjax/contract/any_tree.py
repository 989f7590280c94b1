"""Promises for all trees and numbers: structures, extremes, derivatives, precision, placement."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gdjax.contract.subject import (
    FLOATS,
    Subject,
    example_grads,
    example_params,
    finite,
    moving_numbers,
    promise,
    run,
)
from gdjax.core.data.build import build
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import apply_updates
from gdjax.core.rule import numerics
from gdjax.wrappers.select.masked import MaskedState, masked

__all__ = [
    "descends",
    "is_differentiable",
    "is_placed_like_parameters",
    "keeps_double_precision",
    "may_be_masked",
    "names_the_wrong_leaf",
    "stays_finite",
    "takes_abstract_parameters",
    "takes_any_tree",
]


@promise
def takes_any_tree(subject: Subject) -> None:
    """Empty trees, tuples, scalars and None work; nondifferentiable leaves are ignored."""
    for params in ({}, (), jnp.asarray(1.0), (jnp.ones(2), [jnp.ones(1)])):
        state = subject.tx.init(params)
        updates, _ = jax.eval_shape(subject.update, example_grads(params), state, params)
        assert jax.tree.structure(updates) == jax.tree.structure(params)
    params = example_params()
    more = {**params, "none": None, "steps": jnp.arange(3), "key": jax.random.key(0)}
    grads = {**example_grads(params), "none": None, "key": more["key"]}
    state = subject.tx.init(more)
    integers = jax.eval_shape(subject.update, {**grads, "steps": jnp.arange(3)}, state, more)
    with_float0 = {**grads, "steps": np.zeros((3,), jax.dtypes.float0)}  # as jax.grad gives it
    others = lambda params, grads: {**subject.given(grads, params), "something_of_others": 1.0}
    unknown = dataclasses.replace(subject, extra=others)
    updates, after = unknown.update(with_float0, state, more)
    assert _kinds(after) == _kinds(state) == _kinds(integers[1])
    moved = apply_updates(more, updates)
    assert moved["none"] is None
    np.testing.assert_array_equal(moved["steps"], jnp.arange(3))
    alone, _ = run(subject, 1)
    chex.assert_trees_all_close({k: updates[k] for k in alone}, alone, rtol=1e-6, atol=1e-7)


def _kinds(value: Any) -> Any:
    return jax.tree.structure(value), [(jnp.shape(x), x.dtype) for x in jax.tree.leaves(value)]


@promise
def may_be_masked(subject: Subject) -> None:
    """With a mask of True nothing changes; with a mask of False there is no state of parameters."""
    if subject.batch:
        return  # the updates of a mask have no axis of examples
    params = example_params()
    everywhere = run(subject, 2, tx=masked(subject.tx, True))
    updates, state = run(subject, 2)
    chex.assert_trees_all_close(everywhere, (updates, MaskedState(state)), rtol=1e-6, atol=1e-7)
    nowhere = jax.eval_shape(masked(subject.tx, False).init, params)
    shapes = {jnp.shape(p) for p in jax.tree.leaves(params)} - {()}
    assert not [x for x in jax.tree.leaves(nowhere) if x.shape in shapes], nowhere


@promise
def takes_abstract_parameters(subject: Subject) -> None:
    """`init` and `update` work on abstract values (`jax.eval_shape`)."""
    params = example_params()
    state = jax.eval_shape(subject.tx.init, params)
    _, after = jax.eval_shape(subject.update, example_grads(params), state, params)
    real = jax.tree.map(lambda x: (x.shape, x.dtype), subject.tx.init(params))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == real


@promise
def names_the_wrong_leaf(subject: Subject) -> None:
    """A gradient of another shape or structure raises, with the path of the leaf."""
    params = example_params()
    state, grads = subject.tx.init(params), example_grads(params)
    wrong_shape = {**grads, "dense": {"kernel": jnp.ones((3, 2))}}
    wrong_tree = {"dense": grads["dense"]}
    for wrong, path in ((wrong_shape, "dense/kernel"), (wrong_tree, "gain")):
        try:
            subject.update(wrong, state, params)
        except ValueError as error:
            assert path in str(error), error
        else:
            raise AssertionError(f"{path}: a wrong gradient was taken")


@promise
def stays_finite(subject: Subject) -> None:
    """Zero, tiny and huge gradients (whose squares float32 can hold) give finite numbers."""
    for dtype in FLOATS:
        params = example_params(dtype)
        largest = min(1e18, float(jnp.finfo(dtype).max))
        for scale in (0.0, float(jnp.finfo(dtype).tiny), largest):
            state = subject.tx.init(params)
            for i in range(2):
                grads = example_grads(params, i, scale)
                updates, state = subject.update(grads, state, params)
            assert finite((updates, state)), (dtype, scale)


@promise
def is_differentiable(subject: Subject) -> None:
    """Derivatives of two steps by gradients and hyperparameters are finite, also at zero."""
    params = {"w": jnp.asarray([1.0, -0.5, 0.0])}
    moving = moving_numbers(subject.tx)

    def end(numbers: Any, scale: Any, params: Any) -> Any:
        tx = subject.tx.replace(**numbers)
        state, total = tx.init(params), 0.0
        for i in range(2):
            grads = jax.tree.map(lambda g: scale * g, example_grads(params, i))
            updates, state = subject.update(grads, state, params, tx)
            params = apply_updates(params, updates)
        return total + sum(jnp.sum(p) for p in jax.tree.leaves(params))

    numbers = {name: jnp.asarray(value) for name, value in moving.items()}
    slope = jax.jit(jax.grad(end, argnums=(0, 1, 2)))
    for scale in (0.0, 1.0):
        slopes = slope(numbers, jnp.asarray(scale), params)
        assert finite(slopes), (scale, slopes)


@promise
def keeps_double_precision(subject: Subject) -> None:
    """With x64, updates of float64 parameters are float64, also with float32 hyperparameters."""
    with numerics.enable_x64(True):
        params = example_params(jnp.float64)
        updates, state = run(subject, 2, params)
        assert all(u.dtype == jnp.float64 for u in jax.tree.leaves(updates))
        params = example_params(jnp.float32)
        updates, _ = run(subject, 2, params)
        assert all(u.dtype == jnp.float32 for u in jax.tree.leaves(updates))


@promise
def is_placed_like_parameters(subject: Subject) -> None:
    """State of sharded parameters is sharded like them; trivial on a single device.

    Matrices are split along their first axis, along their last, or not at all; every array of the
    state with the shape of a matrix is sharded like it, eagerly and under `jit`.
    """
    devices = jax.devices()[: math.gcd(8, len(jax.devices()))]  # by which the axes divide
    mesh = jax.sharding.Mesh(np.asarray(devices), ("data",))
    at = lambda *spec: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
    shapes = {"rows": (8, 2), "columns": (3, 16), "whole": (5, 7)}
    places = {"rows": at("data"), "columns": at(None, "data"), "whole": at()}
    params = jax.device_put({k: jnp.ones(shape) for k, shape in shapes.items()}, places)
    state = subject.tx.init(params)
    grads = jax.device_put(example_grads(params), places)
    made, (_, after) = jax.jit(lambda *given: (subject.tx.init(given[2]), subject.update(*given)))(
        grads, state, params
    )
    expected = {shapes[name]: place for name, place in places.items()}
    for where in (state, made, after):
        for path, leaf in jax.tree.leaves_with_path(where):
            if place := expected.get(leaf.shape):
                place = place.with_memory_kind(leaf.sharding.memory_kind)  # any, see `offload`
                alike = leaf.sharding.is_equivalent_to(place, leaf.ndim)
                assert alike, (jax.tree_util.keystr(path), leaf.sharding, place)


@promise
def descends(subject: Subject) -> None:
    """A hundred steps decrease a quadratic loss."""
    if not subject.descends:
        return
    tx, params = subject.tx, {"x": jnp.asarray([1.0, -2.0])}
    loss = lambda p: jnp.sum(p["x"] ** 2)
    first, _ = subject.update(jax.grad(loss)(params), tx.init(params), params)
    if first["x"][0] > 0:  # keeps the sign of the gradient, as a part of an optimizer does
        tx = chain(tx, build({"scale": {"step_size": -0.01}}))

    def body(carry: Any, _: Any) -> Any:
        params, state = carry
        grads = jax.grad(loss)(params)
        return subject.step(grads, state, params, tx), loss(params)

    _, losses = jax.lax.scan(body, (params, tx.init(params)), length=100)
    assert losses[-1] < losses[0], (losses[0], losses[-1])
