"""State in few bits: the maps, the arrays, what an optimizer makes of them."""

import functools
import importlib
import json

import chex
import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.lowbit.codebooks import CODEBOOKS, codebook, encode
from gdjax.core.lowbit.quantized import FORMATS, Quantized, block_shape
from gdjax.core.rule.roles import map_fields
from gdjax.lab.problems import problem as problem_named

from .oracles import store_problem as problem
from .row import recordings

module = importlib.import_module("gdjax.wrappers.memory.store")
RECORDED = recordings("store")
PACKAGES = ("bitsandbytes", "torchao")
BOTH = pytest.mark.parametrize("square", (False, True), ids=("signed", "square"))


def normal(shape, seed=0, square=False):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return jnp.asarray(x * x if square else x)


# the maps


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


# arrays

SHAPES = [(1000,), (7, 300), (100, 10), (3, 3, 5, 64), (), (0, 3)]


@functools.partial(jax.jit, static_argnames=("format", "square", "block"))
def stored_as(x, format, square=False, block=256, seed=None):
    return Quantized.of(x, format, square=square, block=block, seed=seed)


@jax.jit
def stored_again(stored, seed=None):
    return stored.requantize(stored.value(), seed)


value_of = jax.jit(Quantized.value)


@BOTH
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_stored_twice_is_stored_once(shape, format, square):
    x = normal(shape, square=square)
    once = stored_as(x, format, square)
    assert once.shape == x.shape == value_of(once).shape and once.dtype == x.dtype
    twice = stored_again(once, jnp.uint32(7))
    chex.assert_trees_all_equal(once, twice)


@BOTH
@pytest.mark.parametrize("format", CODEBOOKS)
@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16, jnp.float64), ids=str)
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
    x = jnp.asarray([1e30, 1.0, 1e-10, 1e-37, 2e-38, 0.0, -0.0], jnp.float32)
    y = value_of(stored_as(x, format, True))
    np.testing.assert_array_equal(y > 0, x > 0)
    for seed in range(20):
        rounded = value_of(stored_as(x, format, True, seed=jnp.uint32(seed)))
        np.testing.assert_array_equal(rounded > 0, x > 0)
    small = jnp.asarray([1e-37, 2e-38, 1.2e-38, 0])  # the product with a code underflows
    assert np.all(value_of(stored_as(small, format, True))[:3] > 0)


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
    assert paths == [".codes", ".scale"] and Quantized.parts == ("codes", "scale")
    form = json.loads(json.dumps(stored.form))
    again = Quantized.build(form, jax.tree.leaves(stored))
    assert jax.tree.structure(again) == jax.tree.structure(stored) and again.form == stored.form
    np.testing.assert_array_equal(again.value(), stored.value())
    with pytest.raises(ValueError, match="codes must be"):
        Quantized.build(form, [stored.codes[:3], stored.scale])
    abstract = jax.eval_shape(lambda: stored)
    assert abstract.form == stored.form and abstract.shape == (6, 40)
    assert jax.eval_shape(Quantized.value, abstract).shape == (6, 40)


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


# bfloat16 at random


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


def test_a_second_moment_in_bfloat16_decays():
    """By 0.999 a step; to nearest it would stand still for ever."""
    params = jnp.ones((64, 64))
    tx = gd.store(gd.rmsprop(1e-3, decay=0.999, eps=1e-3), "bf16")
    state = tx.init(params)
    _, state = tx.update(jnp.ones_like(params), state, params)
    start = gd.state.find(state, "nu").value().mean()

    def body(state, _):
        return tx.update(jnp.zeros_like(params), state, params)[1], None

    state, _ = jax.jit(lambda s: jax.lax.scan(body, s, length=1000))(state)
    left = gd.state.find(state, "nu").value().mean() / start
    # a step's variance is at most (2⁻⁸)²/4·ν²: over 1000 steps and 4096 entries 0.001
    assert abs(left / 0.999**1000 - 1) < 4 * np.sqrt(1000 * 2**-18 / 4096) + 1e-3
    assert jnp.asarray(0.999 * 1.0, jnp.bfloat16) == 1.0  # the trap


