"""Steps under a condition."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded
from tests.wrappers.shared import go

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


# Functions with a name, so that they pickle.
def odd(step: Any) -> Any:
    return step % 2 == 1


def always(step: Any) -> Any:
    return step >= 0


def wanted(step: Any, *, go: Any = True, **extra: Any) -> Any:
    return (step < 1) | jnp.asarray(go)


ROWS = [
    Row(gd.conditionally_mask(SGD, odd)),
    Row(gd.conditionally_mask(ADAMW, wanted, forward_extra_args=True), label="conditionally-extra"),
    Row(gd.conditionally_transform(gd.clip(0.5), odd)),
    Row(gd.conditionally_transform(ADAMW, always), label="conditionally_transform-adamw"),
]

AGREE = {
    "optax-conditionally_mask": Agree(
        gd.conditionally_mask(gd.adam(0.1), odd), recorded("wrappers", "optax/conditionally_mask")
    ),
    "optax-conditionally_transform": Agree(
        gd.chain(gd.conditionally_transform(gd.clip(0.1), odd), gd.sgd(0.3)),
        recorded("wrappers", "optax/conditionally_transform"),
    ),
}


def test_inner_schedules_count_inner_steps():
    ramp = lambda step: jnp.asarray([1.0, 10.0, 100.0])[step]
    tx = gd.conditionally_mask(gd.sgd(ramp), lambda step: step % 2 == 1)
    path, state = go(tx, [jnp.ones([])] * 6, jnp.zeros([]))
    assert [float(p) for p in path] == [0, -1, -1, -11, -11, -111]
    assert (
        int(state.step) == 6
        and float(gd.state.hyperparams(tx, state)["inner/learning_rate"]) == 100
    )
    tx = gd.accumulate(gd.sgd(ramp), 2)
    path, state = go(tx, [jnp.ones([])] * 6, jnp.zeros([]))
    assert [float(p) for p in path] == [0, -1, -1, -11, -11, -111]


def test_conditions_see_extra_arguments():
    seen = lambda step, *, loss, **extra: loss < 1.0
    for make, other in ((gd.conditionally_mask, 0.0), (gd.conditionally_transform, 1.0)):
        tx = make(gd.scale(-1.0), seen, forward_extra_args=True)
        state = tx.init(jnp.zeros([]))
        for loss, expected in ((0.5, -1.0), (2.0, other)):
            assert tx.update(jnp.ones([]), state, None, loss=jnp.asarray(loss))[0] == expected
    with pytest.raises(TypeError, match="conditionally_mask: should_transform_fn must be callable"):
        gd.conditionally_mask(gd.sgd(0.1), 3)
