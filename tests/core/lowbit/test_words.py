"""Words and positions, as Python's integers give them: a run that goes on has the same ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit import words


def hashed(x):
    """The hash of the source, of an integer below 2³²."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
    x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def test_the_hash_is_that_of_its_source():
    x = np.asarray([0, 1, 2, 255, 65536, 2**31, 2**32 - 1], np.uint32)
    np.testing.assert_array_equal(words.mix(jnp.asarray(x)), [hashed(int(i)) for i in x])


@pytest.mark.parametrize("step", [0, 1, 12345])
def test_words_of_a_step(step):
    found = words.words(jnp.asarray(step, jnp.int32), 4)
    expected = [hashed((hashed(step) + i * 0x9E3779B9) % 2**32) for i in (1, 2, 3, 4)]
    assert [int(word) for word in found] == expected and len(set(expected)) == 4
    assert all(word.dtype == jnp.uint32 and word.shape == () for word in found)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 3)])
def test_positions_count_row_by_row(shape):
    found = words.positions(shape)
    assert found.dtype == jnp.uint32
    np.testing.assert_array_equal(found, np.arange(np.prod(shape, dtype=int)).reshape(shape))


def test_an_axis_may_be_longer_than_32_bits_count():
    shape = (2, 2**32 + 3)
    assert jax.eval_shape(lambda: words.positions(shape)).shape == shape