# the wrapper


def trajectory(tx):
    def body(carry, t):
        params, state = carry
        grads = jnp.asarray(problem._CURVATURE, jnp.float32) * (params - problem._OPTIMUM)
        grads = grads + 0.1 * jnp.asarray(problem._NOISE, jnp.float32)[t]
        params, state = tx.step(grads.astype(jnp.float32), state, params)
        return (params, state), params

    params = jnp.asarray(problem.start())
    steps = jnp.arange(problem.STEPS)
    path = jax.jit(lambda: jax.lax.scan(body, (params, tx.init(params)), steps)[1])()
    return np.asarray(path)[np.asarray(problem.SEEN) - 1]


ADAMW = gd.adamw(1e-2, 0.9, 0.99, 1e-8, weight_decay=0.1)


@pytest.mark.parametrize("package", PACKAGES)
def test_adamw_in_8_bits_is_that_of(package):
    """Nearer to it than it is to AdamW: what is left is where ties go and what −1 becomes."""
    theirs = RECORDED[f"{package}/adamw8bit"]
    ours, exact = trajectory(gd.store(ADAMW, "8bit")), trajectory(ADAMW)
    root = lambda x: np.sqrt((x**2).mean((1, 2)))
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)  # one step: nothing was rounded yet
    np.testing.assert_array_less(root(ours - theirs)[1:], 0.5 * root(theirs - exact)[1:])
    np.testing.assert_array_less(root(ours - exact)[1:], 1.2 * root(theirs - exact)[1:])


def test_bytes_of_state():
    params = {"w": jnp.zeros((512, 1024)), "b": jnp.zeros(256)}
    size = lambda tx: sum(x.nbytes for x in jax.tree.leaves(tx.init({"w": params["w"]})))
    per = lambda tx: round(size(tx) / params["w"].size, 3)
    adamw = gd.adamw(1e-3)
    assert per(adamw) == 8.0
    assert per(gd.store(adamw, "8bit")) == 2.031 == round(2 + 2 * 4 / 256, 3)
    assert per(gd.store(adamw, "bf16")) == 4.0
    assert per(gd.store(adamw, {"mu": "8bit"})) == 5.016
    assert per(gd.store(adamw, {"mu": "8bit-companded", "nu": "bf16"}, block=32)) == 3.125
    assert per(gd.store(gd.sgd(1e-3, momentum=0.9), "8bit-linear")) == 1.016


def test_what_is_stored_and_what_stays():
    params = {
        "large": jnp.ones((64, 64)),
        "small": jnp.ones(4095),
        "complex": jnp.ones((64, 64), jnp.complex64),
        "none": None,
        "steps": jnp.arange(5000),
    }
    grads = {**params, "steps": np.zeros(5000, jax.dtypes.float0)}
    tx = gd.store(gd.adamw(1e-3), "8bit")
    updates, state = tx.update(grads, tx.init(params), params)
    mu = gd.state.find(state, "mu")
    assert isinstance(mu["large"], Quantized) and not mu["large"].kind.square
    assert gd.state.find(state, "nu")["large"].kind.square
    assert mu["small"].dtype == jnp.float32 and mu["complex"].dtype == jnp.complex64
    assert mu["none"] is None and mu["steps"] is None
    named = gd.store(gd.adamw(1e-3), {"nu": "bf16"}).init(params)
    assert gd.state.find(named, "nu")["large"].codes.dtype == jnp.bfloat16
    assert gd.state.find(named, "mu")["large"].dtype == jnp.float32
    assert not isinstance(gd.state.find(named, "mu")["large"], Quantized)


