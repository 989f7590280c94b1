"""The plain run: what wrappers promise, in Python around the optimizer inside of them.

A wrapper that guards, accumulates, averages or selects is played on the host, by its definition and
without its program; the optimizer inside gets the gradients that it should, by a program of its
own. Of wrappers that theory makes no such statement of (8-bit states, rounding at random, those
that change the updates), `plain` returns the wrapper itself as the optimizer, or None.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.core.engine.rule import merged
from gdjax.core.lowbit.rounding import is_narrow
from gdjax.core.rule import tree
from gdjax.params import rules
from tests.histories.optimizers import odd

ROUNDING = ("stochastic_rounding", "compensated", "with_split_weights", "with_master_weights")
SAME = ("offload", "store", *ROUNDING)


@functools.cache
def program(tx: Any) -> Any:
    return jax.jit(tx.step)


class Base:
    """An optimizer, stepped by itself."""

    def __init__(self, tx: Any, params: Any) -> None:
        self.tx, self.state = tx, tx.init(params)

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        """The parameters, and whether this was a step: if some calls are none, whether it moved."""
        before = self.evaluate(params) if self.tx.facts.skips else None
        params, self.state = program(self.tx)(grads, self.state, params)
        return params, before is None or differ(before, self.evaluate(params))

    def evaluate(self, params: Any) -> Any:
        return gd.state.eval_params(self.tx, self.state, params)

    def bases(self) -> list[tuple[tuple[str, ...], Base]]:
        """The optimizers inside, with the labels of the partitions around them."""
        return [((), self)]

    def counts(self) -> list[tuple[tuple[str, ...], str, dict[str, float]]]:
        """What the wrappers have counted, the innermost first: labels, name, and fields."""
        return []


class Same(Base):
    """A wrapper that changes nothing."""

    def __init__(self, inner: Any, tx: Any, params: Any) -> None:
        self.inner, self.name, self.given = inner, tx.name, tx.arguments

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        return self.inner.step(grads, params)

    def evaluate(self, params: Any) -> Any:
        return self.inner.evaluate(params)

    def bases(self) -> Any:
        return self.inner.bases()

    def fields(self) -> dict[str, float]:
        """What its state has counted."""
        return {}

    def counts(self) -> Any:
        return [*self.inner.counts(), ((), self.name, self.fields())]


class Guarded(Same):
    """Gradients with a NaN or an infinity are no step."""

    skipped = 0

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        if finite(grads):
            return super().step(grads, params)
        self.skipped += 1
        return params, False

    def fields(self) -> dict[str, float]:
        return {"total_notfinite" if self.name == "apply_if_finite" else "skipped": self.skipped}


class Scaled(Same):
    """The same, and gradients are divided by a scale that grows and falls."""

    skipped = 0

    def __init__(self, inner: Any, tx: Any, params: Any) -> None:
        super().__init__(inner, tx, params)
        self.scale, self.good = self.given["init_scale"], 0

    def fields(self) -> dict[str, float]:
        return {"scale": self.scale, "growth_tracker": self.good, "skipped": self.skipped}

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        scale, fine = self.scale, finite(grads)
        self.good = self.good + 1 if fine else 0
        if not fine:
            self.skipped += 1
            self.scale = max(scale * self.given["backoff_factor"], self.given["min_scale"])
            return params, False
        if self.good >= self.given["growth_interval"]:
            self.good, self.scale = 0, scale * self.given["growth_factor"]
        return super().step(by_leaf(lambda g: np.asarray(g, np.float32) / scale, grads), params)


class Sometimes(Same):
    """Every second call is a step."""

    calls = 0

    def fields(self) -> dict[str, float]:
        return {"step": self.calls}

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        self.calls += 1
        return super().step(grads, params) if odd(self.calls - 1) else (params, False)


class Accumulated(Same):
    """The mean of k finite gradients is a step."""

    skipped = 0

    def __init__(self, inner: Any, tx: Any, params: Any) -> None:
        super().__init__(inner, tx, params)
        self.every, self.parts, self.steps = self.given["every"], [], 0

    def fields(self) -> dict[str, float]:
        counts = {"mini_step": len(self.parts), "gradient_step": self.steps}
        return {**counts, "skip_state/skipped": self.skipped}

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        if not finite(grads):
            self.skipped += 1
            return params, False
        self.parts = [*self.parts, grads]
        every = self.every
        if callable(every):
            every = float(every(jnp.asarray(self.steps)))
        if len(self.parts) < every:
            return params, False
        mixed = by_leaf(_mean, *self.parts) if len(self.parts) > 1 else grads
        self.parts, self.steps = [], self.steps + 1
        return super().step(mixed, params)


class Averaged(Same):
    """An average of the parameters of all steps, in float64."""

    def __init__(self, inner: Any, tx: Any, params: Any) -> None:
        super().__init__(inner, tx, params)
        self.count = 0
        start = self.given.get("debias") is False or self.given.get("start") == 0
        self.weight = 1.0 if start else 0.0
        self.average = self.numbers(params)

    def fields(self) -> dict[str, float]:
        return {"count": self.count, "weight": self.weight}

    def numbers(self, params: Any) -> list[Any]:
        leaves = jax.tree.leaves(params)
        return [_double(x) for x in leaves if tree.differentiable(x)]

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        params, done = super().step(grads, params)
        if done:
            self.count += 1
            self.take(self.numbers(self.inner.evaluate(params)))
        return params, done

    def take(self, now: list[Any]) -> None:
        if self.name == "with_ema":
            self.weight = self.given["decay"] * self.weight + 1 - self.given["decay"]
            share = (1 - self.given["decay"]) / self.weight
        elif self.name == "with_swa":
            start, every = self.given["start"], self.given["every"]
            if self.count < start or (self.count - start) % every:
                return
            self.weight += 1
            share = 1 / self.weight
        else:
            self.weight += 1
            share = (self.given["eta"] + 1) / (self.weight + self.given["eta"])
        self.average = [a + share * (x - a) for a, x in zip(self.average, now)]

    def evaluate(self, params: Any) -> Any:
        """Only parameters that are trained have an average; others are the same at any time."""
        if not self.weight:
            return self.inner.evaluate(params)
        leaves, treedef = jax.tree.flatten(params)
        rest = iter(self.average)
        return treedef.unflatten([next(rest) if tree.differentiable(x) else x for x in leaves])


AROUND = {
    **dict.fromkeys(("with_ema", "with_swa", "with_polynomial_averaging"), Averaged),
    **dict.fromkeys(("apply_if_finite", "skip_spikes"), Guarded),
    "loss_scale": Scaled,
    "conditionally_mask": Sometimes,
    "accumulate": Accumulated,
}


class Parts(Base):
    """Each part of the parameters by an optimizer of its own; None does not move them."""

    def __init__(self, parts: list[tuple[Any, Any, tuple[str, ...]]]) -> None:
        self.parts = parts

    def step(self, grads: Any, params: Any) -> tuple[Any, bool]:
        done = False
        for flags, inner, _ in self.parts:
            if inner is not None:
                given = rules.only(flags, grads)
                mine, one = inner.step(given, rules.only(flags, params))
                sizes = [np.size(g) for g in jax.tree.leaves(given) if tree.differentiable(g)]
                params, done = merged(mine, params), done | (one and any(sizes))
        return params, done

    def evaluate(self, params: Any) -> Any:
        for flags, inner, _ in self.parts:
            if inner is not None:
                params = merged(inner.evaluate(rules.only(flags, params)), params)
        return params

    def bases(self) -> Any:
        found = [(name, inner.bases()) for _, inner, name in self.parts if inner is not None]
        return [((*name, *path), base) for name, bases in found for path, base in bases]

    def counts(self) -> Any:
        found = [(name, inner.counts()) for _, inner, name in self.parts if inner is not None]
        return [((*name, *path), *rest) for name, counts in found for path, *rest in counts]


def plain(tx: Any, params: Any, inside: Any = None) -> Any:
    """The plain run of a transformation; None where theory does not say what it must be.

    `inside` is the plain run of its inner transformation, which has begun.
    """
    narrow = any(map(is_narrow, jax.tree.leaves(params)))
    inner = lambda: plain(tx.arguments["inner"], params) if inside is None else inside
    if tx.name == "store" and tx.arguments["min_size"] <= 100:
        return Base(tx, params)
    if tx.name in SAME:
        return None if narrow and tx.name in ROUNDING else within(inner(), Same, tx, params)
    if tx.name in AROUND:
        one = within(inner(), AROUND[tx.name], tx, params)
        # A mean of points that stay for some steps: where they are the same by chance, who can say.
        return None if isinstance(one, Averaged) and averages(one.inner) else one
    if tx.name in ("masked", "selective_transform"):
        turned = tx.name == "selective_transform"
        flags = rules.select(params, tx.arguments["freeze_mask" if turned else "mask"])
        flags = jax.tree.map(lambda flag: not flag, flags) if turned else flags
        if flags is False:
            return None
        inner = plain(tx.arguments["inner"], rules.only(flags, params))
        return within([(flags, inner, ())] if inner else None, Parts)
    if tx.name == "partition":
        return _parts(tx, params)
    return Base(tx, params)


def averages(run: Any) -> bool:
    """Whether there is an average inside."""
    if isinstance(run, Parts):
        return any(inner is not None and averages(inner) for _, inner, _ in run.parts)
    if not isinstance(run, Same):
        return run.tx.facts.skips
    return isinstance(run, Averaged) or averages(run.inner)


def within(inner: Any, kind: Any, *more: Any) -> Any:
    return None if inner is None else kind(inner, *more)


def _parts(tx: Any, params: Any) -> Any:
    labels = rules.label(params, tx.arguments["rules"], "partition")
    parts = []
    for name, one in tx.arguments["transformations"].items():
        flags = jax.tree.map(lambda x, name=name: x == name, labels)
        if flags is False:
            return None
        inner = None if one == gd.frozen else plain(one, rules.only(flags, params))
        if inner is None and one != gd.frozen:
            return None
        parts.append((flags, inner, (name,)))
    return Parts(parts)


def by_leaf(function: Any, *trees: Any) -> Any:
    """A function of NumPy on each gradient."""
    one = lambda *gs: function(*gs) if tree.differentiable(gs[0]) else gs[0]
    return jax.tree.map(one, *trees)


def _mean(*gs: Any) -> Any:
    return np.mean([_double(g) for g in gs], 0).astype(np.float32)


def clone(run: Any) -> Any:
    """A copy of a plain run, which goes on by itself."""
    if run is None:
        return None
    run = copy.copy(run)
    if isinstance(run, Same):
        run.inner = clone(run.inner)
    if isinstance(run, Parts):
        run.parts = [(flags, clone(inner), name) for flags, inner, name in run.parts]
    return run


def differ(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b))
    return any(bool(np.any(_double(x) != _double(y))) for x, y in pairs if tree.differentiable(x))


def finite(grads: Any) -> bool:
    leaves = [x for x in jax.tree.leaves(grads) if tree.differentiable(x)]
    return all(bool(np.all(np.isfinite(_double(x)))) for x in leaves)


def _double(x: Any) -> Any:
    return np.asarray(x).astype(np.complex128 if np.iscomplexobj(x) else np.float64)
