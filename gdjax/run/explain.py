"""Table of the learning rate, weight decay and state of each parameter, before training."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.dispatch import is_data, join, split
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.engine.walk import Visit, trained, walk
from gdjax.core.rule import tree
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.tree import joined, words
from gdjax.params.rules import select
from gdjax.run.explanation import Explanation, Line
from gdjax.state.find import nbytes
from gdjax.state.names import named_leaves, parameter_of

__all__ = ["Explanation", "explain"]


def explain(tx: Any, params: Any) -> Explanation:
    """Table of learning rate, weight decay and state bytes for each parameter; computes nothing.

    Equal parameters of several layers have one row, `blocks/*/att/key/bias ×24`; schedules are
    listed below the table. `print(explain(tx, params).by_group())` has a row for each group.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.zeros((64, 10)), "b": jnp.zeros(10)}
    >>> gd.explain(gd.adamw(1e-3, weight_decay=0.1, mask="matrices"), params)
    parameter  shape     dtype    learning rate  decay  state bytes
    b          (10)      float32  0.001                 80
    w          (64, 10)  float32  0.001          0.1    5,120
    2 arrays, 650 parameters (0 frozen) in 2,600 bytes; state 5,204 bytes, 8.01 a parameter

    Args:
        tx: The optimizer.
        params: Its parameters, arrays or abstract values. Sharding stands in the table where more
            than one device holds them.

    Returns:
        The table: path, shape, dtype, group, learning rate (at the first step), decay, bytes of
        state and sharding of each parameter; totals below. Its attribute `lines` has an entry for
        each parameter.
    """
    check_transformation("explain", "tx", tx, "Write explain(tx, params).")
    params = unboxed(params)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = zip(joined([words(path) for path, _ in leaves]), leaves)
    lines = {words(path): _line(name, leaf) for name, (path, leaf) in named}
    by_path = {words(path): leaf for path, leaf in leaves if is_data(leaf)}
    static, arrays = split(params, is_data)  # a whole model holds functions too
    state = jax.eval_shape(lambda arrays: tx.init(join(static, arrays)), arrays)
    before: Any = None
    for visit in walk(tx, state, params):
        _read(visit, lines, entered=visit.path != before)
        before = visit.path
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained(tx, params)):
        lines[words(path)].trained = tree.differentiable(leaf)
    for name, leaf in named_leaves(tx, state):
        owner = parameter_of(name, leaf, by_path)
        if owner is not None:
            lines[owner].state_bytes += nbytes(leaf)
    arrays = list(by_path.values())
    count = sum(math.prod(jnp.shape(x)) for x in arrays)
    shown = [lines[path] for path in by_path]
    return Explanation(shown, count, nbytes(arrays), nbytes(state))


def _line(name: str, leaf: Any) -> Line:
    placed = getattr(leaf, "sharding", None)
    spec = str(getattr(placed, "spec", "")) if getattr(placed, "num_devices", 1) > 1 else ""
    spec = spec.replace("PartitionSpec", "")
    dtype = str(jnp.result_type(leaf)) if is_data(leaf) else ""
    return Line(name, getattr(leaf, "shape", ()), dtype, sharding=spec)


def _read(visit: Visit, lines: dict[tuple[str, ...], Line], entered: bool) -> None:
    """Writes down what one transformation says of the parameters that it gets."""
    leaves = jax.tree_util.tree_leaves_with_path(visit.params)
    own = [lines[words(path)] for path, _ in leaves]
    reached = visit.children[-1] if visit.children and entered else None
    if reached is not None and reached.share is not None and reached.named:
        for line in own:
            line.group = f"{line.group}/{reached.name}".lstrip("/")
    if not isinstance(visit.tx, GradientTransformation):
        return
    given = {name: getattr(x, "source", x) for name, x in visit.tx.arguments.items()}
    for name in visit.tx.having("learning rate")[:1]:  # what others are for is inside
        for line in own:
            _declare(line.rates, visit.path, given[name])
    masks = [given[name] for name in visit.tx.having("mask") if given[name] is not None]
    flags = [jax.tree.leaves(select(visit.params, mask, visit.tx.name)) for mask in masks]
    for name in visit.tx.having("weight decay")[:1]:
        for i, line in enumerate(own):
            decays = all(of_mask[i] for of_mask in flags)
            _declare(line.decays, visit.path, given[name] if decays else "")


def _declare(found: dict[tuple[str, ...], Any], path: tuple[str, ...], value: Any) -> None:
    """Replaces the entries of the transformations around by those of an inner one."""
    if value is None:  # it has none, or was given what another made of it
        return
    for outer in [other for other in found if path[: len(other)] == other]:
        del found[outer]
    found[path] = value
