"""Codes of four bits: the books and codes of torchao, and stochastic rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit.four_bits import book, decode, encode
from gdjax.core.lowbit.quantized import Quantized
from tests.core.lowbit.stored import BOTH, RECORDED, stored_as

NAMES = {False: "signed", True: "unsigned"}


@BOTH
def test_the_book_is_bit_for_bit_that_of_torchao(square):
    expected = RECORDED[f"torchao/book4_{NAMES[square]}"]
    np.testing.assert_array_equal(book(square), expected, strict=True)
    codes = jnp.arange(16).astype(jnp.uint4)
    decoded = np.asarray(jax.jit(decode, static_argnums=(1, 2))(codes, square, "float32"))
    np.testing.assert_array_equal(decoded, expected, strict=True)


@BOTH
def test_codes_are_those_of_torchao(square):
    x = RECORDED["bitsandbytes/numbers"]
    x = (x * x if square else x).reshape(-1, 128)
    scaled = x / np.abs(x).max(1, keepdims=True)
    codes = np.asarray(jax.jit(encode, static_argnums=1)(jnp.asarray(scaled), square))
    expected = RECORDED[f"torchao/codes4_{NAMES[square]}"].reshape(-1, 128)
    np.testing.assert_array_equal(codes.astype(np.uint8), expected)


@pytest.mark.parametrize("format", ("4bit", "float8_e4m3fn", "float8_e5m2"))
def test_squares_are_right_on_average(format):
    """From the smallest code on; numbers that have a code keep it."""
    x = jnp.concatenate([jnp.linspace(0.0626, 0.999, 255), jnp.ones(1)])
    seeds = jnp.arange(2000, dtype=jnp.uint32)
    mean = jax.vmap(lambda seed: stored_as(x, format, True, seed=seed).value())(seeds).mean(0)
    # half of a cell is at most 1/32 of 1, or an eighth (a quarter) of the number itself
    error = {"4bit": 1 / 32, "float8_e4m3fn": x / 16, "float8_e5m2": x / 8}[format]
    assert np.all(np.abs(mean - x) < 5 * error / np.sqrt(2000) + 1e-6)
    once = stored_as(x, format, True, seed=3)
    for word in range(50):
        again = once.requantize(once.value(), jnp.uint32(word))
        np.testing.assert_array_equal(again.codes, once.codes)


def test_two_codes_are_one_byte_of_a_program():
    stored = jax.eval_shape(lambda: Quantized.of(jnp.zeros((64, 256)), "4bit", block=128))
    again = lambda x: x.requantize(x.value())
    memory = jax.jit(again).lower(stored).compile().memory_analysis()
    assert memory.argument_size_in_bytes == 64 * 128 + 64 * 2 * 4