def test_it_is_the_transformation_on_what_was_stored():
    params = {"w": normal((64, 64))}
    tx = gd.store(gd.adam(1e-2), "8bit")
    state = tx.init(params)
    for seed in range(3):
        wide = module._unpack(state.inner_state)
        expected, after = gd.adam(1e-2).update({"w": normal((64, 64), seed)}, wide, params)
        updates, state = tx.update({"w": normal((64, 64), seed)}, state, params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)
        mu = gd.state.find(state, "mu")["w"]
        chex.assert_trees_all_close(mu, mu.requantize(gd.state.find(after, "mu")["w"]))
    assert state.step == 3


def test_a_step_that_is_left_out_changes_no_bit():
    params = normal((64, 64))
    tx = gd.store(gd.apply_if_finite(gd.adam(1e-2)), {"mu": "8bit", "nu": "bf16"})
    _, state = tx.update(normal((64, 64), 1), tx.init(params), params)
    _, after = tx.update(jnp.full((64, 64), jnp.nan), state, params)
    for name in ("mu", "nu"):
        chex.assert_trees_all_equal(gd.state.find(after, name), gd.state.find(state, name))


def test_evaluation_point_and_hyperparameters_are_those_inside():
    params = normal((64, 64))
    inner = gd.schedule_free_adamw(1e-2) if hasattr(gd, "schedule_free_adamw") else None
    inner = inner or gd.schedule_free(gd.adam(1e-2), 1e-2)
    tx = gd.store(inner, "8bit")
    state = tx.init(params)
    params, state = tx.step(normal((64, 64), 1), state, params)
    point = gd.state.eval_params(tx, state, params)
    wide = module._unpack(state.inner_state)
    np.testing.assert_array_equal(point, gd.state.eval_params(inner, wide, params))
    live = gd.store(gd.adam(gd.live(0.1)), "8bit")
    state = gd.state.set_hyperparams(live, live.init(params), {"inner/learning_rate": 0.5})
    assert gd.state.hyperparams(live, state)["inner/learning_rate"] == 0.5


def test_errors_say_what_there_is():
    with pytest.raises(ValueError, match="Did you mean 8bit"):
        gd.store(gd.adam(1e-3), "8-bit")
    with pytest.raises(ValueError, match="Did you mean mu"):
        gd.store(gd.adam(1e-3), {"mux": "8bit"}).init(jnp.ones(3))
    with pytest.raises(ValueError, match="'slow' must be declared as a mean or a sum to be kept"):
        gd.store(gd.lookahead(gd.sgd(0.1), 2, 0.5), {"slow": "8bit"}).init(jnp.ones(3))
    gd.store(gd.lookahead(gd.sgd(0.1), 2, 0.5), {"slow": "bf16"}).init(jnp.ones(3))
    with pytest.raises(ValueError, match="block must be 1 or more"):
        gd.store(gd.adam(1e-3), block=0)


@pytest.mark.parametrize(
    "make",
    [
        gd.adam,
        gd.adamax,
        gd.amsgrad,
        gd.nadam,
        gd.adan,
        gd.lion,
        gd.yogi,
        gd.rmsprop,
        gd.adabelief,
        gd.adadelta,
        gd.adagrad,
        gd.sgd,
        gd.prodigy,
        gd.madgrad,
        gd.sm3,
    ],
    ids=lambda m: m.__name__,
)
def test_squares_are_real_and_never_negative(make):
    tx = make(momentum=0.9, learning_rate=0.1) if make is gd.sgd else make(learning_rate=0.1)
    params = normal((4, 5)).astype(jnp.complex64)
    _, after = tx.update(params, tx.init(params), params)
    seen = []

    def field(owner, name, role, value):
        if role is not None and role.moment:
            seen.append(name)
            leaves = [x for x in jax.tree.leaves(value) if x.shape == (4, 5)]
            assert all(jnp.iscomplexobj(x) != role.square for x in leaves), name
            assert all(jnp.all(x >= 0) for x in leaves if role.square), name

    map_fields(field, after)
    assert seen


