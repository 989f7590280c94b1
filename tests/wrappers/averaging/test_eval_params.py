"""`eval_params` finds where to evaluate through any nesting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.wrappers.averaging.ways import EMA, KEEPERS, MATRICES, SGD, close, way


@gd.transformation
def _shadow_for_test():
    """A transformation whose evaluation parameters are twice those that are trained."""
    init = lambda params: gd.EmptyState()
    update = lambda updates, state, params=None, **extra: (updates, state)
    return gd.Rule(init, update, evaluate=lambda state, p: jax.tree.map(lambda x: 2 * x, p))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: gd.flatten(tx),
        lambda tx: gd.split_real_and_imaginary(tx),
        lambda tx: gd.apply_if_finite(tx),
        lambda tx: gd.accumulate(tx, 2),
        lambda tx: gd.masked(tx, True),
        lambda tx: gd.partition("a", a=tx),
        lambda tx: gd.sam(tx, gd.sgd(0.1)),
        lambda tx: gd.conditionally_mask(tx, lambda step: step > 3),
    ],
)
def test_evaluation_parameters_reach_through(wrap):
    tx = wrap(_shadow_for_test())
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    assert all(
        jnp.all(x == 2) for x in jax.tree.leaves(gd.state.eval_params(tx, tx.init(params), params))
    )


def test_evaluation_parameters_of_a_part():
    import optax

    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    for tx in (
        gd.masked(_shadow_for_test(), "matrices"),
        gd.selective_transform(_shadow_for_test(), freeze_mask="b"),
        gd.partition(gd.by_label(w="matrices", b=True), w=_shadow_for_test(), b=optax.sgd(0.1)),
    ):
        seen = gd.state.eval_params(tx, tx.init(params), params)
        assert jnp.all(seen["w"] == 2) and jnp.all(seen["b"] == 1)


@pytest.mark.parametrize("name", KEEPERS)
def test_parameters_that_are_python_numbers(name):
    """Before the first step: after it they are arrays."""
    tx, params = KEEPERS[name], {"w": jnp.ones((2, 2)), "gain": 0.5}
    seen = gd.state.eval_params(tx, tx.init(params), params)
    assert seen["gain"] == 0.5 and jnp.all(seen["w"] == 1)


KEEP_NOTHING = [
    gd.adamw(0.1),
    gd.accumulate(SGD, 2),
    gd.apply_if_finite(gd.chain(gd.clip(1.0), SGD)),
    gd.partition(MATRICES, matrix=SGD, rest=gd.frozen),
    gd.flatten(SGD),
    gd.split_real_and_imaginary(SGD),
    gd.mechanize(SGD),
    gd.mechanize(EMA),  # whose average is of another way than the one that is gone
    gd.with_master_weights(SGD),
    gd.stochastic_rounding(SGD, 0),
]


@pytest.mark.parametrize("tx", KEEP_NOTHING, ids=repr)
def test_where_nothing_is_kept_it_is_the_identity(tx):
    path, answers = way(tx, 3)
    jax.tree.map(np.testing.assert_array_equal, path, answers)


def always(step):
    return step >= 0


HOLDERS = {
    "chain": lambda tx: gd.chain(gd.clip(100.0), tx),
    "named": lambda tx: gd.chain(clip=gd.clip(100.0), tx=tx),
    "masked": lambda tx: gd.masked(tx, True),
    "partition": lambda tx: gd.partition(MATRICES, matrix=tx, rest=tx),
    "selective": lambda tx: gd.selective_transform(tx, freeze_mask=False),
    "accumulate": lambda tx: gd.accumulate(tx, 1),
    "apply_if_finite": gd.apply_if_finite,
    "conditionally_mask": lambda tx: gd.conditionally_mask(tx, always),
    "flatten": gd.flatten,
    "split_real_and_imaginary": gd.split_real_and_imaginary,
    "stochastic_rounding": lambda tx: gd.stochastic_rounding(tx, 0),
    "with_master_weights": gd.with_master_weights,
    "compensated": gd.compensated,
    "with_split_weights": gd.with_split_weights,
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_passes_the_question_on(holder):
    expected = way(EMA, 4)
    assert np.abs(expected[0]["w"] - expected[1]["w"]).max() > 0.01
    close(way(HOLDERS[holder](EMA), 4), expected)


@pytest.mark.parametrize("keeper", KEEPERS)
def test_every_keeper_is_found_two_deep(keeper):
    tx = KEEPERS[keeper]
    path, answers = way(tx)
    assert np.abs(path["w"] - answers["w"]).max() > 1e-3
    deep = gd.accumulate(gd.chain(gd.clip(100.0), gd.masked(tx, True)), 1)
    close(way(deep), (path, answers))
