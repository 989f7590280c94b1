"""What the tests of arrays in few bits share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit.quantized import Quantized
from tests.references import recordings

RECORDED = recordings("store")
PACKAGES = ("bitsandbytes", "torchao")
BOTH = pytest.mark.parametrize("square", (False, True), ids=("signed", "square"))


def normal(shape, seed=0, square=False):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return jnp.asarray(x * x if square else x)


@functools.partial(jax.jit, static_argnames=("format", "square", "block"))
def stored_as(x, format, square=False, block=256, seed=None):
    return Quantized.of(x, format, square=square, block=block, seed=seed)


@jax.jit
def stored_again(stored, word=None):
    return stored.requantize(stored.value(), word)


value_of = jax.jit(Quantized.value)
