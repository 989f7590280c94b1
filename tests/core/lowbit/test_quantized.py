"""Arrays in few bits, in blocks with a scale: errors, dtypes, structure."""

import json

import chex
import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from gdjax.core.lowbit.codebooks import CODEBOOKS
from gdjax.core.lowbit.quantized import FORMATS, Quantized, block_shape, parts_of
from tests.core.lowbit.stored import BOTH, normal, stored_again, stored_as, value_of
from tests.helpers import first, mesh_of

SHAPES = [(1000,), (7, 300), (100, 10), (3, 3, 5, 64), (), (0, 3)]


@BOTH
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", first(3, SHAPES), ids=str)
def test_stored_twice_is_stored_once(shape, format, square):
    x = normal(shape, square=square)
    once = stored_as(x, format, square)
    assert once.shape == x.shape == value_of(once).shape and once.dtype == x.dtype
    twice = stored_again(once, jnp.uint32(7))
    chex.assert_trees_all_equal(once, twice)


@BOTH
@pytest.mark.parametrize("format", CODEBOOKS)
@pytest.mark.parametrize("dtype", first(1, (jnp.bfloat16, jnp.float16, jnp.float64)), ids=str)
def test_other_dtypes(dtype, format, square, x64):
    x = normal((4, 512), square=square).astype(dtype)
    once = stored_as(x, format, square)
    assert value_of(once).dtype == x.dtype
    assert once.scale.dtype == (jnp.float64 if dtype == jnp.float64 else jnp.float32)
    if not (square and dtype == jnp.float16):  # whose range is too small for it
        chex.assert_trees_all_equal(once, stored_again(once))
    huge = stored_as(jnp.asarray([jnp.finfo(dtype).max, 0], dtype), format, square)
    assert np.isfinite(value_of(huge).astype(float)).all()


FLOATS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)


