"""8-bit floating-point codes: those of ml_dtypes, whatever the compiler converts by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit.float8 import FLOATS, decode, encode

NAMES = pytest.mark.parametrize("name", FLOATS)


@NAMES
def test_codes_are_the_nearest(name):
    """Numbers between two halves of float16 are among them, which a detour rounds twice."""
    kind, most = np.dtype(FLOATS[name]), float(jnp.finfo(FLOATS[name]).max)
    rng = np.random.default_rng(0)
    x = (rng.choice([-1, 1], 20_000) * 2 ** rng.uniform(-35, 0, 20_000)).astype(np.float32)
    middles = np.float32(most / 2) * (1 + 2.0 ** -jnp.finfo(kind).nmant / 2) * (1 + 1e-6)
    x = np.append(x, [1, -1, 0, middles / most]).astype(np.float32)
    codes = np.asarray(jax.jit(encode, static_argnums=(1, 2))(jnp.asarray(x), name, False))
    expected = (x * np.float32(most)).astype(kind)
    np.testing.assert_array_equal(codes.view(kind).astype(np.float32), expected.astype(np.float32))


@NAMES
def test_every_code_is_its_number(name):
    kind = np.dtype(FLOATS[name])
    codes = np.arange(256, dtype=np.uint8)
    numbers = codes.view(kind).astype(np.float32) / float(jnp.finfo(kind).max)
    got = np.asarray(jax.jit(decode, static_argnums=(1, 2))(codes, name, "float32"))
    np.testing.assert_allclose(got, numbers, rtol=2**-22)
    finite = np.isfinite(numbers)
    again = np.asarray(encode(jnp.asarray(got[finite]), name, False))
    np.testing.assert_array_equal(again, codes[finite])
