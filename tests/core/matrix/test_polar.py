"""Polar factors: by polynomials, in the Gram form, exactly, and their derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.matrix import polar, polar_coefficients
from tests.helpers import close, polar_of, single


@pytest.mark.parametrize(
    "name, steps", [("polar_express", 8), ("deepseek", 10), ("cans", 11), ("classical", 25)]
)
def test_polar_factors(name, steps, x64):
    x = np.random.default_rng(0).normal(size=(3, 4, 6))
    u, _, v = np.linalg.svd(x, full_matrices=False)
    found = polar.polar_factor(jnp.asarray(x), polar_coefficients.polynomials(name, steps))
    np.testing.assert_allclose(found, u @ v, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (2, 5, 5)])
@pytest.mark.parametrize(
    "name, steps", [("standard", 5), ("polar_express", 8), ("deepseek", 10), ("cans", 10)]
)
def test_the_gram_form_is_the_same(name, steps, shape):
    x = single(*shape)
    how = polar_coefficients.polynomials(name, steps)
    gram = polar.polar_factor(x, how, gram=True)
    np.testing.assert_allclose(gram, polar.polar_factor(x, how), atol=1e-4)


# Relative distance to float64's result. The greatest of gaussian matrices [64, 160] of seeds 0 to 4
# was 0.026, 0.0076, 0.0063 and 0.0075.
NEAR = {("standard", 5): 3.3e-2, ("polar_express", 8): 1.1e-2, ("deepseek", 10): 1e-2}
NEAR |= {("cans", 10): 1.1e-2}


def _narrow(name, steps):
    return polar_coefficients.polar_steps("test", "backend", name, steps, jnp.bfloat16)


@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize("name, steps", NEAR)
def test_in_16_bits(name, steps, gram, x64):
    how = _narrow(name, steps)
    x = np.random.default_rng(5).normal(size=(64, 160))
    right = polar.polar_factor(jnp.asarray(x), how)
    for scale in (1, 1e30, 1e-30):
        given = jnp.asarray(x * scale, jnp.float32)
        found = polar.polar_factor(given, how, gram=gram, dtype=jnp.bfloat16)
        assert found.dtype == jnp.float32
        away = np.linalg.norm(np.asarray(found) - np.asarray(right)) / np.linalg.norm(right)
        assert 1e-4 < away < NEAR[name, steps]  # it is in 16 bits, and near
    assert not polar.polar_factor(jnp.zeros((2, 3)), how, gram=gram, dtype=jnp.bfloat16).any()


@pytest.mark.parametrize("gram", [False, True])
def test_sums_in_16_bits_are_wide(gram):
    """Of 2000 equal squares a sum in bfloat16 would stop growing at a tenth."""
    x = jnp.zeros((2, 2000), jnp.float32).at[0].set(1.0).at[1, ::2].set(1.0)
    x = x.at[1, 1::2].set(-1.0)
    how = _narrow("polar_express", 8)
    found = polar.polar_factor(x, how, gram=gram, dtype=jnp.bfloat16)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-2)


@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize(
    "name, steps, most",
    [*((*each, 1.25) for each in NEAR), ("polar_express", 5, 1.25), ("cans", 7, 1.31)],
)
def test_stable_in_16_bits(name, steps, most, gram):
    """Rounding takes no singular value to where polynomials grow; R has no negative ones."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(n, 64)))[0] for n in (64, 256))
    for sigma in (np.logspace(0, -3, 64), np.eye(64)[0], np.ones(64)):
        x = jnp.asarray(u * sigma @ v.T, jnp.float32)
        found = polar.polar_factor(x, _narrow(name, steps), gram=gram, dtype=jnp.bfloat16)
        assert np.linalg.norm(found, 2) < most


def test_what_has_no_16_bits():
    x = jnp.ones((2, 3), jnp.complex64)
    with pytest.raises(ValueError, match="dtype must be None or complex for a matrix of complex64"):
        polar.polar_factor(x, polar_coefficients.polynomials("standard", 5), dtype=jnp.bfloat16)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
