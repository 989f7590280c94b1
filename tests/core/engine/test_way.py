"""The way of a gradient from `tx.step` to `leaf`: how many functions and files it crosses."""

import collections
import pathlib
import sys

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from gdjax.core.engine.walk import walk

ROOT = str(pathlib.Path(gd.__file__).parent)
PARAMS = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
SCHEDULE = gd.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)


def file_of(code):
    return code.co_filename.removeprefix(ROOT)


def crossed(tx):
    """The functions of gdjax that the first trace of a step calls, with their numbers of calls."""
    state, calls = tx.init(PARAMS), collections.Counter()
    step = jax.jit(tx.step)

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            calls[file_of(frame.f_code), frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    try:
        step.lower(PARAMS, state, PARAMS)
    finally:
        sys.setprofile(None)
    return calls


def test_a_step_crosses_few_functions():
    """Of optax the same step crosses 32 functions of 12 files in 64 calls."""
    calls = crossed(gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(SCHEDULE)))
    assert len({file for file, _ in calls}) <= 14
    assert sum(calls.values()) <= 300
    # Python 3.12 has no functions for comprehensions; before, they count as any other.
    assert len(calls) <= 60, sorted(calls)


def test_a_rule_is_reached_through_each_file_once():
    files = []

    @gd.transformation
    def looks():
        from gdjax.core.rule import tree

        def leaf(g):
            frame = sys._getframe()
            while frame is not None:
                if frame.f_code.co_filename.startswith(ROOT):
                    files.append(file_of(frame.f_code))
                frame = frame.f_back
            return g

        def update(updates, state, params=None, **extra):
            return tree.map(leaf, updates), state

        return lambda params: gd.EmptyState(), update

    tx = looks()
    jax.jit(tx.update).lower(jnp.ones(3), tx.init(jnp.ones(3)), jnp.ones(3))
    way = [file for i, file in enumerate(files) if i == 0 or file != files[i - 1]]
    assert way == ["/core/rule/leaf.py", "/core/rule/tree.py", "/core/engine/transformation.py"]


@pytest.mark.parametrize("tx", [gd.adamw(SCHEDULE), gd.chain(gd.clip(1.0), gd.sgd(0.1))])
def test_a_body_is_built_once_a_trace(tx):
    calls = crossed(tx)
    made = {(file_of(one.function.__code__), name) for name, one in factories().items()}
    bodies = {name: n for (file, name), n in calls.items() if (file, name) in made}
    names = [visit.tx.name for visit in walk(tx)]
    assert all(bodies[name] == names.count(name) for name in names), bodies


def test_what_jit_rebuilds_is_not_tried_again():
    """A transformation that comes as an argument is built once in the trace, as one outside."""
    tx = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(SCHEDULE))
    state, calls = tx.init(PARAMS), collections.Counter()

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            calls[frame.f_code.co_name] += 1

    step = jax.jit(lambda tx, g, s, p: tx.step(g, s, p))
    sys.setprofile(count)
    try:
        step.lower(tx, PARAMS, state, PARAMS)
    finally:
        sys.setprofile(None)
    assert calls["adamw"] == calls["scale_by_adam"] == 1
