"""Promises × schedules: one table of calls, each with its closed form in plain Python.

The closed forms and the recordings of torch hold to 1e-12 in float64, at every step of the way and
past its end; optax's schedules of the same names do too, but for the differences told below.
"""

import ast
import functools
import inspect
import json
import math
import pathlib
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import CATALOGUE
from gdjax.schedules.basic import (
    constant_schedule,
    linear_schedule,
    linear_to_zero,
    polynomial_schedule,
)
from gdjax.schedules.cosine import (
    cosine_decay_schedule,
    cosine_restarts_schedule,
    sgdr_schedule,
)
from gdjax.schedules.cycles import (
    cosine_cycle_schedule,
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    triangular_schedule,
)
from gdjax.schedules.decays import exponential_decay, inverse_sqrt_schedule
from gdjax.schedules.join import join_schedules, warmup
from gdjax.schedules.piecewise import piecewise_constant_schedule, piecewise_interpolate_schedule
from gdjax.schedules.scaled import scaled_schedule
from gdjax.schedules.warmup import (
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)

TORCH = np.load(pathlib.Path(__file__).parent / "oracles" / "recorded" / "seminar.npz")


# Closed forms, in Python's float64. ------------------------------------------------------------


def line(t, begin, end, first, last):
    return first + (last - first) * min(max((t - begin) / (end - begin), 0), 1)


def half_cosine(t, begin, end, first, last, p=1.0):
    x = min(max((t - begin) / (end - begin), 0), 1)
    return last + (first - last) * ((1 + math.cos(math.pi * x)) / 2) ** p


def restarts(t, a, length, m, decay, b):
    begin, height = 0, 1.0
    while t >= begin + length:
        begin, length, height = begin + length, length * m, height * decay
    return b + height * (half_cosine(t, begin, begin + length, a, b) - b)


def triangle(t, a, b, up, down, cycle_decay=1.0, step_decay=1.0):
    i, s = divmod(t, up + down)
    w = s / up if s <= up else 1 - (s - up) / down
    return a + (b - a) * cycle_decay**i * step_decay**t * w


def stable(t, fall, peak=0.5, total=50, w=0.1, d=0.2, a=0.1, b=0.01):
    if t < w * total:
        return line(t, 0, w * total, a, peak)
    x = min(max((t - (total - d * total)) / (d * total), 0), 1)
    return b + (peak - b) * fall(x)


class Row(NamedTuple):
    make: Callable[[], Any]
    want: Callable[[float], float]  # of the step
    exact: dict[float, float]  # step → value that float32 must give to the last bit


