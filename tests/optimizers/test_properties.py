"""What many optimizers have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import updates_of


@pytest.mark.parametrize("rule", (gd.yogi, gd.adam, gd.adabelief, gd.adamax, gd.novograd, gd.adan))
def test_zero_gradients_do_not_move(rule):
    moves = updates_of(rule(0.1, eps=0.0), jnp.zeros((3, 2)))
    np.testing.assert_array_equal(moves, 0)


RULES = [gd.adam(0.1, nesterov=True), gd.chain(gd.scale_by_nadam()), gd.adamax(0.1)]


RULES += [gd.amsgrad(0.1), gd.adabelief(0.1), gd.acprop(0.1), gd.yogi(0.1), gd.radam(0.1)]


RULES += [gd.adadelta(), gd.optimistic_adam(0.1), gd.novograd(0.1), gd.rprop(0.1), gd.lion(0.1)]


RULES += [gd.signum(0.1), gd.laprop(0.1), gd.adopt(0.1), gd.adan(0.1, weight_decay=0.1)]


@pytest.mark.parametrize("tx", RULES, ids=lambda tx: repr(tx).split("(")[0])
def test_complex_gradients_turned_in_the_plane_turn_the_steps(tx):
    grads = jnp.asarray([[1.0, -0.5], [0.8, 0.5], [-0.3, 0.4], [0.0, 0.2]])
    params, turn = jnp.asarray([1.0, 2.0]), jnp.asarray(0.6 + 0.8j, jnp.complex64)
    real = updates_of(tx, grads, params).astype(jnp.complex64)
    turned = updates_of(tx, turn * grads.astype(turn.dtype), turn * params.astype(turn.dtype))
    np.testing.assert_allclose(turned, turn * real, rtol=1e-4, atol=1e-5)


def test_complex_gradients(x64):
    z = jnp.asarray([3.0 + 4.0j])
    plain = gd.adam(0.1), gd.rmsprop(0.1), gd.adagrad(0.1), gd.sgd(0.1, 0.9)
    for tx in (*plain, gd.rmsprop(0.1, centered=True), gd.momentum(0.1)):
        state = tx.init(z)
        updates, after = tx.update(z, state)
        assert updates.dtype == z.dtype and jnp.all(jnp.isfinite(updates))
        np.testing.assert_allclose(np.angle(updates[0]), np.angle(-z[0]), rtol=1e-12)
        squares = [x for x in jax.tree.leaves(after) if jnp.isrealobj(x) and x.shape == (1,)]
        assert len(squares) == (0 if tx.name in ("sgd", "momentum") else 1)
    clipped, _ = gd.clip(1.0).update(z, gd.EmptyState())
    np.testing.assert_allclose(clipped, z / 5)
    tx = gd.clip_by_global_norm(1.0)
    clipped, _ = tx.update(z, tx.init(z))
    np.testing.assert_allclose(clipped, z / 5)
