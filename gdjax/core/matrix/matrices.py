"""Matrix axes of arrays: which axes are rows and columns; rules for one matrix on trees of arrays.

An argument `matrix_axes` may be any of these:

    None                               arrays of two axes are [in, out], as in x @ W
    "in out", "out in", "n in out"     a pattern, for arrays with that number of axes
    matrix_axes({path: pattern, ...})  patterns by path, None for arrays that are not matrices
    a tree of these, or a function of the parameters that returns one

A pattern has a word for each axis: `in` for axes that are summed over with the inputs (rows), `out`
for axes of the outputs (columns), `n` for axes that number matrices: layers, experts, heads. A
composite axis is split in parentheses, in which integers are axes that number matrices:

    "n in out"          layers stacked for a scan; experts
    "in in in out"      a convolution: height, width, channels in, channels out
    "in n out"          separate attention heads
    "in (3 8 out)"      queries, keys and values in one array, of 8 heads each: 24 matrices

Arrays of no or one axis are treated as matrices of one column.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.matrix.batching import Axes, evolve_stacks
from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics, tree
from gdjax.params.rules import ParamRule, _matches, _names, _rule

# Names of embedding tables and of output layers, which are not maps between hidden layers.
TABLES = r"(?i).*embed.*|emb|wte|wpe|vocab.*|((lm|output|classification)_)?head|logits|classifier"


@_rule
def matrix_axes(patterns: dict[str, str | None]):
    r"""Matrix axes of parameters by path: which axes are rows and columns, or number matrices.

    The first pattern that matches the whole path applies. Arrays that no pattern matches, or whose
    pattern is None, are not matrices: complete optimizers update them by AdamW.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> axes = gd.matrix_axes({r"blocks/.*": "n in out", "embed": None, "patches": "in in in out"})
    >>> params = {"blocks": {"up": jnp.ones((12, 4, 16))}, "embed": jnp.ones((99, 4))}
    >>> params["patches"] = jnp.ones((2, 2, 3, 4))
    >>> axes(params)
    {'blocks': {'up': 'n in out'}, 'embed': None, 'patches': 'in in in out'}

    Args:
        patterns: Regular expressions of paths, and patterns of axes; see `gdjax.matrix_axes`.

    Raises:
        ValueError: A path pattern matches nothing; a pattern of axes is invalid or does not fit.
    """
    for pattern in patterns.values():
        if pattern is not None:
            _parse(pattern, "matrix_axes")

    def pick(params: Any, where: str) -> list[str | None]:
        names = list(_names(params))
        found: list[Any] = [None] * len(names)
        for path, pattern in reversed(list(patterns.items())):
            flags = _matches(path, names, where)
            found = [pattern if flag else old for flag, old in zip(flags, found)]
        return found

    return pick


def _parse(pattern: str, where: str) -> list[Any]:
    """The parts of a pattern, one for each axis; a list for a composite axis."""
    words: list[Any] = []
    inside = None
    for word in pattern.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(" and inside is None:
            inside = []
        elif word == ")" and inside is not None and sum(w in _WORDS for w in inside) == 1:
            words.append(inside)
            inside = None
        elif inside is not None and (word in _WORDS or word.isdecimal()):
            inside.append(word)
        elif inside is None and word in _WORDS:
            words.append(word)
        else:
            inside = [None]  # invalid
            break
    if inside is not None or not words:
        must = "a pattern of axes must have 'in', 'out' or 'n' for each axis"
        hint = "Write 'in out' or 'in (3 8 out)', for example."
        errors.fail(where, must, repr(pattern), instead=hint)
    return words


_WORDS = ("in", "out", "n")


def _axes(said: Any, shape: tuple[int, ...], where: str, path: str) -> Axes | None:
    """The axes of an array of a shape, by a pattern or by dimension numbers."""
    if said is None:
        return None
    if isinstance(said, Axes):
        return said
    if hasattr(said, "reduction_axis"):
        return _of_numbers(said, shape, where, path)
    words = _parse(said, where)
    if len(words) != len(shape):
        must = f"the pattern {said!r} must have a word for each axis, at {path!r}"
        errors.fail(where, must, f"shape {shape}")
    apart, kinds = [], []
    for word, size in zip(words, shape):
        inner = word if isinstance(word, list) else [word]
        known = int(np.prod([int(w) for w in inner if w.isdecimal()]))
        if size % known:
            must = f"the composite axis of {said!r} must be divisible by {known}, at {path!r}"
            errors.fail(where, must, f"shape {shape}")
        apart += [int(w) if w.isdecimal() else size // known for w in inner]
        kinds += ["n" if w.isdecimal() else w for w in inner]
    of = lambda kind: tuple(i for i, k in enumerate(kinds) if k == kind)
    return Axes(tuple(apart), of("n"), of("in"), of("out"))


def _of_numbers(said: Any, shape: tuple[int, ...], where: str, path: str) -> Axes:
    """The axes by dimension numbers; axes that are neither rows nor columns number matrices."""
    ndim = len(shape)
    sides = [[a] if isinstance(a, int) else list(a) for a in said]
    rows, columns = (tuple(a + ndim if a < 0 else a for a in side) for side in sides)
    taken = rows + columns
    if len(set(taken)) != len(taken) or not all(0 <= axis < ndim for axis in taken):
        must = f"dimension numbers must name distinct axes of {ndim}, at {path!r}"
        errors.fail(where, must, f"{said[0]} and {said[1]}")
    return Axes(shape, tuple(i for i in range(ndim) if i not in taken), rows, columns)


def _said(params: Any, axes: Any, where: str) -> tuple[list[Any], list[Any], Any]:
    """The leaves, the pattern of each, and the structure."""
    leaves, treedef = jax.tree.flatten(params, is_leaf=tree.is_none)
    if isinstance(axes, ParamRule):
        said = axes._of(params, where)
    elif callable(axes):
        return _said(params, axes(params), where)
    elif axes is None or isinstance(axes, str):
        rank = 2 if axes is None else len(_parse(axes, where))
        said = [
            ("in out" if axes is None else axes) if np.ndim(x) == rank else None for x in leaves
        ]
    elif hasattr(axes, "reduction_axis"):
        said = [axes] * len(leaves)
    else:
        said = treedef.flatten_up_to(axes)
    return leaves, said, treedef


def axes_of(params: Any, axes: Any, where: str) -> tuple[list[Any], list[Axes | None], Any]:
    """The leaves, None included; the axes of each, None if not a matrix; the structure.

    Raises:
        ValueError: A pattern is invalid, does not fit, or matches nothing.
    """
    leaves, said, treedef = _said(params, axes, where)
    found = []
    for i, (x, word) in enumerate(zip(leaves, said)):
        if word is None or not tree.differentiable(x):
            found.append(None)
        else:
            path = tree.paths(params, tree.is_none)[i]
            found.append(_axes(word, np.shape(x), where, path))
    return leaves, found, treedef


def is_matrix(params: Any, axes: Any, where: str) -> Any:
    """Which parameters are hidden weight matrices: a tree of bools like the parameters.

    If `axes` is None, arrays of two axes whose path does not name an embedding or a head.
    """
    leaves, found, treedef = axes_of(params, axes, where)
    if axes is None:
        names = tree.paths(params, tree.is_none)
        tables = [any(re.fullmatch(TABLES, word) for word in name.split("/")) for name in names]
        found = [None if table else a for table, a in zip(tables, found)]
    return treedef.unflatten([None if x is None else a is not None for x, a in zip(leaves, found)])


def sides(updates: Any, axes: Any, where: str) -> Any:
    """The sides (in, out) of the matrices of each array, (size, 1) for vectors; a tree."""
    _, found, treedef = _stacks(updates, axes, where)
    return treedef.unflatten([None if a is None else a.sides for a in found])


def _stacks(updates: Any, axes: Any, where: str) -> tuple[list[Any], list[Any], Any]:
    """The leaves, the axes of each differentiable one, vectors as columns, and the structure."""
    leaves, found, treedef = axes_of(updates, axes, where)
    for i, x in enumerate(leaves):
        if tree.differentiable(x) and found[i] is None:
            if np.ndim(x) > 1:
                path = tree.paths(updates, tree.is_none)[i]
                must = f"an array of more than one axis must have matrix_axes, at {path!r}"
                hint = "Write 'n in out', for example, or exclude it by partition."
                errors.fail(where, must, f"shape {np.shape(x)}", instead=hint)
            found[i] = Axes((np.size(x),), (), (0,), ())
    return leaves, found, treedef


def evolve(
    leaf: Callable[..., Any], trees: tuple[Any, ...], *read: Any, axes: Any, where: str
) -> tuple[Any, ...]:
    """Applies a rule for one matrix to every matrix of trees; `tree.evolve` for matrices.

    `leaf` takes one matrix [m, n] of each of `trees` and of `read` and returns one for each of
    `trees`: the updates first, then state, returned in its own dtype. A state is made by
    `per_matrix`. Matrices of equal shape are batched, see `gdjax.core.matrix.batching`.

    Args:
        leaf: The rule.
        trees: Updates and state.
        *read: Trees like the updates that are only read; a leaf may be None.
        axes: See `gdjax.matrix_axes`.
        where: The name for messages.

    Raises:
        ValueError: An array of more than one axis has no axes; see also `axes_of`.
    """
    updates, *states = trees
    leaves, found, treedef = _stacks(updates, axes, where)
    kept = len(trees)
    others = [treedef.flatten_up_to(state) for state in states]
    beside = [treedef.flatten_up_to(t) for t in read]
    rows, members = [], []
    for i, (x, a) in enumerate(zip(leaves, found)):
        nothing = not np.size(x)  # an empty array: rules never see it
        if a is None or nothing or (states and all(state[i] is None for state in others)):
            continue
        arrays = [None if t[i] is None else a.stack(jnp.asarray(t[i])) for t in beside]
        rows.append((a.stack(jnp.asarray(x)), *(state[i] for state in others), *arrays))
        members.append(i)
    columns = [list(leaves), *(list(state) for state in others)]
    for i, out in zip(members, evolve_stacks(leaf, rows, kept)):
        columns[0][i] = found[i].unstack(out[0], leaves[i])
        for column, state in zip(columns[1:], out[1:]):
            column[i] = state
    return tuple(treedef.unflatten(column) for column in columns)


def map(leaf: Callable[..., Any], updates: Any, *read: Any, axes: Any, where: str) -> Any:
    """`evolve` for a rule without state: one tree in, one tree out."""
    return evolve(leaf, (updates,), *read, axes=axes, where=where)[0]


def map_shards(leaf: Callable[..., Any], updates: Any, *, axes: Any, where: str) -> Any:
    """`map` for the part of each matrix that a device has: without communication.

    Where JAX does not know these parts (Auto axes, no mesh, inside `shard_map`) it is `map`.
    """
    leaves, found, treedef = _stacks(updates, axes, where)
    members = [i for i, a in enumerate(found) if a is not None and np.size(leaves[i])]
    stacks = [found[i].stack(jnp.asarray(leaves[i])) for i in members]
    if not stacks or distribute.spec_of(stacks[0]) is None:
        return map(leaf, updates, axes=axes, where=where)

    def rule(*shards: Any) -> list[Any]:
        return [out for (out,) in evolve_stacks(leaf, [(shard,) for shard in shards], 1)]

    for i, out in zip(members, distribute.on_shards(rule, stacks)):
        leaves[i] = found[i].unstack(out, leaves[i])
    return treedef.unflatten(leaves)


def per_matrix(make: Callable[[jax.Array], Any], params: Any, *, axes: Any, where: str) -> Any:
    """State for `evolve`: the result of `make` for each matrix, with the axes that number them.

    `make` gets a matrix [m, n] in float32 or wider, and returns an array, a tree of them, or None.
    """
    leaves, found, treedef = _stacks(params, axes, where)

    def one(x: Any, a: Any) -> Any:
        if a is None:
            return None
        stack = numerics.wide(a.stack(jnp.asarray(x)))
        made = make
        for _ in a.lead:
            made = jax.vmap(made)
        return made(stack)

    return treedef.unflatten([one(x, a) for x, a in zip(leaves, found)])