ROWS = {
    "constant": Row(lambda: constant_schedule(0.3), lambda t: 0.3, {0: 0.3, 100: 0.3}),
    "linear": Row(
        lambda: linear_schedule(0.3, 0.07, 10),
        lambda t: line(t, 0, 10, 0.3, 0.07),
        {0: 0.3, 10: 0.07, 11: 0.07, 1000: 0.07},
    ),
    "linear rising late": Row(
        lambda: linear_schedule(
            init_value=0.1, end_value=0.7, transition_steps=7, transition_begin=6
        ),
        lambda t: line(t, 6, 13, 0.1, 0.7),
        {0: 0.1, 6: 0.1, 13: 0.7, 14: 0.7},
    ),
    "linear not at all": Row(
        lambda: linear_schedule(0.1, 0.7, 0), lambda t: 0.1, {0: 0.1, 1: 0.1, 100: 0.1}
    ),
    "linear_to_zero": Row(
        lambda: linear_to_zero(0.3, 12), lambda t: 0.3 * max(1 - t / 12, 0), {0: 0.3, 12: 0, 13: 0}
    ),
    "polynomial": Row(
        lambda: polynomial_schedule(0.3, 0.07, 2.5, 10, transition_begin=2),
        lambda t: 0.07 + 0.23 * (1 - line(t, 2, 12, 0, 1)) ** 2.5,
        {0: 0.3, 2: 0.3, 12: 0.07, 13: 0.07},
    ),
    "polynomial, a root": Row(
        lambda: polynomial_schedule(0.3, 0.07, 0.5, 10),
        lambda t: 0.07 + 0.23 * math.sqrt(1 - line(t, 0, 10, 0, 1)),
        {0: 0.3, 10: 0.07, 11: 0.07},
    ),
    "exponential": Row(
        lambda: exponential_decay(0.3, 5, 0.7, transition_begin=3),
        lambda t: 0.3 * 0.7 ** (max(t - 3, 0) / 5),
        {0: 0.3, 3: 0.3},
    ),
    "exponential staircase": Row(
        lambda: exponential_decay(0.3, 5, 0.7, 3, True, end_value=0.1),
        lambda t: max(0.3 * 0.7 ** (max(t - 3, 0) // 5), 0.1),
        {0: 0.3, 3: 0.3, 7: 0.3, 100: 0.1},
    ),
    "exponential rising": Row(
        lambda: exponential_decay(0.3, 5, 1.5, end_value=1.1),
        lambda t: min(0.3 * 1.5 ** (t / 5), 1.1),
        {0: 0.3, 100: 1.1},
    ),
    "inverse_sqrt": Row(
        lambda: inverse_sqrt_schedule(0.3, 7),
        lambda t: 0.3 * min(t / 7, math.sqrt(7 / t) if t else 0),
        {0: 0, 7: 0.3, 28: 0.15},
    ),
    "piecewise_constant": Row(
        lambda: piecewise_constant_schedule(0.3, {4: 0.5, 9: 0.1, 11: 3.0}),
        lambda t: 0.3 * (0.5 if t >= 4 else 1) * (0.1 if t >= 9 else 1) * (3 if t >= 11 else 1),
        {0: 0.3, 3: 0.3, 4: 0.15, 8: 0.15, 9: 0.015, 10: 0.015, 11: 0.045},
    ),
    "piecewise_constant at once": Row(
        lambda: piecewise_constant_schedule(init_value=0.3, boundaries_and_scales={0: 0.5}),
        lambda t: 0.15,
        {0: 0.15},
    ),
    "piecewise_constant alone": Row(
        lambda: piecewise_constant_schedule(0.3), lambda t: 0.3, {0: 0.3}
    ),
    "piecewise_interpolate linear": Row(
        lambda: piecewise_interpolate_schedule("linear", 0.3, {4: 0.5, 9: 0.1}),
        lambda t: line(t, 0, 4, 0.3, 0.15) if t < 4 else line(t, 4, 9, 0.15, 0.015),
        {0: 0.3, 4: 0.15, 9: 0.015, 10: 0.015},
    ),
    "piecewise_interpolate cosine": Row(
        lambda: piecewise_interpolate_schedule("cosine", 0.3, {0: 2.0, 4: 0.5, 9: 0.1}),
        lambda t: half_cosine(t, 0, 4, 0.6, 0.3) if t < 4 else half_cosine(t, 4, 9, 0.3, 0.03),
        {0: 0.6, 4: 0.3, 9: 0.03, 10: 0.03},
    ),
    "cosine_decay": Row(
        lambda: cosine_decay_schedule(0.3, 10),
        lambda t: half_cosine(t, 0, 10, 0.3, 0),
        {0: 0.3, 5: 0.15, 10: 0, 11: 0, 1000: 0},
    ),
    "cosine_decay, a power": Row(
        lambda: cosine_decay_schedule(0.3, 11, alpha=0.1, exponent=1.7),
        lambda t: half_cosine(t, 0, 11, 0.3, 0.03, 1.7),
        {0: 0.3, 11: 0.03, 12: 0.03},
    ),
    "cosine_restarts": Row(
        lambda: cosine_restarts_schedule(0.3, 5),
        lambda t: restarts(t, 0.3, 5, 1, 1, 0),
        {0: 0.3, 5: 0.3, 10: 0.3, 500: 0.3},
    ),
    "cosine_restarts growing": Row(
        lambda: cosine_restarts_schedule(0.3, 3, cycle_mult=2, decay=0.5, end_value=0.01),
        lambda t: restarts(t, 0.3, 3, 2, 0.5, 0.01),
        {0: 0.3},
    ),
    "cosine_restarts off the steps": Row(
        lambda: cosine_restarts_schedule(0.3, 4, 1.3, end_value=0.01),
        lambda t: restarts(t, 0.3, 4, 1.3, 1, 0.01),
        {0: 0.3, 4: 0.3},
    ),
    "sgdr": Row(
        lambda: sgdr_schedule(
            [
                {
                    "decay_steps": 6,
                    "end_value": 0.01,
                    "init_value": 0.1,
                    "peak_value": 0.3,
                    "warmup_steps": 2,
                },
                {
                    "decay_steps": 10,
                    "exponent": 2.0,
                    "init_value": 0.2,
                    "peak_value": 0.5,
                    "warmup_steps": 0,
                },
            ]
        ),
        lambda t: (
            (line(t, 0, 2, 0.1, 0.3) if t < 2 else half_cosine(t, 2, 6, 0.3, 0.01))
            if t < 6
            else half_cosine(t, 6, 16, 0.5, 0, 2.0)
        ),
        {0: 0.1, 2: 0.3, 6: 0.5, 16: 0, 17: 0},
    ),
    "triangular": Row(
        lambda: triangular_schedule(0.01, 0.3, 4),
        lambda t: triangle(t, 0.01, 0.3, 4, 4),
        {0: 0.01, 4: 0.3, 8: 0.01, 12: 0.3, 500: 0.3, 1000: 0.01},
    ),
    "triangular uneven, falling": Row(
        lambda: triangular_schedule(0.01, 0.3, 3, 7, cycle_decay=0.5, step_decay=0.95),
        lambda t: triangle(t, 0.01, 0.3, 3, 7, 0.5, 0.95),
        {0: 0.01, 10: 0.01, 20: 0.01},
    ),
    "cosine_cycle": Row(
        lambda: cosine_cycle_schedule(0.3, 0.01, 7),
        lambda t: 0.01 + 0.29 * (1 + math.cos(math.pi * t / 7)) / 2,
        {0: 0.3, 7: 0.01, 14: 0.3, 21: 0.01, 28: 0.3},
    ),
    "linear_onecycle": Row(
        lambda: linear_onecycle_schedule(20, 0.3),
        lambda t: (
            line(t, 0, 6, 0.012, 0.3)
            if t < 6
            else line(t, 6, 17, 0.3, 0.012)
            if t < 17
            else line(t, 17, 20, 0.012, 0.012e-4)
        ),
        {6: 0.3, 17: 0.012, 20: 0.012e-4, 21: 0.012e-4},
    ),
    "cosine_onecycle": Row(
        lambda: cosine_onecycle_schedule(100, 0.3, 0.29, div_factor=4.0, final_div_factor=10.0),
        lambda t: (
            half_cosine(t, 0, 29, 0.075, 0.3) if t < 29 else half_cosine(t, 29, 100, 0.3, 0.0075)
        ),
        {0: 0.075, 29: 0.3, 100: 0.0075, 101: 0.0075},
    ),
    "cosine_onecycle, only the fall": Row(
        lambda: cosine_onecycle_schedule(10, 0.3, pct_start=0.0),
        lambda t: half_cosine(t, 0, 10, 0.3, 0.012e-4),
        {0: 0.3, 10: 0.012e-4, 11: 0.012e-4},
    ),
    "join": Row(
        lambda: join_schedules(
            [
                linear_schedule(0.0, 0.3, 4),
                constant_schedule(0.2),
                0.1,
                cosine_decay_schedule(0.3, 5),
            ],
            [4, 6, 9],
        ),
        lambda t: (
            line(t, 0, 4, 0, 0.3)
            if t < 4
            else 0.2
            if t < 6
            else 0.1
            if t < 9
            else half_cosine(t, 9, 14, 0.3, 0)
        ),
        {0: 0.0, 4: 0.2, 5: 0.2, 6: 0.1, 8: 0.1, 9: 0.3, 14: 0.0, 15: 0.0},
    ),
    "join of one": Row(lambda: join_schedules((0.3,), ()), lambda t: 0.3, {0: 0.3}),
    "scaled": Row(
        lambda: scaled_schedule(linear_schedule(0.1, 0.3, 4), 0.5),
        lambda t: 0.5 * line(t, 0, 4, 0.1, 0.3),
        {0: 0.05, 4: 0.15, 5: 0.15},
    ),
    "warmup": Row(
        lambda: warmup(cosine_decay_schedule(0.3, 10), 5, init_value=0.01),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else half_cosine(t, 5, 15, 0.3, 0),
        {0: 0.01, 5: 0.3, 15: 0, 16: 0},
    ),
    "warmup of no steps": Row(
        lambda: warmup(schedule=0.3, steps=0), lambda t: 0.3, {0: 0.3, 1: 0.3, 20: 0.3}
    ),
    "warmup_constant": Row(
        lambda: warmup_constant_schedule(0.01, 0.3, 5),
        lambda t: line(t, 0, 5, 0.01, 0.3),
        {0: 0.01, 5: 0.3, 6: 0.3},
    ),
    "warmup_constant of no steps": Row(
        lambda: warmup_constant_schedule(0.01, 0.3, 0), lambda t: 0.3, {0: 0.3, 1: 0.3}
    ),
    "warmup_cosine_decay": Row(
        lambda: warmup_cosine_decay_schedule(0.01, 0.3, 5, 15, 0.02, exponent=1.5),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else half_cosine(t, 5, 15, 0.3, 0.02, 1.5),
        {0: 0.01, 5: 0.3, 15: 0.02, 16: 0.02},
    ),
    "warmup_cosine_decay of no steps": Row(
        lambda: warmup_cosine_decay_schedule(0.01, 0.3, 0, 15),
        lambda t: half_cosine(t, 0, 15, 0.3, 0),
        {0: 0.3, 15: 0, 16: 0},
    ),
    "warmup_exponential_decay": Row(
        lambda: warmup_exponential_decay_schedule(0.01, 0.3, 5, 2, 0.7, 1, end_value=0.1),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else max(0.3 * 0.7 ** (max(t - 6, 0) / 2), 0.1),
        {0: 0.01, 5: 0.3, 6: 0.3, 50: 0.1},
    ),
    "warmup_exponential_decay staircase": Row(
        lambda: warmup_exponential_decay_schedule(0.01, 0.3, 5, 2, 0.7, staircase=True),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else 0.3 * 0.7 ** ((t - 5) // 2),
        {0: 0.01, 5: 0.3, 6: 0.3},
    ),
    "warmup_stable_decay": Row(
        lambda: warmup_stable_decay_schedule(0.5, 50, 0.1, 0.2, init_value=0.1, end_value=0.01),
        lambda t: stable(t, lambda x: 1 - x),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay, one minus root": Row(
        lambda: warmup_stable_decay_schedule(
            0.5, 50, 0.1, 0.2, shape="sqrt", init_value=0.1, end_value=0.01
        ),
        lambda t: stable(t, lambda x: 1 - math.sqrt(x)),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay, cosine": Row(
        lambda: warmup_stable_decay_schedule(0.5, 50, 0.1, 0.2, "cosine", 0.1, 0.01),
        lambda t: stable(t, lambda x: (1 + math.cos(math.pi * x)) / 2),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay of the defaults": Row(
        lambda: warmup_stable_decay_schedule(0.5, 100),
        lambda t: stable(t, lambda x: 1 - x, 0.5, 100, 0.02, 0.2, 0.0, 0.0),
        {0: 0, 2: 0.5, 80: 0.5, 100: 0, 101: 0},
    ),
    "warmup_stable_decay, only stable": Row(
        lambda: warmup_stable_decay_schedule(0.5, 10, warmup=0.0, decay=0.0),
        lambda t: 0.5,
        {0: 0.5, 9: 0.5, 10: 0.5, 11: 0.5},
    ),
}

rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
NAMESPACE = {name: made.call for name, made in CATALOGUE.items()}


# One array of steps for all tests: what runs eagerly is compiled for one shape.
STEPS = np.append(np.arange(115), [200, 256, 499, 500, 1000])


def doubled(s: Any) -> Any:
    """The same schedule with other numbers of the same types, each in its range."""
    return jax.tree.map(lambda x: x * 2 if isinstance(x, int) else x * 0.8, s)


def test_every_schedule_has_a_row():
    ours = {n for n, made in CATALOGUE.items() if made.module.startswith("gdjax.schedules.")}
    assert {row.make().name for row in ROWS.values()} == ours
    assert len(ours) == 22


# What it is: data. -----------------------------------------------------------------------------


@rows
def test_prints_as_its_call(row):
    s = row.make()
    again = eval(repr(s), dict(NAMESPACE))
    assert again == s and repr(again) == repr(s)


@rows
def test_goes_through_json_and_pickle(row):
    s = row.make()
    assert gd.build(json.loads(json.dumps(gd.spec(s)))) == s
    assert pickle.loads(pickle.dumps(s)) == s
    assert hash(pickle.loads(pickle.dumps(s))) == hash(s)
    assert s == row.make() and s != constant_schedule(17.0)


@rows
def test_every_number_of_the_call_is_a_leaf(row):
    s = row.make()
    tree = ast.parse(repr(s))
    keys = {id(k) for d in ast.walk(tree) if isinstance(d, ast.Dict) for k in d.keys}
    typed = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and type(node.value) in (int, float)
        and id(node) not in keys
    ]
    leaves, treedef = jax.tree.flatten(s)
    assert sorted(leaves) == sorted(typed)
    assert jax.tree.unflatten(treedef, leaves) == s
    jax.tree.unflatten(treedef, [object()] * len(leaves))


# What it gives. --------------------------------------------------------------------------------


@rows
def test_closed_form(row, x64):
    s = row.make()
    value = s(STEPS)
    assert value.dtype == jnp.float64 and value.shape == STEPS.shape
    np.testing.assert_allclose(value, [row.want(float(t)) for t in STEPS], rtol=1e-12, atol=1e-15)
    between = STEPS + 0.37  # a step may be a fraction
    want = [row.want(float(t)) for t in between]
    np.testing.assert_allclose(s(between), want, rtol=1e-12, atol=1e-15)


@rows
def test_float32_is_close(row):
    want = [row.want(float(t)) for t in STEPS]
    np.testing.assert_allclose(row.make()(STEPS), want, rtol=5e-6, atol=5e-8)


@rows
def test_shapes_and_dtypes(row):
    s = row.make()
    for shape in ((), (0, 3)):
        value = jax.eval_shape(s, jax.ShapeDtypeStruct(shape, jnp.int32))
        assert value.shape == shape and value.dtype == jnp.float32 and not value.weak_type
    one_by_one = jax.jit(jax.vmap(s))(STEPS)  # a scalar step each time
    np.testing.assert_allclose(one_by_one, s(STEPS), rtol=1e-6, atol=1e-8)


# What JAX does with it. ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled():
    """All rows at all steps: with the numbers as constants, as inputs, and as other inputs."""
    schedules = {name: row.make() for name, row in ROWS.items()}
    traces = []

    @jax.jit
    def run(schedules, steps):
        traces.append(steps)
        return {name: s(steps) for name, s in schedules.items()}

    constants = jax.jit(lambda steps: {name: s(steps) for name, s in schedules.items()})
    inputs = run(schedules, STEPS)
    others = run({name: doubled(s) for name, s in schedules.items()}, STEPS)
    return constants(STEPS), inputs, others, len(traces)


@pytest.mark.parametrize("name", ROWS)
def test_to_the_last_bit_at_the_boundaries(name, compiled):
    """Eagerly too; compilers make a · (1/b) of a / b where b is a constant."""
    row = ROWS[name]
    s, constants, inputs = row.make(), *compiled[:2]
    given = [0.0, *map(float, jax.tree.leaves(s))]
    for step, want in row.exact.items():
        i = list(STEPS).index(step)
        assert s(STEPS)[i] == constants[name][i] == np.float32(want), step
        # As inputs all numbers are float32: what is a product of them may be off by a rounding.
        if want in given:
            assert inputs[name][i] == np.float32(want), step
        np.testing.assert_allclose(inputs[name][i], want, rtol=3e-7)


@pytest.mark.parametrize("name", ROWS)
def test_changed_numbers_do_not_retrace(name, compiled):
    _, inputs, others, traces = compiled
    s = ROWS[name].make()
    assert traces == 1
    np.testing.assert_allclose(inputs[name], s(STEPS), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(others[name], doubled(s)(STEPS), rtol=2e-4, atol=1e-6)


@rows
def test_vmap_is_the_loop(row, x64):
    s = row.make()
    swept = jax.tree.map(lambda a, b: jnp.array([a, b]), s, doubled(s))  # lengths are integers
    values = jax.jit(jax.vmap(lambda s: s(STEPS)))(swept)
    np.testing.assert_allclose(values[0], s(STEPS), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(values[1], doubled(s)(STEPS), rtol=1e-12, atol=1e-15)


WEIGHTS = np.random.default_rng(0).uniform(1, 2, STEPS.shape)


def weighted(treedef, steps):
    """Backwards through `where`, what is infinite in the branch not taken would come out NaN."""
    return lambda leaves, steps=steps: (treedef.unflatten(leaves)(steps) * WEIGHTS).sum()


@rows
def test_derivatives_are_finite_at_every_step(row, x64):
    leaves, treedef = jax.tree.flatten(row.make())
    total = weighted(treedef, jnp.asarray(STEPS).astype(float))
    by = jax.grad(total)([float(leaf) for leaf in leaves])
    assert np.isfinite(by).all()
    by_step = jax.grad(lambda steps: total(leaves, steps))(jnp.asarray(STEPS).astype(float))
    assert np.isfinite(by_step).all()


@rows
def test_derivatives_are_right_between_the_steps(row, x64):
    """Against differences; one-sided ones where a number is at the edge of its range."""
    leaves, treedef = jax.tree.flatten(row.make())
    total, h = weighted(treedef, jnp.asarray(STEPS + 0.37)), 1e-6
    slopes = jax.grad(total)([float(leaf) for leaf in leaves])
    for i, (leaf, slope) in enumerate(zip(leaves, slopes)):
        value = lambda x, i=i: total([*leaves[:i], x, *leaves[i + 1 :]])
        if leaf == 0:
            sides = ((value(s * h) - value(0.0)) / (s * h) for s in (1, -1))
        else:
            sides = [(value(leaf + h) - value(leaf - h)) / (2 * h)]
        assert any(np.isclose(slope, side, rtol=1e-5, atol=1e-4) for side in sides)


# References. -----------------------------------------------------------------------------------

TORCHES = {
    "linear": lambda: linear_schedule(0.025, 0.1, 40),
    "polynomial": lambda: polynomial_schedule(0.1, 0.0, 2.0, 50),
    "exponential": lambda: exponential_decay(0.1, 1, 0.95),
    "multistep": lambda: piecewise_constant_schedule(0.1, {10: 0.3, 25: 0.3, 45: 0.3}),
    "cosine": lambda: cosine_decay_schedule(0.1, 60, alpha=0.01),
    "cosine_past_the_end": lambda: cosine_cycle_schedule(0.1, 0.001, 40),
    "cosine_warm_restarts": lambda: cosine_restarts_schedule(0.1, 10, 2, end_value=0.001),
    "cyclic_triangular": lambda: triangular_schedule(0.001, 0.1, 8),
    "cyclic_triangular2": lambda: triangular_schedule(0.001, 0.1, 8, cycle_decay=0.5),
    "cyclic_exp_range": lambda: triangular_schedule(0.001, 0.1, 8, step_decay=0.95),
    "cyclic_uneven": lambda: triangular_schedule(0.001, 0.1, 8, 12),
    # torch's total_steps = 61: the last rate at step 60, the peak at 0.3 · 61 − 1 = 17.3, and of
    # three phases the second ends at 2 · 0.3 · 61 − 2 = 34.6.
    "one_cycle_cos": lambda: cosine_onecycle_schedule(60, 0.1, 17.3 / 60),
    "one_cycle_cos_three_phase": lambda: join_schedules(
        [
            cosine_onecycle_schedule(34.6, 0.1, 0.5, final_div_factor=1.0),
            cosine_decay_schedule(0.004, 25.4, alpha=1e-4),
        ],
        [34.6],
    ),
    "one_cycle_linear": lambda: warmup(linear_schedule(0.1, 4e-7, 42.7), 17.3, 0.004),
    "one_cycle_linear_three_phase": lambda: linear_onecycle_schedule(60, 0.1, 17.3 / 60, 34.6 / 60),
}


def test_every_recording_of_torch_is_compared():
    assert {k.removeprefix("lr/") for k in TORCH.files if k.startswith("lr/")} == set(TORCHES)


@pytest.mark.parametrize("case", TORCHES)
def test_torch(case, x64):
    got = TORCHES[case]()(jnp.arange(61))
    np.testing.assert_allclose(got, TORCH["lr/" + case], rtol=1e-11, atol=1e-15)


# name: calls that mean the same in both.
OPTAX = {
    "constant_schedule": [((0.3,), {})],
    "linear_schedule": [((0.3, 0.07, 10), {}), ((0.3, 0.7, 10, 3), {}), ((0.3, 0.07, 0), {})],
    "polynomial_schedule": [((0.3, 0.07, 2, 10, 3), {}), ((0.3, 0.07, 0.5, 10), {})],
    "exponential_decay": [
        ((0.3, 5, 0.7), {}),
        ((0.3, 5, 0.7, 3, True, 0.1), {}),
        ((0.3, 5, 1.7, 3), {"end_value": 1.0}),
    ],
    "piecewise_constant_schedule": [((0.3, {4: 0.5, 9: 0.1}), {}), ((0.3,), {})],
    "piecewise_interpolate_schedule": [
        (("linear", 0.3, {4: 0.5, 9: 0.1}), {}),
        (("cosine", 0.3, {0: 2.0, 9: 0.1, 4: 0.5}), {}),
        (("cosine", 0.3), {}),
    ],
    "cosine_decay_schedule": [((0.3, 10), {}), ((0.3, 10, 0.1, 1.7), {})],
    "sgdr_schedule": [
        (
            (
                [
                    {"init_value": 0.1, "peak_value": 0.3, "warmup_steps": 2, "decay_steps": 6},
                    {"init_value": 0.0, "peak_value": 0.2, "warmup_steps": 1, "decay_steps": 9}
                    | {"end_value": 0.01, "exponent": 2.0},
                ],
            ),
            {},
        )
    ],
    "cosine_onecycle_schedule": [((20, 0.3), {}), ((100, 0.3, 0.25, 10.0, 100.0), {})],
    "linear_onecycle_schedule": [((20, 0.3), {}), ((100, 0.3, 0.25, 0.5, 10.0, 100.0), {})],
    "warmup_constant_schedule": [((0.01, 0.3, 5), {})],
    "warmup_cosine_decay_schedule": [
        ((0.01, 0.3, 5, 15), {}),
        ((0.01, 0.3, 0, 15), {"end_value": 0.02, "exponent": 1.7}),
    ],
    "warmup_exponential_decay_schedule": [
        ((0.01, 0.3, 5, 4, 0.7), {}),
        ((0.01, 0.3, 5, 4, 0.7, 3, True, 0.1), {}),
        ((0.01, 0.3, 0, 4, 0.7), {}),
    ],
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax(name, x64):
    import optax

    ours, theirs = CATALOGUE[name].call, getattr(optax, name)
    names = list(inspect.signature(theirs).parameters.values())
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
        (p.name, p.default) for p in names
    ]
    for args, kwargs in OPTAX[name]:
        got = ours(*args, **kwargs)(jnp.arange(120))
        with jax.numpy_dtype_promotion("standard"):
            reference = theirs(*args, **kwargs)
            want = jax.vmap(reference)(jnp.arange(120))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_optax_join(x64):
    import optax

    parts = lambda lib: [lib[0](0.0, 0.3, 4), lib[1](0.2), lib[2](0.3, 5)]
    ours = join_schedules(
        parts([linear_schedule, constant_schedule, cosine_decay_schedule]), [4, 9]
    )
    theirs = parts([optax.linear_schedule, optax.constant_schedule, optax.cosine_decay_schedule])
    with jax.numpy_dtype_promotion("standard"):
        reference = optax.join_schedules(theirs, [4, 9])
        want = jax.vmap(reference)(jnp.arange(20))
    np.testing.assert_allclose(ours(jnp.arange(20)), want, rtol=1e-12, atol=1e-15)


def test_where_optax_differs_on_purpose():
    import optax

    # A warm-up of no steps is none; optax keeps the first value for ever.
    assert (
        warmup_constant_schedule(0.0, 1.0, 0)(5) == 1
        and optax.warmup_constant_schedule(0.0, 1.0, 0)(5) == 0
    )
    # The peak of one cycle is where it was asked for: optax rounds 18.3 down to 18.
    ours, theirs = cosine_onecycle_schedule(61, 1.0), optax.cosine_onecycle_schedule(61, 1.0)
    with jax.numpy_dtype_promotion("standard"):
        assert theirs(18) == 1 and ours(18.3) == 1 and ours(18) < 1
    # A decay that takes no steps is a mistake; optax then does not decay at all.
    assert optax.exponential_decay(1.0, 0, 0.5)(9) == 1
    with pytest.raises(ValueError, match="transition_steps must lie in"):
        exponential_decay(1.0, 0, 0.5)


# Precision, compiled with lengths as constants. -------------------------------------------------

LENGTHS = [*range(1, 12), 41, 47, 49, 55, 61, 83, 97, 107, 127, 1000, 4095, 99_991]


@functools.partial(jax.jit, static_argnums=0)
def _all_of(what, offset):
    return jnp.stack([what(n)(n * jnp.array([1, 3, 7]) + offset) for n in LENGTHS])


@pytest.mark.parametrize(
    "make, want",
    [
        (lambda n: linear_schedule(0.3, 0.1, n), 0.1),
        (lambda n: cosine_decay_schedule(0.3, n), 0.0),
        (lambda n: cosine_cycle_schedule(0.3, 0.1, n), 0.1),
        (lambda n: triangular_schedule(0.1, 0.3, n), 0.3),
        (lambda n: triangular_schedule(0.1, 0.3, n, n + 1), None),
    ],
)
def test_ends_are_exact_for_every_length(make, want):
    got = _all_of(make, 0)
    if want is not None:
        np.testing.assert_array_equal(got, np.float32(want))
    assert np.isfinite(got).all()


def test_staircases_have_their_steps_where_they_should():
    at = _all_of(lambda n: exponential_decay(1.0, n, 0.5, staircase=True), 0)
    before = _all_of(lambda n: exponential_decay(1.0, n, 0.5, staircase=True), -1)
    np.testing.assert_allclose(at, np.tile([0.5, 0.125, 0.5**7], (len(LENGTHS), 1)), rtol=1e-6)
    np.testing.assert_allclose(before, np.tile([1, 0.25, 0.5**6], (len(LENGTHS), 1)), rtol=1e-6)


@pytest.mark.parametrize("mult", [1, 1.5, 2, 3])
@pytest.mark.parametrize("first", [1, 3, 7, 10, 49, 100])
def test_restarts_are_where_they_should_be(first, mult):
    """At the first whole step of each cycle a new one has begun, at the step before it has not."""
    begins = [first * (mult**i - 1) / (mult - 1) if mult > 1 else first * i for i in range(1, 9)]
    steps = np.ceil(np.array(begins))
    steps = np.array([*steps, *(steps - 1)])
    s = cosine_restarts_schedule(1.0, first, mult)
    want = [restarts(t, 1.0, first, mult, 1.0, 0.0) for t in steps]
    np.testing.assert_allclose(s(steps), want, rtol=1e-3, atol=1e-5)
    if first in (10, 49):
        np.testing.assert_allclose(jax.jit(s)(steps), want, rtol=1e-3, atol=1e-5)


def test_digits_near_the_end():
    """(1 + cos πx)/2 in float32 has none left here."""
    left = np.array([1, 3, 10, 100])
    got = cosine_decay_schedule(1.0, 100_000)(100_000 - left)
    np.testing.assert_allclose(got, np.sin(np.pi / 2 * left / 1e5) ** 2, rtol=1e-6)


def test_digits_of_a_decay_of_many_small_factors():
    np.testing.assert_allclose(exponential_decay(1.0, 1, 0.999)(30_000), 0.999**30_000, rtol=3e-6)


# Nesting. --------------------------------------------------------------------------------------


def test_join_asks_each_schedule_only_about_its_own_stretch():
    root = lambda step: jnp.sqrt(1 - step / 4)  # NaN after step 4
    inverse = lambda step: 1 / jnp.sqrt(2 + step)  # NaN before step −2
    steps = jnp.arange(-2, 30)
    value = lambda b: join_schedules([root, inverse], [b])(steps)
    assert np.isfinite(value(3.0)).all() and np.isfinite(jax.jacrev(value)(3.0)).all()


def test_functions_of_the_step_stand_where_schedules_do():
    steps = jnp.arange(6)
    np.testing.assert_allclose(warmup(lambda step: 0.5, 2)(steps), [0, 0.25, 0.5, 0.5, 0.5, 0.5])
    counted = warmup(lambda step: jnp.where(step < 2, 1, 2), 2)  # integers, which are widened
    np.testing.assert_allclose(counted(steps), [0, 0.5, 1, 1, 2, 2])


def test_warmup_in_front_of_each():
    for row in ROWS.values():
        inner = row.make()
        s = warmup(inner, 4, 0.0)
        np.testing.assert_allclose(s(STEPS + 4), inner(STEPS), rtol=1e-6)
        first = np.minimum(STEPS, 4)
        np.testing.assert_allclose(s(first), float(inner(0 * STEPS)[0]) * (first / 4), rtol=1e-6)


def test_it_drives_an_optimizer():
    tx = gd.sgd(warmup_stable_decay_schedule(1.0, 10, warmup=0.2, decay=0.4))
    state = tx.init(jnp.zeros([]))
    rates = []
    for _ in range(10):
        u, state = tx.update(jnp.ones([]), state)
        rates.append(-float(u))
    np.testing.assert_allclose(rates, [0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


# Mistakes. -------------------------------------------------------------------------------------

BAD = [
    (
        "linear_schedule(1.0, 0.0, -1)",
        ValueError,
        r"linear_schedule: transition_steps must lie in \[0, inf\], got -1\.",
    ),
    ("linear_schedule(1.0, 0.0, 9, -1)", ValueError, "transition_begin must lie in"),
    ('linear_schedule("1", 0.0, 9)', TypeError, "init_value must be a number"),
    ("linear_schedule(0.1, linear_to_zero(1.0, 2), 9)", TypeError, "end_value must be a number"),
    ("linear_to_zero(1.0, 0)", ValueError, r"total_steps must lie in \(0, inf\]"),
    ("polynomial_schedule(1.0, 0.0, 0, 9)", ValueError, "power must lie in"),
    ("exponential_decay(1.0, 5, 0.0)", ValueError, "decay_rate must lie in"),
    ("inverse_sqrt_schedule(1.0, 0)", ValueError, "warmup_steps must lie in"),
    (
        "piecewise_constant_schedule(1.0, {5: -0.1})",
        ValueError,
        "boundaries_and_scales must lie in",
    ),
    (
        "piecewise_constant_schedule(1.0, {-5: 0.1})",
        ValueError,
        "a step of boundaries_and_scales must be a number ≥ 0, got -5",
    ),
    ('piecewise_constant_schedule(1.0, {"5": 0.1})', ValueError, "a step of boundaries_and_scales"),
    (
        'piecewise_interpolate_schedule("cosin", 1.0)',
        ValueError,
        "got 'cosin'|got cosin. Did you mean cosine",
    ),
    ("cosine_decay_schedule(1.0, 0)", ValueError, "decay_steps must lie in"),
    ("cosine_decay_schedule(1.0, 5, exponent=0)", ValueError, "exponent must lie in"),
    ("cosine_decay_schedule(1.0, 5, alfa=0)", TypeError, "Did you mean alpha"),
    ("cosine_restarts_schedule(1.0, 5, 0.5)", ValueError, r"cycle_mult must lie in \[1, inf\]"),
    ("cosine_restarts_schedule(1.0, 5, decay=1.5)", ValueError, r"decay must lie in \(0, 1\]"),
    ("sgdr_schedule([])", TypeError, "cosine_kwargs must be a list of dicts"),
    (
        'sgdr_schedule([{"init_value": 0.0, "peak_value": 1.0, "warmup": 1, "decay_steps": 2}])',
        TypeError,
        "Did you mean warmup_steps",
    ),
    ("triangular_schedule(0.0, 1.0, 0)", ValueError, "up_steps must lie in"),
    ("triangular_schedule(0.0, 1.0, 2, 0)", ValueError, "down_steps must lie in"),
    ("triangular_schedule(0.0, 1.0, 2, cycle_decay=0.0)", ValueError, "cycle_decay must lie in"),
    ("cosine_cycle_schedule(0.0, 1.0, 0)", ValueError, "half_cycle_steps must lie in"),
    (
        "cosine_onecycle_schedule(10, 1.0, 30)",
        ValueError,
        r"pct_start must lie in \[0, 1\], got 30",
    ),
    (
        "linear_onecycle_schedule(10, 1.0, 0.5, 0.4)",
        ValueError,
        "pct_final must be at least pct_start = 0.5, got 0.4",
    ),
    ("linear_onecycle_schedule(10, 1.0, div_factor=0)", ValueError, "div_factor must lie in"),
    (
        "join_schedules([0.1, 0.2], [])",
        ValueError,
        r"boundaries must be one fewer than the 2 schedules, got \[\]",
    ),
    (
        "join_schedules([0.1, 0.2, 0.3], [5, 4])",
        ValueError,
        r"boundaries must ascend, got \[5, 4\]",
    ),
    ("join_schedules([0.1, 0.2], [-1])", ValueError, "boundaries must lie in"),
    ("join_schedules([], [])", TypeError, "schedules must be a list of at least one"),
    ("join_schedules([0.1, live(0.2)], [3])", TypeError, "each of schedules must be a schedule"),
    ('join_schedules([0.1, "x"], [3])', TypeError, "schedules must be"),
    ("warmup(live(0.2), 3)", TypeError, "schedule must be a schedule"),
    ("scaled_schedule(live(0.2), 3)", TypeError, "schedule must be a schedule"),
    ("warmup(0.1, -3)", ValueError, "steps must lie in"),
    ("warmup_constant_schedule(0.0, 1.0, -3)", ValueError, "warmup_steps must lie in"),
    (
        "warmup_cosine_decay_schedule(0.0, 1.0, 10, 10)",
        ValueError,
        "decay_steps, which counts the warm-up too, must be more than 10, got 10",
    ),
    (
        "warmup_exponential_decay_schedule(0.0, 1.0, 10, 0, 0.5)",
        ValueError,
        "transition_steps must lie in",
    ),
    (
        "warmup_stable_decay_schedule(1.0, 10, 0.6, 0.5)",
        ValueError,
        r"must sum to at most 1, got 0.6 \+ 0.5",
    ),
    ("warmup_stable_decay_schedule(1.0, 10, 2)", ValueError, r"warmup must lie in \[0, 1\], got 2"),
    (
        'warmup_stable_decay_schedule(1.0, 10, shape="root")',
        ValueError,
        "shape must be one of linear, sqrt, cosine",
    ),
]


@pytest.mark.parametrize("call, kind, message", BAD, ids=[call for call, *_ in BAD])
def test_mistakes_are_told_when_making(call, kind, message):
    with pytest.raises(kind, match=message):
        eval(call, dict(NAMESPACE))


def test_traced_numbers_are_not_judged():
    s = jax.jit(lambda n, d: warmup_stable_decay_schedule(1.0, n, d, d)(0))
    assert np.isfinite(s(-1, 0.9))
    jax.jit(lambda a, b: join_schedules([0.1, 0.2, 0.3], [a, b])(0))(5, 4)
    jax.jit(lambda a, b: warmup_cosine_decay_schedule(0.0, 1.0, a, b)(0))(5, 4)


# Bounds. ---------------------------------------------------------------------------------------

values = st.just(0.0) | st.floats(1e-6, 1.0)
lengths = st.integers(1, 200)
counts = st.integers(0, 200)
powers = st.floats(0.1, 5.0)
fractions = st.floats(0.0, 1.0, allow_subnormal=False)
shrinks = st.floats(0.01, 1.0)
scales = st.dictionaries(counts, shrinks, max_size=3)
pair = st.tuples(fractions, fractions).map(sorted)

# What is drawn, and the call with the values between which it must stay.
BOUNDED = {
    "constant": (st.tuples(values), lambda a: (constant_schedule(a), a)),
    "linear": (
        st.tuples(values, values, counts, counts),
        lambda a, b, n, m: (linear_schedule(a, b, n, m), a, b),
    ),
    "linear_to_zero": (st.tuples(values, lengths), lambda a, n: (linear_to_zero(a, n), a, 0)),
    "polynomial": (
        st.tuples(values, values, powers, counts, counts),
        lambda a, b, p, n, m: (polynomial_schedule(a, b, p, n, m), a, b),
    ),
    "exponential": (
        st.tuples(values, lengths, shrinks, counts, st.booleans()),
        lambda a, n, r, m, flag: (exponential_decay(a, n, r, m, flag, a / 2), a, a / 2),
    ),
    "inverse_sqrt": (st.tuples(values, lengths), lambda a, n: (inverse_sqrt_schedule(a, n), a, 0)),
    "piecewise_constant": (
        st.tuples(values, scales),
        lambda a, s: (piecewise_constant_schedule(a, s), a, a * math.prod(s.values())),
    ),
    "piecewise_interpolate": (
        st.tuples(st.sampled_from(["linear", "cosine"]), values, scales),
        lambda how, a, s: (piecewise_interpolate_schedule(how, a, s), a, a * math.prod(s.values())),
    ),
    "cosine_decay": (
        st.tuples(values, lengths, fractions, powers),
        lambda a, n, alpha, p: (cosine_decay_schedule(a, n, alpha, p), a, alpha * a),
    ),
    "cosine_restarts": (
        st.tuples(values, lengths, st.floats(1, 3), shrinks, values),
        lambda a, n, m, r, b: (cosine_restarts_schedule(a, n, m, r, b), a, b),
    ),
    "sgdr": (
        st.tuples(values, values, values, counts, lengths),
        lambda a, b, c, w, n: (
            sgdr_schedule(
                [
                    {
                        "init_value": a,
                        "peak_value": b,
                        "warmup_steps": w,
                        "decay_steps": w + n,
                        "end_value": c,
                    }
                ]
                * 2
            ),
            a,
            b,
            c,
        ),
    ),
    "triangular": (
        st.tuples(values, values, lengths, lengths, shrinks, shrinks),
        lambda a, b, n, m, r, q: (triangular_schedule(a, b, n, m, r, q), a, b),
    ),
    "cosine_cycle": (
        st.tuples(values, values, lengths),
        lambda a, b, n: (cosine_cycle_schedule(a, b, n), a, b),
    ),
    "linear_onecycle": (
        st.tuples(lengths, values, pair),
        lambda n, a, p: (linear_onecycle_schedule(n, a, *p), a, a / 25e4),
    ),
    "cosine_onecycle": (
        st.tuples(lengths, values, fractions),
        lambda n, a, p: (cosine_onecycle_schedule(n, a, p), a, a / 25e4),
    ),
    "join": (
        st.tuples(values, values, values, lengths, counts),
        lambda a, b, c, n, m: (join_schedules([linear_schedule(a, b, n), c], [m]), a, b, c),
    ),
    "scaled": (
        st.tuples(values, fractions, lengths),
        lambda a, f, n: (scaled_schedule(linear_to_zero(a, n), f), f * a, 0),
    ),
    "warmup": (
        st.tuples(values, values, lengths, counts),
        lambda a, b, n, m: (warmup(linear_to_zero(a, n), m, b), a, b, 0),
    ),
    "warmup_constant": (
        st.tuples(values, values, counts),
        lambda a, b, n: (warmup_constant_schedule(a, b, n), a, b),
    ),
    "warmup_cosine_decay": (
        st.tuples(values, values, values, counts, lengths, powers),
        lambda a, b, c, w, n, p: (warmup_cosine_decay_schedule(a, b, w, w + n, c, p), a, b, c),
    ),
    "warmup_exponential_decay": (
        st.tuples(values, values, counts, lengths, shrinks),
        lambda a, b, w, n, r: (
            warmup_exponential_decay_schedule(a, b, w, n, r, end_value=b / 2),
            a,
            b,
            b / 2,
        ),
    ),
    "warmup_stable_decay": (
        st.tuples(
            values, values, values, lengths, pair, st.sampled_from(["linear", "sqrt", "cosine"])
        ),
        lambda a, b, c, n, p, how: (
            warmup_stable_decay_schedule(a, n, p[0], 1 - p[1], how, b, c),
            a,
            b,
            c,
        ),
    ),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_stays_between_its_values(name):
    drawn, make = BOUNDED[name]

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(drawn)
    def check(arguments):
        s, *bounds = make(*arguments)
        low, high = np.float32(min(bounds)), np.float32(max(bounds))
        slack = 4 * np.finfo(np.float32).eps * high
        value = np.asarray(s(STEPS))
        assert (value >= low - slack).all() and (value <= high + slack).all(), (low, high, value)

    check()


def test_every_schedule_is_bounded():
    assert {n.removesuffix("_schedule").removesuffix("_decay") for n in BOUNDED} == {
        made.name.removesuffix("_schedules").removesuffix("_schedule").removesuffix("_decay")
        for made in CATALOGUE.values()
        if made.module.startswith("gdjax.schedules.")
    }
