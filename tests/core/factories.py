"""What the tests of the core share: a user's own rules, as the documentation writes them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.core.rule import tree
from tests.helpers import close as same

FLOAT0 = np.zeros([], jax.dtypes.float0)


PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
GRADS = {"w": jnp.array([0.3, 0.1]), "b": jnp.array(-0.2)}


close = functools.partial(same, atol=1e-7)


def scaled(factor, tree):
    return jax.tree.map(lambda x: factor * x, tree)


def words(error) -> str:
    """The message with its notes."""
    return "\n".join([str(error.value), *getattr(error.value, "__notes__", ())])


def only_weights(params):
    """A mask with a name, so it pickles."""
    return {name: name == "w" for name in params}


def falling(step):
    """A schedule of a user, with a name."""
    return 0.1 / (1.0 + jnp.asarray(step).astype(float))


CALLS = []  # one entry for each time that Python runs the update of `counted`


@gd.transformation
def counted(rate: gd.Hyperparam = 0.1):
    """Descends, and counts how often Python comes by."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, **extra):
        CALLS.append(rate)
        return tree.map(lambda g: -rate * g, updates), state

    return init, update


@gd.transformation
def bare(rate: gd.Positive):
    """Takes no extra arguments, and returns what it makes without annotations of its own."""

    def init(params):
        return ()

    def update(updates, state, params=None):
        return jax.tree.map(lambda g: -rate * g, updates), state

    return init, update


@gd.transformation
def leaping(rate: gd.Hyperparam):
    """Has a step of its own, which gives the numbers of update in one go."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, **extra):
        return tree.map(lambda g: -rate * g, updates), state

    def step(grads, state, params, **extra):
        CALLS.append("step")
        return tree.map(lambda p, g: p - rate * g, params, grads), state

    return init, update, step


@gd.transformation
def by_value(target: gd.Hyperparam = 0.0):
    """Needs the loss, may use a curvature."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, *, value, curvature=1.0, **extra):
        factor = (value - target) / curvature
        return tree.map(lambda g: factor * g, updates), state

    return init, update


@gd.transformation
def by_any_function(rate: gd.Hyperparam):
    """Calls a function that it is given."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, *, value_fn, **extra):
        return tree.map(lambda g: -rate * value_fn(params) * g, updates), state

    return init, update


@gd.transformation
def failing(deep: bool = False):
    """Raises in update."""

    def update(updates, state, params=None, **extra):
        raise RuntimeError("no")

    return lambda params: gd.EmptyState(), update
