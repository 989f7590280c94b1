"""Polar factors: by polynomials, in the Gram form, exactly, and their derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.matrix import polar, polar_coefficients
from tests.helpers import close, polar_of, single


@pytest.mark.parametrize("name, steps", [("polar_express", 8), ("deepseek", 10), ("classical", 25)])
def test_polar_factors(name, steps, x64):
    x = np.random.default_rng(0).normal(size=(3, 4, 6))
    u, _, v = np.linalg.svd(x, full_matrices=False)
    found = polar.polar_factor(jnp.asarray(x), polar_coefficients.polynomials(name, steps))
    np.testing.assert_allclose(found, u @ v, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (2, 5, 5)])
@pytest.mark.parametrize("name, steps", [("standard", 5), ("polar_express", 8), ("deepseek", 10)])
def test_the_gram_form_is_the_same(name, steps, shape):
    x = single(*shape)
    how = polar_coefficients.polynomials(name, steps)
    gram = polar.polar_factor(x, how, gram=True)
    np.testing.assert_allclose(gram, polar.polar_factor(x, how), atol=1e-4)


@pytest.mark.parametrize("how", ["svd", "qdwh"])
def test_exact_polar_factors(how, x64):
    x = np.random.default_rng(0).normal(size=(3, 6, 4))
    x[1] *= 1e-30
    x[2, :, 3] = x[2, :, 2]  # of rank 3
    found = polar.polar_factor(jnp.asarray(x), how)
    close(list(found[:2]), [polar_of(x[0]), polar_of(x[1])], 0, 2e-5)
    assert np.linalg.norm(found, axis=(1, 2))[2] == pytest.approx(3**0.5 if how == "svd" else 2)
    assert not polar.polar_factor(jnp.zeros((2, 3)), how).any()


@pytest.mark.slow
def test_the_derivative_of_exact_polar_factors(x64):
    x, dx = (jnp.asarray(np.random.default_rng(k).normal(size=(3, 5))) for k in range(2))
    f = lambda x: polar.polar_factor(x, "svd")
    slope = jax.jvp(f, (x,), (dx,))[1]
    np.testing.assert_allclose(slope, (f(x + 1e-6 * dx) - f(x - 1e-6 * dx)) / 2e-6, atol=1e-8)
    assert np.isfinite(jax.jacobian(f)(jnp.zeros((2, 3)))).all()
