"""Promises × schedules: data, closed forms, shapes, derivatives."""

import ast
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from gdjax.schedules.basic import (
    constant_schedule,
)
from tests.schedules.rows import NAMESPACE, ROWS, STEPS, doubled, rows


def test_every_schedule_has_a_row():
    ours = {n for n, made in factories().items() if made.module.startswith("gdjax.schedules.")}
    assert {row.make().name for row in ROWS.values()} == ours
    assert len(ours) == 22


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


@pytest.mark.slow
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


@pytest.mark.slow
@rows
def test_derivatives_are_finite_at_every_step(row, x64):
    leaves, treedef = jax.tree.flatten(row.make())
    total = weighted(treedef, jnp.asarray(STEPS).astype(float))
    by = jax.grad(total)([float(leaf) for leaf in leaves])
    assert np.isfinite(by).all()
    by_step = jax.grad(lambda steps: total(leaves, steps))(jnp.asarray(STEPS).astype(float))
    assert np.isfinite(by_step).all()


@pytest.mark.slow
@rows
def test_derivatives_are_right_between_the_steps(row, x64):
    """Against differences; one-sided ones where a number is at the edge of its range."""
    leaves, treedef = jax.tree.flatten(row.make())
    total, h = jax.jit(weighted(treedef, jnp.asarray(STEPS + 0.37))), 1e-6  # traced: not judged
    slopes = jax.grad(total)([float(leaf) for leaf in leaves])
    for i, (leaf, slope) in enumerate(zip(leaves, slopes)):
        value = lambda x, i=i: total([*leaves[:i], x, *leaves[i + 1 :]])
        if leaf == 0:
            sides = ((value(s * h) - value(0.0)) / (s * h) for s in (1, -1))
        else:
            sides = [(value(leaf + h) - value(leaf - h)) / (2 * h)]
        assert any(np.isclose(slope, side, rtol=1e-5, atol=1e-4) for side in sides)
