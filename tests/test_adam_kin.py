"""What is special about Adam's kin: the papers' examples, and where others are known to err."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.optimizers.adam.radam import _length


def first_updates(tx, grads, params=None):
    """The updates of several steps for one array, stacked."""
    params = jnp.zeros_like(grads[0]) if params is None else params
    state, out = tx.init(params), []
    for g in grads:
        u, state = tx.update(g, state, params)
        out.append(u)
    return jnp.stack(out)


def end_of_reddis_example(tx):
    """Where a rule takes x in [-1, 1]: gradients are 3, −1, −1, and so on, so −1 is the best."""

    def body(carry, t):
        x, state = carry
        g = jnp.where(t % 3 == 0, 3.0, -1.0)
        x, state = tx.step(g, state, x)
        return (jnp.clip(x, -1, 1), state), None

    x = jnp.ones([])
    (x, _), _ = jax.lax.scan(body, (x, tx.init(x)), jnp.arange(3000))
    return x


def test_amsgrad_of_the_paper_solves_its_counterexample_and_adam_does_not():
    """Reddi, Kale and Kumar 2018, theorem 1: C = 3, b1 = 0, b2 = 1 / (1 + C²), η / √t."""
    rate = lambda t: 0.5 / jnp.sqrt(t.astype(float) + 1)
    b2 = 1 / (1 + 3**2)
    flags = {"bias_correction_mu": False, "bias_correction_nu": False}
    assert end_of_reddis_example(gd.adam(rate, b1=0.0, b2=b2)) > 0.9
    assert end_of_reddis_example(gd.amsgrad(rate, b1=0.0, b2=b2, **flags)) < -0.9


def test_denominators_of_the_paper_never_shrink_and_those_of_torch_do():
    grads = jnp.asarray([[1.0], [0.1], [0.1]])
    forms = (
        {"bias_correction_mu": False, "bias_correction_nu": False},
        {"bias_correction_nu": False, "bias_correction_max": True},
    )
    paper, torch = (
        jnp.abs(grads / first_updates(gd.scale_by_amsgrad(0.0, 0.5, 0.0, **flags), grads))
        for flags in forms
    )
    assert np.all(np.diff(paper[:, 0]) >= 0) and np.all(np.diff(torch[:, 0]) < 0)


@pytest.mark.parametrize("rule", (gd.yogi, gd.adam, gd.adabelief, gd.adamax, gd.novograd, gd.adan))
def test_zero_gradients_do_not_move(rule):
    moves = first_updates(rule(0.1, eps=0.0), jnp.zeros((3, 2)))
    np.testing.assert_array_equal(moves, 0)


def test_novograd_decays_at_zero_gradients_and_has_a_slope_there():
    params = jnp.asarray([2.0, -4.0])
    tx = gd.novograd(0.1, eps=0.0, weight_decay=0.5)
    moves = first_updates(tx, jnp.zeros((2, 2)), params)
    np.testing.assert_allclose(moves, [-0.05 * params, -0.095 * params], rtol=1e-6)
    slope = jax.grad(lambda s: first_updates(tx, s * jnp.ones((2, 2)), params).sum())(0.0)
    assert jnp.isfinite(slope)


def test_rprop_lengthens_the_very_next_step_and_rests_after_a_turn():
    moves = first_updates(gd.rprop(0.1), jnp.asarray([[1.0], [5.0], [-1.0], [-1.0], [-9.0]]))
    np.testing.assert_allclose(moves[:, 0], [-0.1, -0.12, 0, 0.06, 0.072], rtol=1e-6)


def test_signs_of_gradients_whose_product_vanishes_still_agree():
    moves = first_updates(gd.rprop(0.1), jnp.full((2, 1), 1e-30))
    np.testing.assert_allclose(moves[:, 0], [-0.1, -0.12], rtol=1e-6)


def test_decay_of_adan_is_proximal_and_masked():
    params = {"w": jnp.asarray([2.0, -4.0]), "b": jnp.asarray([3.0])}
    grads = jax.tree.map(jnp.zeros_like, params)
    tx = gd.adan(0.5, weight_decay=4.0, mask={"w": True, "b": False})
    after, _ = tx.step(grads, tx.init(params), params)
    np.testing.assert_allclose(after["w"], params["w"] / 3, rtol=1e-6)
    np.testing.assert_array_equal(after["b"], params["b"])
    with pytest.raises(ValueError, match="proximal_decay: update needs the parameters"):
        gd.proximal_decay(0.1).update(grads, gd.EmptyState())
    with pytest.raises(ValueError, match="scale_by_novograd: update needs the parameters"):
        gd.scale_by_novograd().update(grads, gd.scale_by_novograd().init(params))


@pytest.mark.parametrize("b2", (0.9, 0.99, 0.999, 0.9999))
def test_rectification_keeps_its_digits_in_float32(b2):
    t = jnp.asarray([1, 5, 6, 7, 20, 100, 1000, 10**8])
    power = np.float64(b2) ** np.asarray(t)
    final = 2 / (1 - b2) - 1
    rho, length = _length(b2, t)
    assert rho.dtype == jnp.float32
    np.testing.assert_allclose(length, final, rtol=1e-5)
    np.testing.assert_allclose(rho, final - 2 * np.asarray(t) * power / (1 - power), rtol=1e-5)


def test_steps_before_the_rectification_are_momentum():
    grads = jnp.full((6, 1), 3.0)
    moves = first_updates(gd.scale_by_radam(), grads)[:, 0]
    np.testing.assert_allclose(moves[:5], 3.0, rtol=1e-5)
    assert 0 < moves[5] < 0.1


def test_nadam_is_its_scheduled_form_under_a_constant_momentum(x64):
    """ψ large and t ≥ 1 put 0.96^(ψt) to 0: μ is b1 from the first step on."""
    grads = jnp.cos(jnp.arange(12.0)).reshape(6, 2)
    scheduled = first_updates(gd.scale_by_nadam(0.8, momentum_decay=1e4), grads)
    plain = first_updates(gd.scale_by_adam(0.8, nesterov=True), grads)
    np.testing.assert_allclose(scheduled, plain, rtol=1e-12)


RULES = [gd.adam(0.1, nesterov=True), gd.chain(gd.scale_by_nadam()), gd.adamax(0.1)]
RULES += [gd.amsgrad(0.1), gd.adabelief(0.1), gd.acprop(0.1), gd.yogi(0.1), gd.radam(0.1)]
RULES += [gd.adadelta(), gd.optimistic_adam(0.1), gd.novograd(0.1), gd.rprop(0.1), gd.lion(0.1)]
RULES += [gd.signum(0.1), gd.laprop(0.1), gd.adopt(0.1), gd.adan(0.1, weight_decay=0.1)]


@pytest.mark.parametrize("tx", RULES, ids=lambda tx: repr(tx).split("(")[0])
def test_complex_gradients_turned_in_the_plane_turn_the_steps(tx):
    grads = jnp.asarray([[1.0, -0.5], [0.8, 0.5], [-0.3, 0.4], [0.0, 0.2]])
    params, turn = jnp.asarray([1.0, 2.0]), jnp.asarray(0.6 + 0.8j, jnp.complex64)
    real = first_updates(tx, grads, params).astype(jnp.complex64)
    turned = first_updates(tx, turn * grads.astype(turn.dtype), turn * params.astype(turn.dtype))
    np.testing.assert_allclose(turned, turn * real, rtol=1e-4, atol=1e-5)


def test_rprop_keeps_its_sizes_where_a_gradient_is_zero():
    tx = gd.scale_by_rprop(0.1)
    state = tx.init(jnp.zeros(2))
    for g in ([1.0, 1.0], [0.0, 1.0]):
        _, state = tx.update(jnp.asarray(g), state)
    np.testing.assert_allclose(state.step_sizes, [0.1, 0.12], rtol=1e-6)


def test_lion_needs_a_memory():
    with pytest.raises(ValueError, match=r"b2 must lie in \(0, 1\)"):
        gd.lion(0.1, b2=0.0)
