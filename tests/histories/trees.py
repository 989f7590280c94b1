"""Random trees of parameters as text, and gradients for them."""

from __future__ import annotations

import dataclasses
import random
import zlib
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gdjax.core.rule import tree as trees

UNUSED = (3, 1)  # the shape of a parameter that no loss reads: its gradient is None


class Pair(NamedTuple):
    first: Any
    second: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    kernel: Any
    bias: Any


def leaf(*shape: int, dtype: str = "float32") -> jax.Array:
    """Numbers from -1 to 1, of which none is 0."""
    size = int(np.prod(shape))
    return jnp.asarray(np.linspace(-1.0, 0.9, size).reshape(shape), dtype)


def ints(*shape: int) -> jax.Array:
    return jnp.arange(int(np.prod(shape)), dtype=jnp.int32).reshape(shape)


def key() -> jax.Array:
    return jax.random.key(3)


class Module(eqx.Module):
    """A module of Equinox, with a static field."""

    kernel: Any
    bias: Any
    size: int = eqx.field(static=True, default=2)


@flax.struct.dataclass
class Struct:
    kernel: Any
    bias: Any


def partitioned(x: Any) -> Any:
    """A box of Flax linen."""
    return nn.Partitioned(x, (None,) * jnp.ndim(x))


def variables(tree: Any) -> Any:
    """A state of Flax NNX: a variable around each array."""
    return nnx.State({name: nnx.Param(x) for name, x in tree.items()})


def gradients(params: Any, number: int) -> Any:
    """Gradients of a step: of its number, of the path and of the position of an entry alone."""
    leaves, treedef = jax.tree.flatten(params)
    rows = zip(leaves, trees.paths(params))
    return treedef.unflatten([_gradient(p, number, zlib.crc32(path.encode())) for p, path in rows])


def _gradient(p: Any, number: int, of_path: int) -> Any:
    if not trees.differentiable(p):
        return np.zeros(np.shape(p), jax.dtypes.float0)
    if np.shape(p) == UNUSED:
        return None
    rng = np.random.default_rng([number, of_path])
    signs = rng.choice([-1.0, 1.0], np.shape(p))
    wave = signs * (0.3 + rng.random(np.shape(p)))  # no entry is near 0
    if isinstance(p, (float, complex)):
        return type(p)(wave)
    if jnp.iscomplexobj(p):
        wave = wave * (1 + 0.5j)
    return np.asarray(wave).astype(p.dtype)


# Text of random trees.

SHAPES = ["2, 3", "4", "", "8, 2", "8", "1", "1, 1", "0, 3", "0", "2, 2, 3", "3, 1"]
NAMES = ["w", "b", "dense/kernel", "a/b", "a", "~1", "scale", "0"]


def random_tree(rng: random.Random) -> str:
    """The text of a tree; the first array is a matrix or a vector that is trained."""
    if rng.random() < 0.04:
        return rng.choice(["leaf(4)", "leaf(2, 3)", "leaf()", "{}"])
    names = rng.sample(NAMES, rng.randint(1, 4))
    items = {name: _node(rng, 2) for name in names}
    items[names[0]] = rng.choice(["leaf(2, 3)", "leaf(8, 2)", "leaf(8)"])
    text = "{" + ", ".join(f"{name!r}: {node}" for name, node in items.items()) + "}"
    if rng.random() < 0.06 and "{" not in text[1:] and "None" not in text:
        return f"variables({text})"
    return text


def _node(rng: random.Random, depth: int) -> str:
    if depth and rng.random() < 0.35:
        a, b = _node(rng, depth - 1), _node(rng, depth - 1)
        kinds = ["{{'x': {}, 'y/z': {}}}", "[{}, {}]", "({}, {})", "Pair({}, {})", "Layer({}, {})"]
        return rng.choice([*kinds, "Module({}, {})", "Struct({}, {})"]).format(a, b)
    some = rng.random()
    if some < 0.06:
        return rng.choice(["None", "{}", "[]"])
    if some < 0.11:
        return rng.choice(["ints(3)", "ints()", "key()"])
    if some < 0.14:
        return "0.5"
    shape, dtype = rng.choice(SHAPES), ""
    if rng.random() < 0.2:
        dtype = rng.choice(["bfloat16", "bfloat16", "float16"])
    inside = ", ".join([x for x in (shape, f"dtype={dtype!r}" if dtype else "") if x])
    text = f"leaf({inside})"
    return f"partitioned({text})" if rng.random() < 0.05 else text


def build_tree(text: str) -> Any:
    return eval(text, globals())
