"""Rates by width and depth: the tables of the papers, a coordinate check, rates that carry over."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab.problems import digits_network
from tests.helpers import first

SMALL = 64


@functools.cache
def batches():
    with jax.ensure_compile_time_eval():  # it is called inside of traces
        return digits_network().batches(jax.random.key(1))


def init(width):
    """A network 64 → n → n → 10; the last layer smaller by the root of n over 64, as rows want."""
    rng = np.random.default_rng(0)

    def layer(n, m, deviation):
        kernel = deviation * rng.standard_normal((n, m))
        return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.zeros(m)}

    return {
        "input": layer(64, width, 64**-0.5),
        "hidden": layer(width, width, width**-0.5),
        "output": layer(width, 10, SMALL**0.5 / width),
    }


def shapes(width):
    return jax.eval_shape(lambda: init(width))


def activations(params, x):
    at = lambda name, x: jnp.matmul(x, params[name]["kernel"]) + params[name]["bias"][None]
    first = at("input", x)
    second = at("hidden", jnp.tanh(first))
    return {"input": first, "hidden": second, "output": at("output", jnp.tanh(second))}


def loss(params, batch):
    x, y = batch
    logits = jax.nn.log_softmax(activations(params, x)["output"])
    return -jnp.mean(jnp.take_along_axis(logits, y[:, None].astype(int), 1))


def train(tx, params, steps, seed=0):
    """The parameters after some steps, and the mean loss on the way."""

    def body(carry, t):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, batches()(t + 1000 * seed))
        return tx.step(grads, state, params), value

    (params, _), losses = jax.lax.scan(body, (params, tx.init(params)), jnp.arange(steps))
    return params, losses.mean()


MAKE = {
    "adam": gd.adam,
    "sgd": lambda rate: gd.sgd(rate, 0.9),
    "matrix": lambda rate: gd.chain(gd.scale_by_muon(), gd.scale_by_learning_rate(rate)),
}


def optimizer(name, rate, params, carried=True):
    tx = MAKE[name](rate)
    return gd.groups(tx, *gd.width_groups(params, shapes(SMALL), name)) if carried else tx


# The tables.


def factors(rows, params=None):
    """The factor of each parameter."""
    params = shapes(256) if params is None else params
    paths = jax.tree_util.tree_leaves_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
    said = dict.fromkeys(names, 1.0)
    for rule, factor in rows:
        for pattern in rule.arguments["patterns"]:
            said |= {name: factor for name in names if re.fullmatch(pattern, name)}
    return said


BIASES = {"input/bias": 1.0, "hidden/bias": 1.0, "output/bias": 1.0}


@pytest.mark.parametrize(
    "name, outputs, kernels, biases",
    [
        ("adam", "small", (1, 1 / 4, 1 / 4), 1),
        ("adam", "divided", (1, 1 / 4, 1), 1),
        ("sgd", "small", (4, 1, 1 / 4), 4),
        ("sgd", "divided", (4, 1, 4), 4),
        ("matrix", "small", (2, 1, 1 / 2), 1),
        ("matrix", "divided", (2, 1, 2), 1),
    ],
)
def test_tables_3_and_8(name, outputs, kernels, biases):
    got = factors(gd.width_groups(shapes(256), shapes(64), name, outputs=outputs))
    assert tuple(got[f"{layer}/kernel"] for layer in ("input", "hidden", "output")) == kernels
    assert (got["input/bias"], got["hidden/bias"], got["output/bias"]) == (biases, biases, 1)
    assert gd.width_groups(shapes(64), shapes(64), name, outputs=outputs) == ()


def test_axes():
    def model(n, h):
        return {
            "conv": jnp.zeros((3, 3, n, 2 * n)),
            "query": jnp.zeros((n, h, 8)),
            "unit": jnp.zeros((7, n)),
            "scale": jnp.zeros([]),
        }

    def rows(**given):
        return factors(gd.width_groups(model(64, 4), model(16, 1), "sgd", **given), model(1, 1))

    assert rows() == {"conv": 1, "query": 1, "unit": 4, "scale": 1}
    assert rows(transposed="unit")["unit"] == 1 / 4
    wide, small = {"w": jnp.zeros((8, 3, 4, 2))}, {"w": jnp.zeros((2, 3, 4, 2))}
    assert gd.width_groups(
        {"w": jnp.zeros((4, 8, 3))}, {"w": jnp.zeros((2, 2, 3))}, transposed=True
    )
    with pytest.raises(ValueError, match="those of inputs and outputs, at 'w'"):
        gd.width_groups(wide, small)
    with pytest.raises(ValueError, match="axes must be as many .* at 'w'"):
        gd.width_groups({"w": jnp.zeros(3)}, small)
    with pytest.raises(ValueError, match="lack 'v'"):
        gd.width_groups({"v": jnp.zeros(3)}, small)
    with pytest.raises(ValueError, match="got adamm. Did you mean adam"):
        gd.width_groups(small, small, "adamm")
    with pytest.raises(ValueError, match="outputs must be one of small, divided"):
        gd.width_groups(small, small, outputs="large")


def test_complete_p():
    def model(n):
        kernel, bias = jnp.zeros((n, n)), jnp.zeros(n)
        blocks = {"kernel": kernel, "bias": bias}
        return {"embed": jnp.zeros((9, n)), "blocks": blocks, "out": jnp.zeros((n, 9))}

    rows = gd.depth_groups(model(256), model(64), 4, "blocks/.*", alpha=0.5, weight_decay=True)
    base = gd.adamw(1.0, eps=1.0, weight_decay=1.0)
    tx = gd.groups(base, *rows)
    numbers = gd.state.hyperparams(tx, tx.init(model(256)))
    said = {}
    for (rule, _), group in zip(rows, ("group_1", "group_2", "group_3")):
        for pattern in rule.arguments["patterns"]:
            names = ("learning_rate", "eps", "weight_decay")
            said[pattern] = tuple(float(numbers[f"inner/{group}/{name}"]) for name in names)
    assert said == {
        "blocks/kernel": (1 / 4 / 2, 1 / 4 / 2, 4.0),
        "blocks/bias": (1 / 2, 1 / 4 / 2, 1.0),
        "embed": (1.0, 1 / 4, 1.0),
        "out": (1.0, 1 / 4, 1.0),
    }
    deep = gd.depth_groups(model(64), model(64), 4, "blocks/.*")
    assert [changes for _, changes in deep] == [{"eps": gd.times(0.25)}]
    uneven = {"a": jnp.zeros((4, 4)), "b": jnp.zeros(2)}
    with pytest.raises(ValueError, match=r"by one ratio, got \[0.5, 2.0\]"):
        gd.depth_groups(uneven, {"a": jnp.zeros((2, 2)), "b": jnp.zeros(4)}, 1, False)


# What the rates are for.


@functools.cache
def change(name, width, carried):
    """By how much three steps change the activations: root mean squares, over that of the start."""
    x = batches()(0)[0]

    @jax.jit
    def both(params):
        rate = {"adam": 0.01, "sgd": 0.1, "matrix": 0.1}[name]
        after, _ = train(optimizer(name, rate, params, carried), params, 3)
        before = activations(params, x)
        moved = jax.tree.map(lambda a, b: a - b, activations(after, x), before)
        return jax.tree.map(lambda a: jnp.sqrt(jnp.mean(a**2)), moved)

    return {layer: float(size) for layer, size in both(init(width)).items()}


@pytest.mark.parametrize("name", first(1, reversed(MAKE)))
def test_activations_change_alike_at_all_widths(name):
    """µP's coordinate check: from width 64 to 512 no layer's change grows or dies away.

    A wrong power of the width would make it √8 times larger or smaller, or more.
    """
    ratios = {layer: change(name, 512, True)[layer] / change(name, 64, True)[layer] for layer in L}
    assert all(0.5 < ratio < 2 for ratio in ratios.values()), ratios


L = ("input", "hidden", "output")


def test_without_the_rows_they_do_not():
    assert change("adam", 512, False)["hidden"] > 2 * change("adam", 64, False)["hidden"]


def best(name, width, exponents, carried, steps):
    """The exponent of two of the rate whose losses are the least on the way."""

    @jax.jit
    def sweep(rates, params):
        one = lambda rate: train(optimizer(name, rate, params, carried), params, steps)[1]
        return jax.lax.map(one, rates)

    losses = np.asarray(sweep(2.0 ** jnp.asarray(exponents), init(width)))
    assert 0 < np.nanargmin(losses) < len(losses) - 1, losses  # inside of what was tried
    return exponents[np.nanargmin(losses)]


# Measured at widths 64 and 512, 40 steps: Adam's best rate is 2^-5.5 at both with the rows, without
# them 2^-5.5 and 2^-8.5; that of descent with momentum 2^-2 at both, without them 2^-2 and 2^-3.
SWEEPS = {"adam": np.arange(-7.0, -3.0, 0.5), "sgd": np.arange(-3.5, 0.0, 0.5)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_best_rate_carries_over(name):
    small, wide = (best(name, n, SWEEPS[name], True, 40) for n in (64, 512))
    assert abs(small - wide) <= 0.5