def test_placed_as_the_parameters_are():
    """On eight devices, in a process of its own."""
    import subprocess
    import sys

    code = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
import jax, jax.numpy as jnp, numpy as np, gdjax as gd
from jax.sharding import NamedSharding, PartitionSpec as P
mesh = jax.sharding.Mesh(np.asarray(jax.devices()).reshape(4, 2), ("x", "y"))
tx = gd.store(gd.adam(1e-2), {"mu": "8bit", "nu": "bf16"}, block=64)
def numbers(k):
    return jnp.asarray(np.random.default_rng(k).standard_normal((64, 256)), jnp.float32)
def run(spec):
    put = lambda x: x if spec is None else jax.device_put(x, NamedSharding(mesh, spec))
    params = put(numbers(0))
    grads = [put(numbers(k)) for k in (1, 2)]
    state = jax.jit(tx.init)(params)
    for g in grads:
        _, state = jax.jit(tx.update)(g, state, params)
    return state
one = run(None)
for spec in (P("x"), P("x", "y"), P(None, "x")):
    many = run(spec)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many)):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    codes = gd.state.find(many, "mu").codes
    assert codes.sharding.is_equivalent_to(NamedSharding(mesh, spec), 2), codes.sharding
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_digits_train_as_well(format):
    """The loss of a network after training is within what seeds do to it."""
    digits = problem_named("digits_network")
    seeds = 6

    def ends(tx):
        def one(key):
            start, of_batches = jax.random.split(key)
            batch, params = digits.batches(of_batches), digits.init(start)

            def body(carry, t):
                params, state = carry
                grads = jax.grad(digits.loss)(params, batch(t))
                return tx.step(grads, state, params), None

            carry, _ = jax.lax.scan(body, (params, tx.init(params)), jnp.arange(500))
            return digits.loss(carry[0])

        return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), seeds))

    adamw = gd.adamw(1e-2)
    exact, stored = ends(adamw), ends(gd.store(adamw, format, min_size=64))
    noise = exact.std(ddof=1) * np.sqrt(2 / seeds)  # of the difference of two means
    assert stored.mean() < exact.mean() + 2 * noise, (exact, stored)


# in the memory of the host


def test_offload_moves_and_changes_nothing(monkeypatch):
    """On a CPU it leaves all where it is; here it moves as elsewhere, to pinned memory."""
    away = importlib.import_module("gdjax.wrappers.memory.offload")
    params, grads = (
        {"w": normal((64, 64)), "b": normal(3)},
        {"w": normal((64, 64), 1), "b": normal(3, 1)},
    )
    tx, plain = gd.offload(gd.store(gd.adam(0.1))), gd.store(gd.adam(0.1))
    kinds = lambda state: {x.sharding.memory_kind for x in jax.tree.leaves(state) if x.size >= 4096}
    assert kinds(tx.init(params)) == {"device"}
    monkeypatch.setattr(away, "_is_apart", lambda: True)
    state, expected = tx.init(params), plain.init(params)
    assert kinds(state) == {"pinned_host"}
    assert gd.state.find(state, "mu")["b"].sharding.memory_kind == "device"
    body = lambda state, _: (tx.update(grads, state, params)[1], None)
    for _ in range(2):
        updates, state = jax.jit(tx.update)(grads, state, params)
        theirs, expected = plain.update(grads, expected, params)
        chex.assert_trees_all_close(updates, theirs, rtol=1e-6)
        assert kinds(state) == {"pinned_host"}
    scanned, _ = jax.lax.scan(body, tx.init(params), length=2)
    assert kinds(scanned) == {"pinned_host"}
    chex.assert_trees_all_close(scanned.inner_state, expected, rtol=1e-6)


def test_offload_says_where_it_cannot(monkeypatch):
    class Device:
        platform = "other"

        def addressable_memories(self):
            return []

    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    with pytest.raises(RuntimeError, match="the device must have the memory 'pinned_host'"):
        gd.offload(gd.adam(0.1)).init(jnp.ones(3))
