"""Conversion between gdjax and optax: transformations of optax's class, states in both directions.

Only `to_optax` imports optax, when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.compat.optax.stages_of import Stage, joined, keys, rebuild, split
from gdjax.compat.optax.twins import Twin
from gdjax.core.data.hyperparams import is_array, is_known, is_number
from gdjax.core.data.renamed import former
from gdjax.core.data.schedule import Live
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.engine.walk import Visit, walk
from gdjax.core.rule import errors, tree
from gdjax.core.rule.boxes import boxed_as, unboxed

if TYPE_CHECKING:
    import optax  # type: ignore

__all__ = ["from_optax_state", "to_optax", "to_optax_state"]

# What one library keeps and the other makes of what it has, or does not need.
MADE = {"slow", "delta", "skip_state"}
# optax counts the steps of these only where they correct a bias.
MAY_NOT_COUNT = ("ScaleByRms", "ScaleByStdDev", "ScaleByRStdDev")


def to_optax(tx: Any) -> optax.GradientTransformationExtraArgs:
    """Converts a transformation to optax's own class, a plain pair of closures.

    For libraries that test `isinstance` of optax's class, or that refuse a transformation with
    array leaves: numpyro's SVI, gpjax, `nnx.Optimizer`. Also for extra arguments in optax's
    `chain`, which passes them only to its own class.

    Args:
        tx: A transformation of any library.

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
    """Converts a state of optax to the state of a transformation of gdjax, to continue a run.

    Stages are matched in order and fields by name; counts of schedules are found at any place.
    Hyperparameters of optax's `inject_hyperparams` become the live hyperparameters of `tx`.

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
        params: The parameters; those of optax's `lookahead` as `LookaheadParams`. They may be in
            boxes of Flax, and the state returned is then as `tx.init` makes it of them.
        state: The state of optax, in boxes or not.
        count: The number of steps, if the state of optax has no count and `tx` needs one.

    Raises:
        ValueError: The states do not match; the message has the first path.
        TypeError: `tx` is a plain pair, as those of optax, whose state would be the one it has.
    """
    if isinstance(tx, tuple) and not isinstance(tx, GradientTransformation):
        must = "tx must be a transformation of gdjax or of gdjax.compat.optax"
        hint = "Write the same call with gdjax, as gd.adamw(1e-3) for optax.adamw(1e-3)."
        errors.fail("from_optax_state", must, type(tx).__name__, instead=hint, kind=TypeError)
    both = getattr(params, "_fields", ()) == ("fast", "slow")
    boxed = tx.init(params.fast if both else params)
    template = unboxed(boxed)
    moving = [visit for visit in walk(tx, template) if visit.given and visit.moving is not None]
    rules = {id(visit.moving): _schedules(visit) for visit in moving}
    filling = _Filling("from_optax_state", state, count, rules, params)
    return boxed_as(boxed, filling.fill(template))


def to_optax_state(theirs: Any, params: Any, state: Any, *, count: Any = None) -> Any:
    """Converts a state of gdjax to the state of a transformation of optax, to continue a run.

    Args:
        theirs: The transformation of optax, or of `gdjax.compat.optax`, of the same rules in the
            same order.
        params: The parameters.
        state: The state of gdjax.
        count: The number of steps, if the state of gdjax has no count and `theirs` needs one.

    Raises:
        ValueError: The states do not match; the message has the first path.
        TypeError: `theirs` is a transformation of gdjax, whose state is not that of optax.
    """
    if _is_ours(theirs):
        must = "theirs must be a transformation of optax or of gdjax.compat.optax"
        hint = "Write the same call with optax, as optax.adamw(1e-3) for gd.adamw(1e-3)."
        errors.fail("to_optax_state", must, theirs, instead=hint, kind=TypeError)
    boxed = theirs.init(params)
    filling = _Filling("to_optax_state", state, count, {}, params)
    return boxed_as(boxed, filling.fill(unboxed(boxed)))


def _is_ours(tx: Any) -> bool:
    """Whether a transformation is gdjax's own, or a chain of such alone."""
    if not isinstance(tx, GradientTransformation) or isinstance(tx, Twin):
        return False
    if not tx.made_by(chain):
        return True
    parts = (*tx.arguments["transformations"], *tx.arguments["named"].values())
    return bool(parts) and all(map(_is_ours, parts))


def _schedules(visit: Visit) -> dict[str, Any]:
    given = visit.tx.arguments
    return {k: given[k] for k in visit.moving.hyperparams if not isinstance(given[k], Live)}


