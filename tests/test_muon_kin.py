"""What the references of Muon's kin do not say: stacks, spheres, balls, names, messages."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd


def gradients(params, t=0):
    wave = lambda p: jnp.cos(1.0 + t + 1.7 * jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape)
    return jax.tree.map(wave, params)


def after(tx, params, steps=3, **extra):
    state = tx.init(params)
    for t in range(steps):
        params, state = tx.step(gradients(params, t), state, params, **extra)
    return params


STACKED = {
    "normalize": lambda axes: gd.chain(
        gd.normalize_matrices("rows", matrix_axes=axes), gd.sgd(0.1)
    ),
    "neurons": lambda axes: gd.chain(gd.scale_by_neurons(matrix_axes=axes), gd.sgd(0.1)),
    "hyperball": lambda axes: gd.hyperball(0.1, matrix_axes=axes),
    "brake": lambda axes: gd.chain(gd.sgd(0.1), gd.radial_brake(matrix_axes=axes)),
    "floor": lambda axes: gd.chain(gd.update_floor(2.0, matrix_axes=axes), gd.sgd(0.1)),
    "lmo": lambda axes: gd.chain(gd.scale_by_lmo("columns", matrix_axes=axes), gd.sgd(0.1)),
    "dion2": lambda axes: gd.chain(gd.scale_by_dion2(0.5, matrix_axes=axes), gd.sgd(0.1)),
}


@pytest.mark.parametrize("name", STACKED)
def test_stacked_matrices_are_separate_matrices(name, x64):
    """Of sizes that differ, so that what looked at all of a stack would be seen."""
    sizes = jnp.array([1.0, 10.0])[None, :, None]
    stack = sizes * jnp.linspace(-1.0, 2.0, 24).reshape(3, 2, 4)
    together = STACKED[name]("in n out")
    grads = 0.1 * sizes[:, ::-1] * gradients(stack)
    updates, _ = together.update(grads, together.init(stack), stack)
    for i in range(2):
        alone = STACKED[name](None)
        one, _ = alone.update(grads[:, i], alone.init(stack[:, i]), stack[:, i])
        np.testing.assert_allclose(updates[:, i], one, rtol=1e-12)


def test_hyperball_keeps_the_length_at_the_start(x64):
    """And not the length that a matrix has by then: one that was changed comes back."""
    params = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    tx = gd.hyperball(0.05)
    state = tx.init(params)
    moved, _ = tx.step(gradients(params), state, 3.0 * params)
    np.testing.assert_allclose(jnp.linalg.norm(moved), jnp.linalg.norm(params), rtol=1e-14)


def test_weights_and_gradients_of_zero_stay(x64):
    zero, some = jnp.zeros((2, 3)), jnp.ones((2, 3))
    assert not jnp.any(after(gd.hyperball(0.1), zero))
    tx = gd.chain(gd.sgd(0.1), gd.radial_brake(0.0, 0.0))
    assert not jnp.any(tx.update(zero, tx.init(some), some)[0])


def test_both_brakes_at_zero_keep_lengths(x64):
    params = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    tx = gd.chain(gd.sgd(0.3), gd.radial_brake(0.0, 0.0))
    lengths = [jnp.linalg.norm(p) for p in (after(tx, params), params)]
    np.testing.assert_allclose(*lengths, rtol=1e-14)


def test_scion_stays_in_its_balls(x64):
    """Largest singular value √(out/in)·ρ of a map, rms ρ of each row of a table and of a vector."""
    params = {"embed": jnp.ones((5, 3)), "map": jnp.eye(3, 4), "head": jnp.ones((4, 5))}
    params["bias"] = jnp.ones(4)
    tx = gd.scion(0.2, 0.5, radius=2.0, head_radius=3.0, backend="svd")
    end = after(tx, params, 80)
    assert jnp.linalg.norm(end["map"], 2) <= 2 * (4 / 3) ** 0.5 * (1 + 1e-6)
    for x in (end["embed"], end["bias"]):
        assert jnp.all(jnp.sqrt(jnp.mean(x**2, -1)) <= 2 * (1 + 1e-6))
    assert jnp.max(jnp.abs(end["head"])) <= 3 / 4 * (1 + 1e-6)
    # One step of rate 1 is on the border: the oracle's own length is the radius.
    there = after(tx.replace(learning_rate=1.0), params, 1)
    np.testing.assert_allclose(jnp.linalg.norm(there["map"], 2), 2 * (4 / 3) ** 0.5, rtol=1e-10)
    np.testing.assert_allclose(jnp.mean(there["embed"] ** 2, -1), 4.0, rtol=1e-10)
    np.testing.assert_allclose(jnp.abs(there["head"]), 0.75, rtol=1e-10)
    np.testing.assert_allclose(jnp.mean(there["bias"] ** 2), 4.0, rtol=1e-10)


def test_dion2_chooses_every_row_in_time(x64):
    """What waits adds up: with equal gradients the rows take turns."""
    g = jnp.eye(4, 6) * jnp.array([4.0, 3.0, 2.0, 1.0])[:, None]
    tx = gd.scale_by_dion2(0.25, 0.0, backend="svd")
    state, chosen = tx.init(g), set()
    for _ in range(8):
        u, state = tx.update(g, state)
        rows = np.flatnonzero(np.any(u != 0, axis=1))
        assert len(rows) == 1
        chosen |= set(rows.tolist())
    assert chosen == {0, 1, 2, 3}


def test_max_logits_may_stand_for_what_is_below():
    params = {"one": {"q": jnp.ones((2, 4)), "v": jnp.ones((2, 4))}, "two": {"q": jnp.ones((2, 4))}}
    tx = gd.chain(gd.sgd(0.0), gd.qk_clip(1.0, query_alone=".*/q", matrix_axes="in (2 out)"))
    end = after(tx, params, 1, max_logits={"one": jnp.array([2.0, 0.5]), "two": jnp.array(4.0)})
    np.testing.assert_array_equal(end["one"]["q"], [[0.5, 0.5, 1, 1]] * 2)
    np.testing.assert_array_equal(end["one"]["v"], params["one"]["v"])
    np.testing.assert_array_equal(end["two"]["q"], params["two"]["q"] / 4)


def test_qk_clip_of_one_head():
    """Without axes the whole array is one; it is the weight after the step that shrinks."""
    params, grads = {"q": jnp.ones((2, 4))}, {"q": jnp.full((2, 4), 2.0)}
    tx = gd.chain(gd.sgd(0.25), gd.qk_clip(1.0, query_alone="q"))
    for logit, factor in ((4.0, 0.25), (0.5, 1.0)):
        u, _ = tx.update(grads, tx.init(params), params, max_logits={"q": jnp.asarray(logit)})
        np.testing.assert_array_equal(params["q"] + u["q"], np.full((2, 4), 0.5 * factor))


def test_qk_clip_tells_what_is_missing():
    params = {"q": jnp.ones((2, 4)), "k": jnp.ones((2, 4))}
    tx = gd.qk_clip(1.0, "q", "k", matrix_axes="in (2 out)")
    state = tx.init(params)
    with pytest.raises(ValueError, match="an entry for 'k'"):
        tx.update(params, state, params, max_logits={"q": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"heads of 'k', \(2,\), got shape \(3,\)"):
        tx.update(params, state, params, max_logits=jnp.ones(3))


def test_the_largest_singular_value_of_many_alike():
    """Its square is a small share of the sum of squares by which it is found."""
    g = 3.0 * jnp.eye(8)
    u, _ = gd.normalize_matrices("spectral").update(g, gd.EmptyState())
    np.testing.assert_allclose(u, np.eye(8), atol=1e-6)


def test_names_are_checked():
    with pytest.raises(ValueError, match="norm must be one of frobenius, rms"):
        gd.normalize_matrices("nuclear")
    with pytest.raises(ValueError, match="norm must be one of spectral, sign"):
        gd.scale_by_lmo("nuclear")
    with pytest.raises(ValueError, match=r"fraction must lie in \(0, 1\]"):
        gd.scale_by_dion2(0.0)
