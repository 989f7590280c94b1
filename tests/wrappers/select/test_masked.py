"""Masks, partitions and frozen parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import close
from tests.references import Agree, recorded
from tests.wrappers.shared import GRADS, PARAMS, go, zeros

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


def small(path: str, x: Any) -> bool:
    return x.size < 5


LABELS = gd.by_label(matrix="matrices", rest=True)
ROWS = [
    # some of the parameters
    Row(gd.masked(SGD, True)),
    Row(gd.masked(ADAMW, gd.by_rank(at_most=1)), label="masked-adamw"),
    Row(gd.masked(gd.add_decayed_weights(0.1), "matrices", outside="pass"), label="masked-pass"),
    Row(gd.selective_transform(ADAMW, freeze_mask="matrices")),
    Row(gd.selective_transform(SGD, freeze_mask=gd.by_rank(2)), label="selective_transform-sgd"),
    Row(gd.freeze("matrices")),
    Row(gd.freeze(True), descends=False, label="freeze-all"),
    Row(gd.chain(SGD, gd.freeze(~gd.by_function(small))), label="freeze-chain"),
    Row(gd.partition(LABELS, matrix=SGD, rest=ADAMW)),
    Row(
        gd.partition("all", **{"all": gd.sgd(0.1), "1st": gd.frozen}),
        label="partition-empty",
    ),
]

MOMENTUM = gd.sgd(0.05, momentum=0.9)
AGREE = {
    "optax-partition": Agree(
        gd.partition({"w": "adam", "b": "sgd"}, sgd=MOMENTUM, adam=gd.adam(0.05)),
        recorded("wrappers", "optax/partition"),
    ),
    "optax-selective": Agree(
        gd.selective_transform(gd.adam(0.05), freeze_mask={"w": False, "b": True}),
        recorded("wrappers", "optax/selective_transform"),
    ),
}

# They choose whom a transformation moves.
PLAIN = {"freeze", "masked"}


@pytest.mark.parametrize("inner", [gd.sgd(0.1, 0.9), gd.adamw(0.1)], ids=["sgd", "adamw"])
def test_what_is_masked_out_has_no_update_and_no_state(inner):
    tx = gd.masked(inner, "matrices")
    updates, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    alone = {"kernel": PARAMS["dense"]["kernel"]}
    grads = {"kernel": GRADS["dense"]["kernel"]}
    expected, inside = inner.update(grads, inner.init(alone), alone)
    np.testing.assert_array_equal(updates["dense"]["kernel"], expected["kernel"])
    assert zeros((updates["dense"]["bias"], updates["gain"]))
    sizes = [x.shape for x in jax.tree.leaves(state)]
    assert sizes == [x.shape for x in jax.tree.leaves(inside)]


def test_masked_everywhere_is_itself_and_nowhere_holds_nothing():
    inner = gd.adamw(0.1)
    for mask in (None, True, {"dense": True, "gain": True}):
        close(go(gd.masked(inner, mask), [GRADS] * 2, PARAMS)[0], go(inner, [GRADS] * 2, PARAMS)[0])
    tx = gd.masked(gd.sgd(0.1, 0.9), False)
    assert jax.tree.leaves(tx.init(PARAMS)) == []
    assert zeros(tx.update(GRADS, tx.init(PARAMS), PARAMS)[0])


def test_masked_stages_of_a_chain_may_pass_what_is_not_theirs():
    """As optax does, which compositions of its users rely on."""

    import optax

    tx = gd.chain(gd.masked(gd.add_decayed_weights(0.5), "matrices", outside="pass"), gd.sgd(1.0))
    theirs = optax.chain(
        optax.masked(
            optax.add_decayed_weights(0.5), lambda p: jax.tree.map(lambda x: x.ndim > 1, p)
        ),
        optax.sgd(1.0),
    )
    ours, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    close(ours, theirs.update(GRADS, theirs.init(PARAMS), PARAMS)[0])
    with pytest.raises(ValueError, match='outside must be "zero" or "pass".*Did you mean pass'):
        gd.masked(gd.sgd(0.1), True, outside="passs")


def test_masks_without_params_and_of_optax():
    import optax

    tx = gd.masked(optax.sgd(0.1, momentum=0.9), "matrices")
    updates, state = tx.update(GRADS, tx.init(PARAMS))
    assert zeros(updates["gain"]) and updates["dense"]["kernel"].any()
    tx.update(GRADS, state)


def test_extra_arguments_are_masked_on_request():
    import optax

    def add(updates, state, params=None, *, other, **extra):
        assert (other["gain"] is None) == expected
        return jax.tree.map(jnp.add, updates, other) if expected else updates, state

    foreign = optax.GradientTransformationExtraArgs(lambda params: (), add)
    for expected in (True, False):
        masked = gd.masked(foreign, "matrices", mask_compatible_extra_args=expected)
        parts = gd.partition(
            gd.by_label(foreign="matrices", rest=True),
            foreign=foreign,
            rest=gd.sgd(0.1),
            mask_compatible_extra_args=expected,
        )
        for tx in (masked, parts):
            updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, other=GRADS)
            assert updates["dense"]["kernel"][0, 0] == (4.0 if expected else 2.0)


def test_frozen():
    tx = gd.selective_transform(gd.adamw(0.1), freeze_mask="dense/.*")
    _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert gd.state.find(state, "mu")["dense"] == {"kernel": None, "bias": None}
    (after,), _ = go(tx, [GRADS], PARAMS)
    np.testing.assert_array_equal(after["dense"]["kernel"], PARAMS["dense"]["kernel"])
    assert after["gain"] != PARAMS["gain"]
    chained, _ = go(gd.chain(gd.adamw(0.1), gd.freeze("dense/.*")), [GRADS], PARAMS)
    close(chained[0], after)


def test_partition():
    tx = gd.partition(
        {"dense": {"kernel": "m", "bias": "r"}, "gain": "f"},
        m=gd.sgd(gd.linear_to_zero(1.0, 10), 0.9),
        r=gd.adam(0.1),
        f=gd.frozen,
    )
    updates, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert gd.state.find(state.inner_states["m"], "trace")["dense"]["bias"] is None
    assert gd.state.find(state.inner_states["r"], "mu")["dense"]["kernel"] is None
    assert jax.tree.leaves(state.inner_states["f"]) == []
    close(updates["dense"]["kernel"], -2.0 * jnp.ones((2, 3)))
    close(updates["dense"]["bias"], -0.1 * jnp.ones(3), rtol=1e-5)
    assert zeros(updates["gain"])
    assert set(gd.state.hyperparams(tx, state)) >= {"m/learning_rate", "r/learning_rate", "r/b1"}
    assert float(gd.state.hyperparams(tx, state)["m/learning_rate"]) == 1.0


@pytest.mark.parametrize(
    "labels, message",
    [
        ({"dense": "sdg", "gain": "adam"}, "'dense/bias'.*got 'sdg'. Did you mean sgd"),
        ({"dense": "sgd"}, "rules must be a tree of labels.*without 'gain'"),
        (gd.by_label(sgd="matrices", adam="gian"), "pattern.*'gian'.*gain"),
        (gd.by_label(sgd="matrices", adam="gain"), "none for 'dense/bias'"),
    ],
)
def test_a_parameter_without_a_label_raises(labels, message):
    tx = gd.partition(labels, sgd=gd.sgd(0.1), adam=gd.adam(0.1))
    with pytest.raises(ValueError, match="partition: .*" + message):
        tx.init(PARAMS)
