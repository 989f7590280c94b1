"""Codebooks of 8 bits: numbers, codes, and those of other packages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit.codebooks import CODEBOOKS, codebook, decode, encode
from tests.core.lowbit.stored import BOTH, PACKAGES, RECORDED, stored_as


@BOTH
@pytest.mark.parametrize("package", PACKAGES)
def test_the_dynamic_map_is_bit_for_bit_that_of(package, square):
    expected = RECORDED[f"{package}/book_{'unsigned' if square else 'signed'}"]
    np.testing.assert_array_equal(codebook("8bit", square), expected, strict=True)


@BOTH
@pytest.mark.parametrize("name", CODEBOOKS)
def test_every_number_of_a_book_has_its_code(name, square):
    numbers = codebook(name, square)
    codes = np.asarray(encode(jnp.asarray(numbers), name, square))
    np.testing.assert_array_equal(numbers[codes], numbers)
    assert numbers[0 if square else 127] == 0 and numbers.max() == 1
    assert len(np.unique(numbers)) >= 255 and np.all(np.diff(numbers) >= 0)


@BOTH
@pytest.mark.parametrize("name", CODEBOOKS)
def test_codes_stand_for_the_numbers_of_the_book(name, square):
    """Bit for bit in the dynamic map; XLA may divide by a constant as it likes."""
    codes, numbers = jnp.arange(256, dtype=jnp.uint8), codebook(name, square)
    decoded = np.asarray(jax.jit(decode, static_argnums=(1, 2, 3))(codes, name, square, "float32"))
    exact = name == "8bit" or (square and name == "8bit-linear")
    np.testing.assert_allclose(decoded, numbers, rtol=0 if exact else 2**-23, strict=True)
    assert decoded[-1] == 1 and decoded[0 if square else 127] == 0


@BOTH
def test_codes_of_the_dynamic_map_are_the_nearest(square):
    numbers = codebook("8bit", square).astype(np.float64)
    tiny = 10 ** np.random.default_rng(0).uniform(-8, 0, 20_000)
    sign = 1 if square else np.random.default_rng(1).choice([-1, 1], 20_000)
    x = (tiny * sign).astype(np.float32)
    codes = np.asarray(encode(jnp.asarray(x), "8bit", square))
    nearest = np.abs(x[:, None] - numbers).min(1)
    # a number between two codes may go either way by float32's rounding
    assert np.all(np.abs(x - numbers[codes]) <= nearest * (1 + 1e-4))


def test_companded_codes_are_those_of_the_paper():
    x = np.linspace(-1, 1, 1001).astype(np.float32)
    signed = np.asarray(encode(jnp.asarray(x), "8bit-companded", False)).astype(int) - 127
    np.testing.assert_array_equal(signed, np.round(127 * (2 * x / (1 + np.abs(x)))))
    root = np.sqrt(np.abs(x))
    square = np.asarray(encode(jnp.abs(jnp.asarray(x)), "8bit-companded", True)).astype(int)
    np.testing.assert_array_equal(square, np.round(255 * root))
    z = signed / 127
    np.testing.assert_allclose(codebook("8bit-companded", False)[signed + 127], z / (2 - np.abs(z)))
    np.testing.assert_allclose(
        codebook("8bit-companded", True)[square], (square / 255) ** 2, rtol=1e-6
    )


@BOTH
def test_codes_agree_with_bitsandbytes(square):
    """All but those that lie between two codes; its search on CPU is not always the nearest."""
    x = RECORDED["bitsandbytes/numbers"]
    x = x * x if square else x
    ours = stored_as(jnp.asarray(x), "8bit", square)
    theirs = RECORDED[f"bitsandbytes/codes_{'unsigned' if square else 'signed'}"]
    largest = np.abs(x).max(1, keepdims=True)
    numbers = np.asarray(ours.value())
    other = codebook("8bit", square)[theirs] * largest
    apart = numbers != other
    mirrored = (np.asarray(ours.scale) < 0) & (x == -largest)  # −1 has no code there
    assert np.mean(apart) < 0.05
    # where they differ ours is the nearer, to float32's rounding
    nearer = np.abs(numbers - x) <= np.abs(other - x) * (1 + 1e-3)
    small = square & (x < largest * 4e-7)  # no positive square becomes 0
    assert np.all((nearer | small | mirrored)[apart])
