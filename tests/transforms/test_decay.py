"""Weight decay."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from tests.cases import Row
from tests.helpers import path_from
from tests.optimizers.adam.test_adam import adam
from tests.optimizers.sgd.test_sgd import momentum
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import adam_direction, at, trajectory, with_l2

ROWS = [
    Row(gd.add_decayed_weights(0.1)),
    Row(gd.decay_weights(0.1)),
]


def momentum_l2(gradient, theta0, steps, *, eta, mu, lam):
    """The heavy ball on the penalised loss: g ← g + λθ enters the momentum."""
    return momentum(with_l2(gradient, lam), theta0, steps, eta=eta, mu=mu)


def momentum_decoupled(gradient, theta0, steps, *, eta, mu, lam):
    """The heavy ball with decoupled decay scaled by the rate, θ ← θ − η(v + λθ)."""
    v = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        v = mu * v + gradient(theta, t)
        return theta - at(eta, t) * (v + lam * theta)

    return trajectory(theta0, steps, step)


def adam_l2(gradient, theta0, steps, *, eta, lam, **adam_arguments):
    """Adam on the penalised loss: g ← g + λθ enters both averages."""
    return adam(with_l2(gradient, lam), theta0, steps, eta=eta, **adam_arguments)


def adamw_independent(
    gradient, theta0, steps, *, eta, lam, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0
):
    """Adam with decay independent of the rate, θ ← θ − ηû − λθ."""
    direction = adam_direction(b1, b2, eps, eps_root)

    def step(theta, t):
        return theta - at(eta, t) * direction(gradient(theta, t), t) - lam * theta

    return trajectory(theta0, steps, step)


def adamw_scheduled(
    gradient, theta0, steps, *, alpha, lam, schedule, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0
):
    """AdamW as printed, θ ← θ − s(t)(αû + λθ): decay follows the schedule, not the rate α.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2017, algorithm 2.
    """
    direction = adam_direction(b1, b2, eps, eps_root)

    def step(theta, t):
        return theta - schedule(t) * (alpha * direction(gradient(theta, t), t) + lam * theta)

    return trajectory(theta0, steps, step)


def l2(lam, *rest):
    return gd.chain(gd.add_decayed_weights(lam), *rest)


AGREE = {
    "torch-sgd_momentum_l2": Agree(
        l2(0.1, gd.sgd(0.05, momentum=0.9)), recorded("seminar", "sgd_momentum_l2")
    ),
    "torch-adam_l2": Agree(l2(0.1, gd.adam(0.05)), recorded("seminar", "adam_l2")),
    "numpy-momentum-l2": Agree(
        l2(0.1, gd.sgd(0.05, 0.9)), rule(momentum_l2, eta=0.05, mu=0.9, lam=0.1)
    ),
    "numpy-momentum-decoupled": Agree(
        descent(gd.trace(0.9), gd.add_decayed_weights(0.1), eta=0.05),
        rule(momentum_decoupled, eta=0.05, mu=0.9, lam=0.1),
    ),
    "numpy-adam-l2": Agree(l2(0.1, gd.adam(0.05)), rule(adam_l2, eta=0.05, lam=0.1)),
    "numpy-adamw-independent": Agree(
        gd.chain(gd.adam(0.05), gd.decay_weights(0.01)), rule(adamw_independent, eta=0.05, lam=0.01)
    ),
    "numpy-adamw-by-schedule-alone": Agree(
        gd.chain(
            gd.adam(lambda t: 0.1 * halving(0.05)(t)),
            gd.decay_weights(lambda t: 0.3 * halving(0.05)(t)),
        ),
        rule(adamw_scheduled, alpha=0.1, lam=0.3, schedule=halving(0.05)),
    ),
}

DECAYS = ("weight_decay", "weight_decay_rate")

DECAYING = {
    name: made
    for name, made in factories().items()
    if made.module.startswith("gdjax.")
    and set(DECAYS) & set(made.signature.parameters)
    # MoMo's decay is part of the model that gives the step; Mechanic's is one of its factor;
    # Muown's is of the norms of its matrices, and takes no mask.
    and name not in ("momo", "momo_adam", "mechanize", "muown")
    # Their decay is 0 without gradients; their own tests have masks.
    and name not in ("scale_by_namo", "namo", "schedule_free_plus", "schedule_free_plus_adamc")
    and name != "auto"
}


@pytest.mark.parametrize("name", DECAYING)
def test_every_decay_may_be_of_matrices_alone(name):
    """At zero gradients what decays moves, and nothing else does."""
    made, params = DECAYING[name], {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    takes = made.signature.parameters
    given = {n: 0.5 for n in (*DECAYS, "adam_weight_decay", "max_learning_rate") if n in takes}
    given |= {"learning_rate": 0.1} if "learning_rate" in takes else {}
    given |= {"hessian_diagonal_fn": gd.scale_by_rms(0.9)} if name == "sophia" else {}
    extra = {"max_logits" if name == "muon_clip" else "value": jnp.asarray(1.0)}

    @jax.jit
    def both(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        txs = [made.call(**given), made.call(**given, mask="matrices")]
        return [tx.update(zeros, tx.init(params), params, **extra)[0] for tx in txs]

    all_, some = both(params)
    assert all_["w"].any() and all_["b"].any()
    assert (some["w"] * all_["w"] > 0).all()  # DoG's rate, of all that moves, is another
    assert not some["b"].any()


def test_decay_under_momentum_adds_up_but_not_when_decoupled(x64):
    """At zero gradients L2 in the velocity pulls 1/(1 − μ) times as much as decoupled decay."""
    start, steps, rate, lam, mu = jnp.asarray(1.0), 400, 1e-3, 1e-2, 0.9
    l2 = gd.chain(gd.add_decayed_weights(lam), gd.sgd(rate, mu))
    beside = gd.chain(gd.trace(mu), gd.add_decayed_weights(lam), gd.scale_by_learning_rate(rate))
    pull = [-jnp.log(path_from(tx, jnp.zeros_like, start, steps)[-1]) for tx in (l2, beside)]
    np.testing.assert_allclose(pull[1], -steps * np.log(1 - rate * lam), rtol=1e-10)
    # Ten times as much, but for the velocity's first μ/(1 − μ) = 9 steps of building up.
    np.testing.assert_allclose(pull[0] / pull[1], 10 * (steps - 9) / steps, rtol=2e-3)


@pytest.mark.parametrize(
    "mask, expected",
    [
        (None, {"w": [0.5, 1.0], "b": {"x": 2.0}}),
        ({"w": True, "b": {"x": False}}, {"w": [0.5, 1.0], "b": {"x": 0.0}}),
        ({"w": False, "b": True}, {"w": [0.0, 0.0], "b": {"x": 2.0}}),  # a part from the root
        (lambda p: jax.tree.map(lambda x: x.ndim > 0, p), {"w": [0.5, 1.0], "b": {"x": 0.0}}),
    ],
    ids=["none", "tree", "prefix", "function"],
)
def test_masks_of_decay(mask, expected):
    params = {"w": jnp.asarray([1.0, 2.0]), "b": {"x": jnp.asarray(4.0)}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for tx, sign in ((gd.add_decayed_weights(0.5, mask), 1), (gd.decay_weights(0.5, mask), -1)):
        updates, _ = tx.update(zeros, tx.init(params), params)
        expected = jax.tree.map(jnp.asarray, expected, is_leaf=lambda x: isinstance(x, list))
        jax.tree.map(lambda u, e, s=sign: np.testing.assert_allclose(u, s * e), updates, expected)


def test_a_mask_that_does_not_fit_raises():
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    tx = gd.adamw(0.1, mask={"w": True})
    with pytest.raises(ValueError, match="adamw: mask must be a tree of bools"):
        tx.update(params, tx.init(params), params)


@pytest.mark.parametrize(("decay", "expected"), [(1, 7), (0, 2), (0.0, 2)])
def test_a_decay_of_1_adds_the_parameters_and_one_of_0_does_not_read_them(decay, expected):
    tx = gd.add_decayed_weights(decay)
    p = np.float32(5 if decay else np.inf)
    assert tx.update(np.float32(2), tx.init(p), p)[0] == expected
