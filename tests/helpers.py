"""What many tests need: a run of some steps, comparisons of trees, meshes and their programs."""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import gdjax as gd


def first(number: int, values: Iterable[Any]) -> list[Any]:
    """Values of a parameter: so many in the quick suite, the others in the slow one."""
    mark = lambda i, v: v if i < number else pytest.param(v, marks=pytest.mark.slow)
    return [mark(i, value) for i, value in enumerate(values)]


def close(a: Any, b: Any, rtol: float = 1e-6, atol: float = 0.0) -> None:
    """Two trees of one structure have the same numbers."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def other_eigh(a: jax.Array, eigh: Callable[..., Any]) -> tuple[jax.Array, jax.Array]:
    """`eigh` of a matrix as another LAPACK might give it: of Rᵀ·A·R, turned back.

    Eigenvectors are the same to rounding but for their signs, and in the null space any others.
    """
    turn = np.linalg.qr(normal(a.shape[-1], a.shape[-1], seed=7))[0].astype(a.dtype)
    values, vectors = eigh(turn.T @ a @ turn)
    return values, turn @ vectors


class Run(NamedTuple):
    """The end of a run, and its way: after each step the parameters and where to evaluate."""

    params: Any
    state: Any
    path: Any
    seen: Any


def run(
    tx: Any,
    gradient: Callable[[Any, Any], Any],
    params: Any,
    steps: int = 3,
    *,
    by: str = "step",
    **extra: Any,
) -> Run:
    """Some steps in one compiled loop, by `step` or by `update` and `apply_updates`.

    `gradient(params, t)` gives the gradients of step t.
    """

    def body(carry, t):
        params, state = carry
        grads = gradient(params, t)
        if by == "step":
            params, state = tx.step(grads, state, params, **extra)
        else:
            updates, state = tx.update(grads, state, params, **extra)
            params = gd.apply_updates(params, updates)
        return (params, state), (params, gd.state.eval_params(tx, state, params))

    start = params, tx.init(params)
    end, way = jax.jit(lambda c: jax.lax.scan(body, c, jnp.arange(steps)))(start)
    return Run(*end, *way)


def path_from(tx: Any, slope: Callable[[Any], Any], start: jax.Array, steps: int) -> jax.Array:
    """The parameters of all steps of a run, the start included, [steps + 1, ...]."""
    return jnp.concatenate([start[None], run(tx, lambda p, t: slope(p), start, steps).path])


def over(tx: Any, gradients: Any, params: Any = None) -> tuple[Any, Any]:
    """The updates for gradients [steps, ...], stacked, and the last state; nothing moves."""
    first = jax.tree.map(lambda g: g[0], gradients)
    step = lambda state, g: tx.update(g, state, params)[::-1]
    start = tx.init(first if params is None else params)
    state, updates = jax.jit(lambda gs: jax.lax.scan(step, start, gs))(gradients)
    return updates, state


def updates_of(tx: Any, gradients: Any, params: Any = None) -> Any:
    """The updates of `over`, by default at parameters of zero."""
    params = jax.tree.map(lambda g: jnp.zeros_like(g[0]), gradients) if params is None else params
    return over(tx, gradients, params)[0]


def first_update(tx: Any, g: Any) -> Any:
    """The update of the first step, at the parameters g."""
    return tx.update(g, tx.init(g), g)[0]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers, float64."""
    return np.random.default_rng(seed).standard_normal(shape)


def single(*shape: int, seed: int = 0) -> jax.Array:
    """The same in float32."""
    return jnp.asarray(normal(*shape, seed=seed), jnp.float32)


def polar_of(g: Any) -> np.ndarray:
    """The orthogonal polar factor U·Vᵀ of a matrix, by NumPy."""
    u, _, vt = np.linalg.svd(np.asarray(g, np.float64), full_matrices=False)
    return u @ vt


def wave(params: Any, t: Any = 0) -> Any:
    """Gradients that differ from entry to entry and from step to step."""

    def of(p):
        first = 1.0 + jnp.asarray(t).astype(p.dtype)
        return jnp.cos(first + 1.7 * jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape)

    return jax.tree.map(of, params)


# Meshes, and the programs that run on them.


def needs(*, devices: int = 1, platform: str = "") -> None:
    """Skips a test, or the module that calls it, where JAX has other devices, and says so.

    In CI nothing is skipped by it: there the devices are eight of one CPU (see conftest.py).
    """
    found = f"{len(jax.devices())} of {jax.devices()[0].platform}"
    if len(jax.devices()) < devices:
        pytest.skip(f"needs {devices} devices, got {found}", allow_module_level=True)
    if platform and jax.devices()[0].platform != platform:
        pytest.skip(f"is about {platform} devices, got {found}", allow_module_level=True)


def mesh_of(kind: Any, shape: Any = (8,), names: Any = ("data",)) -> Any:
    """A mesh of the eight devices, its axes Auto or Explicit: the kind, or its name."""
    needs(devices=math.prod(shape))
    kind = AxisType[kind] if isinstance(kind, str) else kind
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(names))


def collectives(program: str) -> tuple[collections.Counter, collections.Counter]:
    """How many of each there are in a program's text, and how many numbers they give at most."""
    found: collections.Counter = collections.Counter()
    most: collections.Counter = collections.Counter()
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    for result, kind in re.findall(rf"= (.*?) ({kinds})(?:-start)?\(", program):
        shapes = re.findall(r"\[(.*?)\]", result)
        sizes = [np.prod([int(n) for n in s.split(",") if n]) for s in shapes]
        found[kind] += 1
        most[kind] = max(most[kind], *sizes)
    return found, most
