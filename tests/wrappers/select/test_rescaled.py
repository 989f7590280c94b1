"""Hyperparameters for other batches and other data: the rules of the papers, and what stays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

RATE = gd.cosine_decay_schedule(0.02, 100)
ADAMW = gd.adamw(1e-3, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1)
CASES = {
    "sqrt": (ADAMW, {"batch": 4}, gd.adamw(2e-3, 0.6, 0.8, 5e-9, weight_decay=0.2)),
    "sqrt-data": (
        ADAMW,
        {"batch": 4, "data": 8},
        gd.adamw(2e-3, 0.6, 0.8, 5e-9, weight_decay=0.025),
    ),
    "sqrt-defaults": (gd.adam(1e-3), {"batch": 1 / 4}, gd.adam(5e-4, 0.975, 0.99975, 2e-8)),
    "sqrt-parts": (
        gd.chain(gd.scale_by_adam(), gd.add_decayed_weights(0.1), gd.scale(-0.1)),
        {"batch": 4},
        gd.chain(gd.scale_by_adam(0.6, 0.996, 5e-9), gd.add_decayed_weights(0.1), gd.scale(-0.1)),
    ),
    "linear": (
        gd.sgd(0.1, momentum=0.9),
        {"batch": 8},
        gd.sgd(0.8, momentum=0.9),
    ),
    "linear-groups": (
        gd.groups(gd.lion(1e-4, weight_decay=1.0), ("b", {"weight_decay": 0.0}), ("w", 2.0)),
        {"batch": 2, "data": 4},
        gd.groups(gd.lion(2e-4, weight_decay=0.25), ("b", {"weight_decay": 0.0}), ("w", 2.0)),
    ),
    "half-life": (ADAMW, {"batch": 2}, gd.adamw(1e-3, 0.9, 0.9025, 1e-8, weight_decay=0.2)),
    "half-life-inside": (
        gd.accumulate(gd.chain(clip=gd.clip(1.0), opt=gd.muon(RATE, weight_decay=gd.live(0.1))), 2),
        {"batch": 2},
        gd.accumulate(
            gd.chain(
                clip=gd.clip(1.0),
                opt=gd.muon(RATE, weight_decay=gd.live(0.2), adam_b2=0.998001),
            ),
            2,
        ),
    ),
    "half-life-matrices": (gd.soap(1e-3, b2=0.9), {"batch": 2}, gd.soap(1e-3, b2=0.81)),
    "sqrt-lion": (
        gd.lion(1e-4, 0.9, 0.98),
        {"batch": 4},
        gd.lion(2e-4, 0.9, 0.98, weight_decay=2e-3),
    ),
    "sqrt-schedule": (
        gd.rmsprop(RATE),
        {"batch": 4},
        gd.rmsprop(gd.scaled_schedule(RATE, 2.0)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rules(case):
    tx, ratios, expected = CASES[case]
    rule = "half-life" if case.startswith("half") else case.partition("-")[0]
    got, changes = gd.rescaled(tx, rule, **ratios)
    ours, theirs = gd.spec(got), gd.spec(expected)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert mine == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)
    assert all(change.before != change.after for change in changes)


def test_times_in_examples_stay():
    """The half-life of β₂ in examples, and the time of weight decay in epochs."""
    small, large, examples = 64, 512, 100_000
    tx = gd.rescaled(ADAMW, "half-life", large / small, data=3).tx.arguments
    half_life = lambda b2, batch: batch * np.log(0.5) / np.log(b2)
    np.testing.assert_allclose(half_life(tx["b2"], large), half_life(0.95, small), rtol=1e-9)
    for rule in ("sqrt", "linear", "half-life"):
        tx = gd.rescaled(gd.adamw(1e-3, 0.9, 0.99, weight_decay=0.1), rule, 8, data=3).tx.arguments
        epochs = lambda rate, decay, batch, n: batch / (rate * decay * n)
        after = epochs(tx["learning_rate"], tx["weight_decay"], large, 3 * examples)
        np.testing.assert_allclose(after, epochs(1e-3, 0.1, small, examples), rtol=1e-9)


def test_nothing_changes_without_another_batch():
    for rule in ("sqrt", "linear", "half-life"):
        found = gd.rescaled(ADAMW, rule)
        assert found.tx == ADAMW and str(found) == "no argument changed"


def test_ratio_may_be_traced():
    def rates(batch):
        return jax.tree.leaves(gd.rescaled(gd.adam(1e-3, b2=0.9), "half-life", batch).tx)

    found = jax.jit(rates)(jnp.asarray(2.0))
    np.testing.assert_allclose(found, [1e-3, 0.81], rtol=1e-6)


def test_table_says_what_was_changed():
    text = str(gd.rescaled(gd.chain(gd.clip(1.0), gd.adamw(1e-3)), "linear", 2, data=4))
    assert text == "chain/adamw/learning_rate  0.001 → 0.002     × κ\n" + (
        "chain/adamw/weight_decay   0.0001 → 2.5e-05  the same time in epochs"
    )


@pytest.mark.parametrize(
    ("tx", "arguments", "says"),
    [
        (ADAMW, ("square",), "rule must be one of .* Did you mean sqrt"),
        (ADAMW, ("sqrt", 0), "batch must be above 0"),
        (ADAMW, ("sqrt", 1, -1.0), "data must be above 0"),
        (ADAMW, ("sqrt", 16), "batch must be at most 1/.1 − b1."),
        (gd.adamw(1e-3, b2=RATE), ("half-life", 2), "b2 must be a number"),
        (
            gd.groups(gd.sgd(0.1), ("w", {"learning_rate": 0.2})),
            ("linear", 2),
            "rows of groups must have factors",
        ),
    ],
)
def test_what_cannot_be_raises(tx, arguments, says):
    with pytest.raises(ValueError, match=f"rescaled: {says}"):
        gd.rescaled(tx, *arguments)
