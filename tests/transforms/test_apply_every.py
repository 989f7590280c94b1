"""Updates added up, and given every so many steps."""

from __future__ import annotations

import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded, rule
from tests.transcription import trajectory
from tests.wrappers.guards.test_accumulate import MOMENTUM, HeavyBall

ROWS = [
    # Its first update is zero, so it is taken for a descent.
    Row(gd.apply_every(2), descends=False),
    Row(
        gd.chain(gd.adamw(0.1, b2=0.99, weight_decay=0.01), gd.apply_every(3)),
        label="apply_every-adamw",
    ),
]


def apply_every(gradient, theta0, steps, *, k):
    """The updates of k calls, added up, at the last of them."""
    inner, held = HeavyBall(), []

    def step(theta, t):
        held.append(inner(gradient(theta, t)))
        if (t + 1) % k:
            return theta
        moved = theta + sum(held)
        held.clear()
        return moved

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-apply_every": Agree(gd.chain(MOMENTUM, gd.apply_every(3)), rule(apply_every, k=3)),
    "optax-apply_every": Agree(
        gd.chain(MOMENTUM, gd.apply_every(3)), recorded("wrappers", "optax/apply_every")
    ),
}


@pytest.mark.parametrize("every", [0, 2.0, None])
def test_what_every_must_be(every):
    with pytest.raises(ValueError, match="apply_every: every must be an integer of 1 or more"):
        gd.apply_every(every)
