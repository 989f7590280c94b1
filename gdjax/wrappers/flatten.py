"""Parameters in another form: flattened to one vector, or complex split into real arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import (
    GradientTransformation,
    call_update,
    name_of,
    transformation,
)
from gdjax.core.engine.walk import walk
from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics, tree

__all__ = [
    "SplitRealAndImaginaryArrays",
    "SplitRealAndImaginaryState",
    "flatten",
    "split_real_and_imaginary",
]


@transformation(kind="wrapper")
def flatten(inner: Any):
    """Flattens all parameters to one vector for a transformation, in float32 or wider.

    Elementwise rules give the same updates with one array a moment: fewer and larger operations
    for many small parameters. Rules of whole arrays (norms, matrices) act on the whole vector. A
    missing gradient counts as zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.flatten(gd.sgd(0.1, momentum=0.9))
    >>> gd.state.find(tx.init({"w": jnp.ones((2, 2)), "b": jnp.ones(2)}), "trace").shape
    (6,)

    Args:
        inner: The transformation.

    Raises:
        ValueError: `inner` treats matrices and other arrays differently, as `muon`.
    """

    def init(params):
        vector = _vector(params, params)
        _judge(inner, params, vector)
        return inner.init(vector)

    def update(updates, state, params=None, **extra):
        flat = None if params is None else _vector(params, params)
        shapes = updates if params is None else params
        out, state = call_update(inner, _vector(updates, shapes), state, flat, extra)
        return _leaves_of(out, updates, shapes, lambda x: numerics.wide_dtype(x.dtype)), state

    def evaluate(state, params):
        if not isinstance(inner, GradientTransformation):
            return params
        return _leaves_of(
            inner.evaluate(state, _vector(params, params)), params, params, lambda x: x.dtype
        )

    # What the inner transformation does with one array, it does with all parameters together.
    inside = Child("inner", inner, at=())
    return Rule(init, update, evaluate=evaluate, children=(inside,), couples=True)


def _judge(inner: Any, params: Any, vector: Any) -> None:
    """Raises where a part of a transformation gets parameters but nothing of the vector."""
    takes = lambda visit: any(map(tree.differentiable, jax.tree.leaves(visit.params)))
    for given, left in zip(walk(inner, None, params), walk(inner, None, vector)):
        if takes(given) and not takes(left):
            must = "what is inside must take vectors"
            hint = f"Write flatten around what is beside {name_of(given.tx)}, by partition."
            got = f"{name_of(given.tx)}, which then gets no parameter"
            errors.fail("flatten", must, got, instead=hint)


def _vector(values: Any, like: Any) -> jax.Array:
    """The concatenated entries of a tree, zeros for missing leaves."""
    rows = zip(
        jax.tree.leaves(values, is_leaf=tree.is_none), jax.tree.leaves(like, is_leaf=tree.is_none)
    )
    pairs = [(x, jnp.asarray(p)) for x, p in rows if tree.differentiable(p)]
    kinds = [numerics.wide_dtype(jnp.asarray(p if x is None else x).dtype) for x, p in pairs]
    dtype = np.result_type(np.float32, *kinds)
    flat = [
        jnp.ravel(_gathered(jnp.zeros_like(p) if x is None else x)).astype(dtype) for x, p in pairs
    ]
    return jnp.concatenate(flat) if flat else jnp.zeros(0, dtype)


def _gathered(x: Any) -> Any:
    """An array on all devices, where its sharding is known: those of a vector must have one."""
    split = distribute.spec_of(x)
    return x if split is None else distribute.reshard(x, [()] * len(split))


def _leaves_of(vector: jax.Array, values: Any, like: Any, dtype: Callable[[Any], Any]) -> Any:
    """The parts of a vector in the shapes of a tree; what it has no part of stays as it is."""
    leaves, treedef = jax.tree.flatten(values, is_leaf=tree.is_none)
    out, start = [], 0
    for x, p in zip(leaves, jax.tree.leaves(like, is_leaf=tree.is_none)):
        if not tree.differentiable(p):
            out.append(x)
            continue
        part = vector[start : start + np.size(p)].reshape(np.shape(p))
        part = distribute.reshard_like(part, p)
        start += np.size(p)
        to = None if x is None else dtype(jnp.asarray(x))
        if to is not None and not jnp.issubdtype(to, jnp.complexfloating):
            part = jnp.real(part)
        out.append(None if to is None else part.astype(to))
    return treedef.unflatten(out)


class SplitRealAndImaginaryArrays(NamedTuple):
    """A complex array as two real ones."""

    real: jax.Array
    imaginary: jax.Array


class SplitRealAndImaginaryState(NamedTuple):
    """State of `split_real_and_imaginary`."""

    inner_state: Any  # of the inner transformation, with two arrays for a complex parameter


@transformation(kind="wrapper")
def split_real_and_imaginary(inner: Any):
    """Splits complex parameters into real and imaginary parts for a transformation.

    The rule then scales the two parts separately; real parameters stay as they are. Without it, the
    rules of gdjax scale a complex number by its absolute value.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.split_real_and_imaginary(gd.adam(0.1))
    >>> z = jnp.array([3.0 - 0.1j])
    >>> updates, _ = tx.update(z, tx.init(z), z)
    >>> round(float(updates[0].real), 3), round(float(updates[0].imag), 3)
    (-0.1, 0.1)

    Args:
        inner: The transformation.
    """

    def init(params):
        return SplitRealAndImaginaryState(inner.init(_to_pairs(params)))

    def update(updates, state, params=None, **extra):
        theirs = None if params is None else _to_pairs(params)
        out, after = call_update(inner, _to_pairs(updates), state.inner_state, theirs, extra)
        return _to_complex(out), SplitRealAndImaginaryState(after)

    def evaluate(state, params):
        if not isinstance(inner, GradientTransformation):
            return params
        return _to_complex(inner.evaluate(state.inner_state, _to_pairs(params)))

    return Rule(
        init, update, evaluate=evaluate, children=(Child("inner", inner, at="inner_state"),)
    )


def _to_pairs(values: Any) -> Any:
    def one(x: Any) -> Any:
        if not (tree.differentiable(x) and jnp.iscomplexobj(x)):
            return x
        return SplitRealAndImaginaryArrays(jnp.real(x), jnp.imag(x))

    return jax.tree.map(one, values)


def _to_complex(values: Any) -> Any:
    is_pair = lambda x: isinstance(x, SplitRealAndImaginaryArrays)
    join = lambda x: jax.lax.complex(x.real, x.imaginary) if is_pair(x) else x
    return jax.tree.map(join, values, is_leaf=is_pair)
