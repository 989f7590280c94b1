"""Between gdjax and the installed optax: a transformation of its class, and states both ways.

Only `to_optax` imports optax, when it is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.renamed import former
from gdjax.core.data.schedule import Live
from gdjax.core.engine.walk import Visit, walk
from gdjax.core.rule import errors, tree

if TYPE_CHECKING:
    import optax  # type: ignore

__all__ = ["from_optax_state", "to_optax", "to_optax_state"]

# Fields of states, of either library, that hold the states of other transformations.
INNER = (
    "inner_state",
    "inner_states",
    "inner_opt_state",
    "base_optimizer_state",
    "fast_state",
    "opt_state",
    "adv_state",
)
# States that count steps for a schedule: optax's stand where the number is used, ours around.
CLOCKS = {
    "InjectHyperparamsState",
    "InjectStatefulHyperparamsState",
    "ScaleByScheduleState",
    "WeightDecaySchedule",
}
# States that tell of the last update, and on which nothing depends.
RECORDS = {"ClipByGlobalNormState"}
# Numbers that one library keeps in the state though they stay as they are.
CONSTANTS = {"ns_coeffs"}
# optax counts the steps of these only where they correct a bias.
MAY_NOT_COUNT = ("ScaleByRms", "ScaleByStdDev", "ScaleByRStdDev")


def to_optax(tx: Any) -> optax.GradientTransformationExtraArgs:
    """Makes a transformation of optax's own class, a plain pair of closures.

    For what asks `isinstance` of optax's class, or refuses a transformation that is a tree with
    arrays in it: numpyro's SVI, gpjax, `nnx.Optimizer`; and for extra arguments, which optax's
    `chain` hands to members of its own class alone.

    Args:
        tx: A transformation of any origin.

    Returns:
        `optax.GradientTransformationExtraArgs`, with the states of `tx`.

    Raises:
        ImportError: optax is not installed.
    """
    import optax

    def init(params: Any) -> Any:
        return tx.init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        return tx.update(updates, state, params, **extra_args)

    return optax.GradientTransformationExtraArgs(init, update)


def from_optax_state(tx: Any, params: Any, state: Any, *, count: Any = None) -> Any:
    """Makes the state with which `tx` continues what a transformation of optax has begun.

    Stages are matched in order and fields by name; wherever the count of a schedule stands, it is
    found. Numbers that optax's `inject_hyperparams` holds go to those that are live in `tx`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> from typing import NamedTuple, Any
    >>> from gdjax.compat.optax.convert import from_optax_state
    >>> class TraceState(NamedTuple):  # as optax has it
    ...     trace: Any
    >>> theirs = (TraceState({"w": jnp.ones(1)}), gd.EmptyState())
    >>> from_optax_state(gd.sgd(0.1, momentum=0.9), {"w": jnp.zeros(1)}, theirs)[0]
    TraceState(trace={'w': Array([1.], dtype=float32)})

    Args:
        tx: The transformation of gdjax, of the same rules in the same order.
        params: The parameters.
        state: The state of optax.
        count: Steps taken, where optax keeps no count and `tx` needs one.

    Raises:
        ValueError: Something does not fit; the message names the first path.
    """
    template = tx.init(params)
    moving = [visit for visit in walk(tx, template) if visit.given and visit.moving is not None]
    rules = {id(visit.moving): _schedules(visit) for visit in moving}
    return _Filling("from_optax_state", state, count, rules).fill(template)


def to_optax_state(theirs: Any, params: Any, state: Any, *, count: Any = None) -> Any:
    """Makes the state with which a transformation of optax continues what one of gdjax has begun.

    Args:
        theirs: The transformation of optax, of the same rules in the same order.
        params: The parameters.
        state: The state of gdjax.
        count: Steps taken, where gdjax keeps no count and `theirs` needs one.

    Raises:
        ValueError: Something does not fit; the message names the first path.
    """
    return _Filling("to_optax_state", state, count, {}).fill(theirs.init(params))


def _schedules(visit: Visit) -> dict[str, Any]:
    given = visit.tx.arguments
    return {k: given[k] for k in visit.moving.hyperparams if not isinstance(given[k], Live)}


class Stage(NamedTuple):
    """A state with fields of its own, or that of a schedule."""

    path: str
    state: Any
    before: bool = False  # whether something without fields, as a rate, stands between it and
    after: bool = False  # the stage before it, or after it

    @property
    def kind(self) -> str:
        return type(self.state).__name__

    @property
    def fields(self) -> list[str]:
        return [n for n in self.state._fields if n not in INNER and n not in CONSTANTS]


def _join(path: str, name: Any) -> str:
    return f"{path}/{name}".lstrip("/")


def _stages(node: Any, path: str = "", order: tuple = ()) -> Iterator[Stage | None]:
    """The stages in order, whatever they are nested in; None for one without fields."""
    if isinstance(node, Mapping):
        known = {key: i for i, key in enumerate(order)}
        for key in sorted(node, key=lambda k: known.get(k, len(known))):
            yield from _stages(node[key], _join(path, key), order)
    elif hasattr(node, "_fields"):
        stage = Stage(path, node)
        if stage.fields or not node._fields:
            yield stage if stage.fields else None
        for name in (n for n in node._fields if n in INNER):
            yield from _stages(getattr(node, name), _join(path, name), order)
    elif isinstance(node, (tuple, list)):
        for i, part in enumerate(node):
            yield from _stages(part, _join(path, i), order)


def _keys(node: Any) -> Iterator[Any]:
    """The keys of all dicts of states, in their order."""
    if isinstance(node, Mapping):
        for key, part in node.items():
            yield key
            yield from _keys(part)
    elif hasattr(node, "_fields"):
        for name in (n for n in node._fields if n in INNER):
            yield from _keys(getattr(node, name))
    elif isinstance(node, (tuple, list)):
        for part in node:
            yield from _keys(part)


def _split(node: Any, order: tuple) -> tuple[list[Stage], list[Stage]]:
    """The stages that hold what a rule remembers, and those that count steps for schedules."""
    stages, clocks, gap = [], [], False
    for stage in _stages(node, order=order):
        if stage is not None and stage.kind not in CLOCKS | RECORDS:
            stages.append(stage._replace(before=gap and bool(stages)))
            gap = False
            continue
        if stage is not None and stage.kind in CLOCKS:
            clocks.append(stage)
        if stage is None or not hasattr(stage.state, "inner_state"):
            gap = True
            stages[-1:] = [last._replace(after=True) for last in stages[-1:]]
    return stages, clocks


class _Filling:
    """Fills the state of one library with what the state of another holds."""

    def __init__(self, where: str, source: Any, count: Any, rules: dict[int, Any]) -> None:
        self.where, self.source, self.given, self.rules = where, source, count, rules

    def fill(self, template: Any) -> Any:
        order = tuple(_keys(template))
        wanted, clocks = _split(template, order)
        found, theirs = _split(self.source, order)
        for a, b in zip(wanted, found):
            self.judge(a, b)
        if len(wanted) != len(found):
            more = wanted[len(found) :] or found[len(wanted) :]
            must = f"both states must have the same stages; {more[0].path!r} has no counterpart"
            errors.fail(self.where, must, more[0].kind)
        times = [s.state.count for s in (*theirs, *found) if "count" in s.state._fields]
        values: dict[str, dict[str, Any]] = {}
        for i, clock in enumerate(clocks):
            partner = theirs[i] if len(theirs) == len(clocks) else None
            values[clock.path] = self.clock(clock, partner, theirs, times)
        for a, b in zip(wanted, found):
            values[a.path] = {name: self.field(a, b, name, times) for name in a.fields}
        return _rebuild(template, values)

    def judge(self, a: Stage, b: Stage) -> None:
        ours, theirs = set(a.fields) - {"count"}, set(b.fields) - {"count"}
        if ours != theirs:
            must = f"{a.path!r} ({a.kind}: {', '.join(a.fields)}) must have the same fields"
            errors.fail(self.where, must, f"{b.kind}: {', '.join(b.fields)}, at {b.path!r}")
        if ours in ({"trace"}, {"ema"}) and (a.before, a.after) != (b.before, b.after):
            must = f"the momentum at {a.path!r} must stand on the same side of the learning rate"
            hint = "optax's rmsprop has it after the rate, and so has gdjax.compat.optax.rmsprop."
            errors.fail(self.where, must, f"{b.path!r} in the other", instead=hint)

    def steps(self, at: str, times: list[Any]) -> Any:
        """The one count that all of the other state agrees on."""
        if self.given is not None:
            return self.given
        if not times:
            must = f"{at!r} needs the number of steps, of which the other state has no count"
            errors.fail(self.where, must, None, instead="Write count=n.")
        known = [int(t) for t in times if not isinstance(t, jax.core.Tracer)]
        if len(set(known)) > 1:
            must = f"the counts of the other state must agree for {at!r}"
            errors.fail(self.where, must, known, instead="Write count=n.")
        return times[0]

    def clock(self, a: Stage, partner: Stage | None, others: list[Stage], times: list[Any]) -> Any:
        at = _join(a.path, "count")
        count = self.steps(at, times) if partner is None else partner.state.count
        new = {"count": self.like(a.state.count, count, at)}
        held: dict[str, Any] = {}
        for other in others:
            held.update(getattr(other.state, "hyperparams", {}))
        last = jnp.maximum(jnp.asarray(count) - 1, 0)
        rules = self.rules.get(id(a.state), {})
        for name, old in getattr(a.state, "hyperparams", {}).items():
            theirs = next((n for n in (name, *former(name)) if n in held), None)
            moved = rules[name](last) if theirs is None and name in rules else old
            value = moved if theirs is None else held[theirs]
            numbers = new.setdefault("hyperparams", {})
            numbers[name] = self.like(old, value, _join(a.path, f"hyperparams/{name}"))
        for name, old in getattr(a.state, "hyperparams_states", {}).items():
            states = new.setdefault("hyperparams_states", {})
            states[name] = old._replace(count=new["count"]) if old._fields == ("count",) else old
        return new

    def field(self, a: Stage, b: Stage, name: str, times: list[Any]) -> Any:
        old, path = getattr(a.state, name), _join(a.path, name)
        if name in b.fields:
            return self.like(old, getattr(b.state, name), path)
        if a.kind.startswith(MAY_NOT_COUNT) and self.given is None and not times:
            return old
        return self.like(old, self.steps(path, times), path)

    def like(self, old: Any, new: Any, path: str) -> Any:
        """The leaves of `new` in the structure and the dtypes of `old`, None or not."""
        wanted, found = tree.paths(old), dict(zip(tree.paths(new), jax.tree.leaves(new)))
        out = []
        for at, leaf in zip(wanted, jax.tree.leaves(old)):
            where = _join(path, at).rstrip("/")
            if at not in found and np.shape(leaf) == (1,):
                out.append(leaf)  # optax's placeholder for an accumulator that a leaf does not have
                continue
            if at not in found:
                errors.fail(self.where, f"{where!r} must be in both states", "it in one")
            value = found.pop(at)
            if np.size(value) == np.size(leaf) == 1:
                value = jnp.reshape(value, np.shape(leaf))
            if np.shape(value) != np.shape(leaf):
                must = f"{where!r} must have the shape {np.shape(leaf)}"
                errors.fail(self.where, must, str(np.shape(value)))
            same = jax.dtypes.issubdtype(jnp.result_type(leaf), jax.dtypes.extended)
            out.append(value if same else jnp.asarray(value).astype(jnp.result_type(leaf)))
        found = {at: value for at, value in found.items() if np.shape(value) != (1,)}
        if found:
            where = _join(path, next(iter(found))).rstrip("/")
            errors.fail(self.where, f"{where!r} must be in both states", "it in one")
        return jax.tree.unflatten(jax.tree.structure(old), out)


def _rebuild(node: Any, values: dict[str, dict[str, Any]], path: str = "") -> Any:
    kind: Any = type(node)
    if isinstance(node, Mapping):
        return kind({k: _rebuild(v, values, _join(path, k)) for k, v in node.items()})
    if hasattr(node, "_fields"):
        inner = {
            name: _rebuild(getattr(node, name), values, _join(path, name))
            for name in node._fields
            if name in INNER
        }
        return node._replace(**{**inner, **values.get(path, {})})
    if isinstance(node, (tuple, list)):
        return kind(_rebuild(v, values, _join(path, i)) for i, v in enumerate(node))
    return node