@BOTH
@hypothesis.given(
    x=hnp.arrays(np.float32, st.sampled_from([(20,), (3, 40), (5, 3, 2)]), elements=FLOATS)
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_error_of_a_block(square, x):
    """Half of the cell: at most 0.45 of the number itself, or a half of the smallest code."""
    x = np.abs(x) if square else x
    sides = block_shape(x.shape, 16)
    y = np.asarray(value_of(stored_as(jnp.asarray(x), "8bit", square, 16)))
    top = np.zeros_like(x)
    for corner in np.ndindex(*(-(-n // side) for n, side in zip(x.shape, sides))):
        box = tuple(slice(i * side, (i + 1) * side) for i, side in zip(corner, sides))
        top[box] = np.abs(x[box]).max(initial=0)
    # decade i has a cell of 0.9/2ⁱ⁺¹ (squares) or 0.9/2ⁱ of its top, 10 of which are its bottom
    decade = np.clip(np.ceil(np.log10(np.maximum(np.abs(x) / np.maximum(top, 1e-38), 1e-7))), -6, 0)
    cell = 0.9 * 10.0**decade / 2 ** (decade + (7 if square else 6))
    # between decades the next cell may be the wider; a positive square goes up to 3.25e-7
    bound = np.maximum(cell * 5 + 1e-6, 4e-7) * top / 2 + 1.2e-38
    assert np.all(np.abs(y - x) <= bound * (1 + 1e-5))
    np.testing.assert_array_equal(np.abs(y)[x == top], x[x == top])
    assert np.all((y > 0) == (x > 0)) if square else np.all(np.sign(y) * np.sign(x) >= 0)


@BOTH
def test_the_largest_of_a_block_is_exact(square):
    x = normal((64, 256), square=square)
    y = np.asarray(Quantized.of(x, "8bit", square=square).value())
    at = np.abs(x).argmax(1)[:, None]
    np.testing.assert_array_equal(
        np.take_along_axis(y, at, 1), np.take_along_axis(np.asarray(x), at, 1)
    )
    # on average a quarter of a cell, of which the widest are 0.9/128 and 0.9/64 of the largest
    cell = 0.9 / (128 if square else 64) * np.abs(x).max(1)
    assert 0.02 < np.abs(y - np.asarray(x)).mean() / cell.mean() < 0.26


@pytest.mark.parametrize("format", FORMATS)
def test_no_positive_square_becomes_zero(format):
    zeros = [] if format == "4bit" else [0.0, -0.0]  # which has no zero
    x = jnp.asarray([1e30, 1.0, 1e-10, 1e-37, 2e-38, *zeros], jnp.float32)
    y = value_of(stored_as(x, format, True))
    np.testing.assert_array_equal(y > 0, x > 0)
    for seed in range(20):
        rounded = value_of(stored_as(x, format, True, seed=jnp.uint32(seed)))
        np.testing.assert_array_equal(rounded > 0, x > 0)
    for small in ([1e-37, 2e-38, 1.2e-38, 0], [1.8e-37, 1.2e-38, 1.2e-38, 0]):
        stored = stored_as(jnp.asarray(small), format, True)  # the product with a code underflows
        assert np.all(value_of(stored)[:3] > 0)


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in ("bf16", "4bit")])
def test_small_squares_have_the_smallest_code(format):
    assert Quantized.of(jnp.asarray([1.0, 1e-30]), format, square=True).codes[1] == 1
    half = Quantized.of(jnp.asarray([1.0, 1e-7], jnp.float16), format, square=True)
    if format != "float8_e4m3fn":  # its smallest number is larger
        assert half.value()[1] == jnp.finfo(jnp.float16).tiny


@BOTH
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("bad", (np.nan, np.inf), ids=str)
def test_what_is_not_finite_is_seen(bad, format, square):
    x = np.ones((2, 8), np.float32)
    x[0, 3] = bad
    for seed in (None, 5):
        y = np.asarray(value_of(stored_as(jnp.asarray(x), format, square, 8, seed)))
        assert not np.isfinite(y[0, 3])
        if format != "bf16":
            assert np.isnan(y[0]).all()  # the whole block
        np.testing.assert_array_equal(y[1], x[1])
        all_bad = value_of(stored_as(jnp.full((2, 8), bad, jnp.float32), format, square, 8, seed))
        assert not np.isfinite(all_bad).any()


@BOTH
@pytest.mark.parametrize("format", FORMATS)
def test_zeros_and_the_smallest_numbers(format, square):
    x = jnp.asarray([0.0, -0.0, 1e-40, 1e-45], jnp.float32)
    y = np.asarray(value_of(stored_as(x, format, square)))
    assert np.isfinite(y).all() and np.all(y[:2] == 0) and np.all(np.abs(y) <= 2e-38)


def test_only_real_numbers_are_stored():
    with pytest.raises(ValueError, match="real and floating-point, got dtype..complex64"):
        Quantized.of(jnp.ones(3, jnp.complex64), "8bit")
    with pytest.raises(ValueError, match="Did you mean 8bit"):
        Quantized.of(jnp.ones(3), "8bits")


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_a_pytree_that_says_its_form(format):
    stored = Quantized.of(normal((6, 40)), format, block=16)
    paths = [jax.tree_util.keystr(k) for k, _ in jax.tree_util.tree_leaves_with_path(stored)]
    assert paths == [f".{part}" for part in parts_of(format)]
    form = json.loads(json.dumps(stored.form))
    again = Quantized.build(form, jax.tree.leaves(stored))
    assert jax.tree.structure(again) == jax.tree.structure(stored) and again.form == stored.form
    np.testing.assert_array_equal(again.value(), stored.value())
    with pytest.raises(ValueError, match="codes must be"):
        Quantized.build(form, [stored.codes[:3], *jax.tree.leaves(stored.scale)])
    abstract = jax.eval_shape(lambda: stored)
    assert abstract.form == stored.form and abstract.shape == (6, 40)
    assert jax.eval_shape(Quantized.value, abstract).shape == (6, 40)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_more_axes_in_front(format):
    """What vmap makes is read and written outside of it too."""
    x = normal((3, 20, 10))
    mapped = jax.vmap(lambda x: Quantized.of(x, format))(x)
    each = [Quantized.of(one, format).value() for one in x]
    np.testing.assert_array_equal(jax.vmap(Quantized.value)(mapped), jnp.stack(each))
    np.testing.assert_array_equal(mapped.value(), jnp.stack(each))
    if format != "bf16":
        chex.assert_trees_all_equal(mapped.requantize(x), mapped)


def test_blocks_do_not_cross_shards():
    """Each block lies in one shard wherever a shard has a multiple of a power of two of rows."""
    assert block_shape((1024, 4096), 256) == (1, 256)
    assert block_shape((128, 128), 256) == (2, 128)
    assert block_shape((1024, 10), 256) == (16, 10)
    assert block_shape((3, 3, 32, 64), 256) == (1, 1, 4, 64)
    assert block_shape((300,), 256) == (256,) and block_shape((), 256) == ()
    assert block_shape((1024, 2), 256) == (128, 2) and block_shape((300, 1), 100) == (100, 1)


@pytest.mark.parametrize(
    ("shape", "split", "stays"),
    [
        *(((16, 256), 0, True), ((24, 100), 0, False)),  # blocks of 1 × 256, 2 × 100
        *(((16, 2048), 1, True), ((16, 512), 1, False)),  # 1 × 256
    ],
)
def test_scales_are_split_as_the_array_where_shards_have_whole_blocks(shape, split, stays):
    mesh = mesh_of("Explicit")
    spec = P(*("data" if i == split else None for i in range(2)))
    x = normal(shape)
    with jax.set_mesh(mesh):
        found = Quantized.of(jax.device_put(x, NamedSharding(mesh, spec)), "8bit", block=256)
    assert jax.typeof(found.scale).sharding.spec == (spec if stays else P(None, None))
    np.testing.assert_array_equal(found.value(), Quantized.of(x, "8bit", block=256).value())


def test_rounding_at_random_is_right_on_average():
    x = jnp.full(1 << 16, 1.0 + 0.3 * 2**-7, jnp.float32)
    y = np.asarray(Quantized.of(x, "bf16", square=True, seed=3).value())
    assert set(np.unique(y)) == {1.0, 1.0078125}
    share = (y > 1).mean()  # binomial: 0.3 ± 0.0018
    assert abs(share - 0.3) < 4 * np.sqrt(0.21 / y.size)
    others = np.asarray(Quantized.of(x, "bf16", square=True, seed=4).value()) > 1
    assert abs((others & (y > 1)).mean() - 0.09) < 4 * np.sqrt(0.09 * 0.91 / y.size)
    neighbours = ((y > 1)[1:] & (y > 1)[:-1]).mean()
    assert abs(neighbours - 0.09) < 6 * np.sqrt(0.09 * 0.91 / y.size)
    np.testing.assert_array_equal(Quantized.of(x, "bf16", square=True).value(), 1.0)  # to nearest
