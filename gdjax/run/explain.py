"""Table of the learning rate, weight decay and state of each parameter, before training."""

from __future__ import annotations

import dataclasses
import html
import math
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.schedule import Live
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.dispatch import is_data, join, split
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.engine.walk import Visit, trained, walk
from gdjax.core.rule import tree
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.tree import joined, words
from gdjax.params.rules import select
from gdjax.state.find import nbytes
from gdjax.state.names import named_leaves, parameter_of

__all__ = ["Explanation", "explain"]


@dataclasses.dataclass
class Line:
    """What is told of one parameter."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    group: str = ""  # the labels and names of stages through which it goes
    rates: dict[tuple[str, ...], Any] = dataclasses.field(default_factory=dict)  # by who has them
    decays: dict[tuple[str, ...], Any] = dataclasses.field(default_factory=dict)
    state_bytes: int = 0
    sharding: str = ""
    trained: bool = False  # whether any transformation gets it

    @property
    def learning_rate(self) -> Any:
        """A number, a schedule or a live value; a list of them if more than one stage has one."""
        return _one_or_all(self.rates)

    @property
    def weight_decay(self) -> Any:
        """The same of the decay; None where the parameter does not decay."""
        return _one_or_all(self.decays)

    def cells(self) -> tuple[str, ...]:
        """As they stand in the table."""
        if not self.trained:
            return (*self._head(), "frozen", "", "", "0", self.sharding)
        rate = " · ".join(map(_number, self.rates.values()))
        decay = " + ".join(filter(None, map(_number, self.decays.values())))
        return (*self._head(), self.group, rate, decay, f"{self.state_bytes:,}", self.sharding)

    def _head(self) -> tuple[str, ...]:
        shape = ", ".join(map(str, self.shape))
        return self.path or "(bare array)", f"({shape})", self.dtype


HEAD = ("parameter", "shape", "dtype", "group", "learning rate", "decay", "state bytes", "sharding")


@dataclasses.dataclass
class Explanation:
    """The table that `explain` makes: prints as text, as a table of rich, as HTML in a notebook."""

    lines: list[Line]
    parameters: int  # entries of all parameters
    parameter_bytes: int
    state_bytes: int  # of all state, counts included

    @property
    def totals(self) -> str:
        """One sentence about all parameters."""
        frozen = sum(math.prod(line.shape) for line in self.lines if not line.trained)
        each = self.state_bytes / max(self.parameters, 1)
        return (
            f"{len(self.lines)} arrays, {self.parameters:,} parameters ({frozen:,} frozen) in "
            f"{self.parameter_bytes:,} bytes; state {self.state_bytes:,} bytes, "
            f"{each:.2f} a parameter"
        )

    def _table(self) -> list[tuple[str, ...]]:
        """Head and rows, without the columns in which nothing stands."""
        rows = [HEAD, *(line.cells() for line in self.lines)]
        filled = [any(row[i] for row in rows[1:]) for i in range(len(HEAD))]
        return [tuple(x for x, keep in zip(row, filled) if keep) for row in rows]

    def __str__(self) -> str:
        """The table as text."""
        rows = self._table()
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(x.ljust(w) for x, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, self.totals])

    __repr__ = __str__

    def __rich__(self) -> Any:
        """The table as rich draws it."""
        from rich.table import Table

        head, *rows = self._table()
        table = Table(*head, caption=self.totals, caption_justify="left")
        for row in rows:
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        cells = lambda row, tag: "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in row)
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        caption = f"<caption>{html.escape(self.totals)}</caption>"
        return f"<table>{caption}<thead><tr>{cells(head, 'th')}</tr></thead>{body}</table>"


def explain(tx: Any, params: Any) -> Explanation:
    """Table of learning rate, weight decay and state bytes for each parameter; computes nothing.

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
        The table: a line for each parameter with path, shape, dtype, group, learning rate (at the
        first step, and the schedule), decay, bytes of state and sharding; totals below.
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
    """Puts what a transformation says in the place of what those around it say."""
    if value is None:  # it has none, or was given what another made of it
        return
    for outer in [other for other in found if path[: len(other)] == other]:
        del found[outer]
    found[path] = value


def _one_or_all(found: dict[tuple[str, ...], Any]) -> Any:
    values = list(found.values())
    return values[0] if len(values) == 1 else values or None


def _number(value: Any) -> str:
    """A number, or where it begins and how it moves."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Live):
        return f"{_number(value.arguments['value'])} (live)"
    if callable(value):
        return f"{_number(value(jnp.zeros([], jnp.int32)))}, {value!r}"
    if jnp.ndim(value):
        return f"array {jnp.shape(value)}"
    return f"{float(value):.6g}"