class _Filling:
    """Fills the state of one library with the values of the state of another."""

    def __init__(
        self, where: str, source: Any, count: Any, rules: dict[int, Any], params: Any
    ) -> None:
        self.where, self.source, self.given, self.rules = where, unboxed(source), count, rules
        self.params = unboxed(params)

    def fill(self, template: Any) -> Any:
        order = tuple(keys(template))
        wanted, clocks = split(template, order)
        found, theirs = split(self.source, order)
        if wanted and not found:
            must = "the state must be one that init made, with its classes"
            hint = "Restore a checkpoint into it: restore(path, optimizer.init(params))."
            errors.fail(self.where, must, type(self.source).__name__, instead=hint)
        for a, b in zip(wanted, found):
            self.judge(a, b)
        if len(wanted) != len(found):
            more = wanted[len(found) :] or found[len(wanted) :]
            must = f"both states must have the same stages; {more[0].path!r} has no counterpart"
            errors.fail(self.where, must, more[0].kind)
        counted = [s for s in (*theirs, *found) if "count" in s.state._fields]
        times = [self.number(s.state.count, joined(s.path, "count")) for s in counted]
        values: dict[str, dict[str, Any]] = {}
        for i, clock in enumerate(clocks):
            partner = theirs[i] if len(theirs) == len(clocks) else None
            values[clock.path] = self.clock(clock, partner, theirs, times)
        for a, b in zip(wanted, found):
            values[a.path] = {name: self.field(a, b, name, times) for name in a.fields}
        return rebuild(template, values)

    def judge(self, a: Stage, b: Stage) -> None:
        ours, theirs = set(a.fields) - MADE - {"count"}, set(b.fields) - MADE - {"count"}
        if ours != theirs:
            must = f"{a.path!r} ({a.kind}: {', '.join(a.fields)}) must have the same fields"
            errors.fail(self.where, must, f"{b.kind}: {', '.join(b.fields)}, at {b.path!r}")
        if ours in ({"trace"}, {"ema"}) and (a.before, a.after) != (b.before, b.after):
            must = f"the momentum at {a.path!r} must be on the same side of the learning rate"
            hint = "It is after the rate in optax's rmsprop and in gdjax.compat.optax.rmsprop."
            errors.fail(self.where, must, f"{b.path!r} in the other", instead=hint)

    def steps(self, at: str, times: list[Any]) -> Any:
        """The one count that all of the other state agrees on."""
        if self.given is not None:
            return self.given
        if not times:
            must = f"{at!r} needs the number of steps, and the other state has no count"
            errors.fail(self.where, must, None, instead="Write count=n.")
        known = [int(t) for t in times if not isinstance(t, jax.core.Tracer)]
        if len(set(known)) > 1:
            must = f"the counts of the other state must agree for {at!r}"
            errors.fail(self.where, must, known, instead="Write count=n.")
        return times[0]

    def clock(self, a: Stage, partner: Stage | None, others: list[Stage], times: list[Any]) -> Any:
        at = joined(a.path, "count")
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
            numbers[name] = self.like(old, value, joined(a.path, f"hyperparams/{name}"))
        for name, old in getattr(a.state, "hyperparams_states", {}).items():
            states = new.setdefault("hyperparams_states", {})
            states[name] = old._replace(count=new["count"]) if old._fields == ("count",) else old
        return new

    def field(self, a: Stage, b: Stage, name: str, times: list[Any]) -> Any:
        old, path = getattr(a.state, name), joined(a.path, name)
        if name in MADE and jax.tree.structure(old) != jax.tree.structure(
            getattr(b.state, name, None)
        ):
            return self.like(old, self.made(old, b.state, name), path)
        if name in b.fields:
            return self.like(old, getattr(b.state, name), path)
        if a.kind.startswith(MAY_NOT_COUNT) and self.given is None and not times:
            return old
        return self.like(old, self.steps(path, times), path)

    def made(self, old: Any, theirs: Any, name: str) -> Any:
        """Values that the other library has in other fields."""
        if name == "skip_state":  # of `accumulate`: without weights each gradient counts once
            return old._replace(weight=theirs.mini_step) if hasattr(old, "weight") else old
        if name == "delta":  # of `mechanize`, whose parameters are x0 + Σs·delta
            total = jnp.sum(theirs.s)
            part = lambda p, x: jnp.where(total > 0, (p - x) / jnp.where(total > 0, total, 1), 0)
            return jax.tree.map(part, self.params, theirs.x0)
        return getattr(self.params, "slow", old)  # of `lookahead`

    def number(self, value: Any, where: str) -> Any:
        """A value of the other state, which must be a number, an array or a random key."""
        texts = is_array(value) and is_known(value) and value.dtype.kind in "OSUMm"
        if texts or not (isinstance(value, bool) or is_array(value) or is_number(value)):
            errors.fail(self.where, f"{where!r} must be a number or an array", value)
        return value

    def like(self, old: Any, new: Any, path: str) -> Any:
        """The leaves of `new` in the structure and the dtypes of `old`, None or not."""
        wanted, found = tree.paths(old), dict(zip(tree.paths(new), jax.tree.leaves(new)))
        out = []
        for at, leaf in zip(wanted, jax.tree.leaves(old)):
            where = joined(path, at).rstrip("/")
            if at not in found and np.shape(leaf) == (1,):
                out.append(leaf)  # optax's placeholder for an accumulator that a leaf does not have
                continue
            if at not in found:
                errors.fail(self.where, f"{where!r} must be in both states", "it in one")
            value = _as_key_or_data(self.number(found.pop(at), where), leaf)
            if np.size(value) == np.size(leaf) == 1:
                value = jnp.reshape(value, np.shape(leaf))
            if np.shape(value) != np.shape(leaf):
                must = f"{where!r} must have the shape {np.shape(leaf)}"
                errors.fail(self.where, must, str(np.shape(value)))
            same = jax.dtypes.issubdtype(jnp.result_type(leaf), jax.dtypes.extended)
            out.append(value if same else jnp.asarray(value).astype(jnp.result_type(leaf)))
        found = {at: value for at, value in found.items() if np.shape(value) != (1,)}
        if found:
            where = joined(path, next(iter(found))).rstrip("/")
            errors.fail(self.where, f"{where!r} must be in both states", "it in one")
        return jax.tree.unflatten(jax.tree.structure(old), out)


def _as_key_or_data(value: Any, like: Any) -> Any:
    """A random key, or its data, as the library keeps it."""
    given, wanted = (
        jax.dtypes.issubdtype(jnp.result_type(x), jax.dtypes.prng_key) for x in (value, like)
    )
    if given == wanted:
        return value
    return jax.random.wrap_key_data(value) if wanted else jax.random.key_data(value)