@pytest.mark.parametrize("scaling", polar.SCALINGS)
def test_scalings_lead_to_a_spectral_norm_of_1_at_most(scaling, shape, x64):
    x = np.random.default_rng(1).normal(size=shape)
    x /= np.linalg.norm(x, axis=(-2, -1), keepdims=True)
    gram = x @ np.swapaxes(x, -1, -2)
    by = {
        "frobenius": np.ones(shape[:-1]),
        "spectral": np.linalg.norm(x, 2, axis=(-2, -1))[..., None] * np.ones(shape[-2]),
        "schatten": np.linalg.norm(gram, axis=(-2, -1))[..., None] ** 0.5 * np.ones(shape[-2]),
        "aol": np.abs(gram).sum(-1) ** 0.5,
    }[scaling]
    scaled = polar.SCALINGS[scaling](jnp.asarray(x))
    np.testing.assert_allclose(scaled, x / by[..., None], rtol=1e-12)
    assert (np.linalg.norm(scaled, 2, axis=(-2, -1)) < 1 + 1e-12).all()


@pytest.mark.parametrize("n", [32, 63, 64, 128])
def test_the_gram_form_is_chosen_where_it_is_less_work(n):
    """From twice as many columns as rows on, for the five steps that are common."""
    how, x = polar_coefficients.polynomials("standard", 5), jnp.ones((32, n))
    work = lambda run: jax.jit(run).lower(x).cost_analysis()["flops"]
    plain = work(lambda x: polar.newton_schulz(x, how))  # a loop, whose body counts once
    gram = work(lambda x: polar.gram_newton_schulz(x, how))
    chosen = work(lambda x: polar.polar_factor(x, how, gram=True))
    assert abs(chosen - (gram if n >= 64 else plain)) < 0.05 * plain
    if n in (32, 64):
        assert (gram < 5 * plain) == (n == 64)


def test_the_largest_entry_of_a_leading_vector_is_positive(x64):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 6, 4)) + 1j * rng.normal(size=(2, 6, 4))
    for given in (x.real, x):
        u = np.asarray(polar.leading_vectors(jnp.asarray(given), 2))
        top = np.take_along_axis(u, np.abs(u).argmax(-2, keepdims=True), -2)
        np.testing.assert_allclose(top, np.abs(top), atol=1e-15)
        np.testing.assert_allclose(np.swapaxes(u, -1, -2).conj() @ u, [np.eye(2)] * 2, atol=1e-14)
        shares = np.linalg.norm(np.swapaxes(u, -1, -2).conj() @ given, axis=-1)
        np.testing.assert_allclose(shares, np.linalg.svd(given)[1][:, :2], rtol=1e-12)


@pytest.mark.parametrize("how", ["svd", "qdwh"])
def test_exact_polar_factors(how, x64):
    x = np.random.default_rng(0).normal(size=(3, 6, 4))
    x[1] *= 1e-30
    x[2, :, 3] = x[2, :, 2]  # of rank 3
    found = polar.polar_factor(jnp.asarray(x), how)
    close(list(found[:2]), [polar_of(x[0]), polar_of(x[1])], 0, 2e-5)
    assert np.linalg.norm(found, axis=(1, 2))[2] == pytest.approx(3**0.5 if how == "svd" else 2)
    assert not polar.polar_factor(jnp.zeros((2, 3)), how).any()
    for number in (3.0, -3.0):  # divided by its norm first
        found = polar.polar_factor(jnp.full((1, 1), number), how)
        np.testing.assert_allclose(found, [[np.sign(number)]], rtol=1e-12)


def test_exact_polar_factors_do_not_turn_where_a_singular_value_is_zero(x64):
    f = lambda x: polar.polar_factor(x, "svd")
    x = jnp.diag(jnp.asarray([3.0, 2.0, 0.0]))
    slope = lambda *at: jax.jvp(f, (x,), (jnp.zeros_like(x).at[at].set(1.0),))[1]
    for at in ((2, 2), (0, 2), (2, 1), (0, 0)):  # the last one changes a length only
        np.testing.assert_allclose(slope(*at), np.zeros((3, 3)), atol=1e-15)
    np.testing.assert_allclose(slope(0, 1)[:2, :2], [[0, 0.2], [-0.2, 0]], atol=1e-15)


@pytest.mark.slow
def test_the_derivative_of_exact_polar_factors(x64):
    x, dx = (jnp.asarray(np.random.default_rng(k).normal(size=(3, 5))) for k in range(2))
    f = lambda x: polar.polar_factor(x, "svd")
    slope = jax.jvp(f, (x,), (dx,))[1]
    np.testing.assert_allclose(slope, (f(x + 1e-6 * dx) - f(x - 1e-6 * dx)) / 2e-6, atol=1e-8)
    assert np.isfinite(jax.jacobian(f)(jnp.zeros((2, 3)))).all()
