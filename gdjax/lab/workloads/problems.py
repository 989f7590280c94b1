"""The workloads but for the language model, which is that of the races under equal budgets.

Losses without a batch are measures: of validation examples where there are some.
"""

from __future__ import annotations

__all__ = [
    "autoencoder",
    "bandit",
    "digits_convolution",
    "digits_network",
    "graph",
    "matrix_factorization",
    "mnist1d",
    "resnet8",
    "sparse_logistic",
    "tabular",
    "teacher",
]

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.lab.problem import Problem
from gdjax.lab.workloads import data
from gdjax.lab.workloads import layers as nn

VALIDATION = "validation loss"


def _problem(
    name: str,
    description: str,
    split: data.Split,
    init: Callable[[Iterator[Any]], Any],
    loss: Callable[[Any, Any, Any], jax.Array],
    *,
    steps: int,
    size: int | None = 32,
    measured: str = VALIDATION,
) -> Problem:
    """A problem of examples: the loss of parameters, inputs and targets; `size` examples a batch.

    Without a size each step sees all examples that train.
    """
    read = lambda part: tuple(map(jnp.asarray, part))

    def batches(key: Any) -> Callable[[Any], Any]:
        def batch(step: Any) -> Any:
            x, y = read(split.training)
            if size is None:
                return x, y
            rows = jax.random.randint(jax.random.fold_in(key, step), (size,), 0, split.train)
            return x[rows], y[rows]

        return batch

    digest = hashlib.sha256(np.asarray(split.inputs).tobytes() + split.targets.tobytes())
    return Problem(
        name=name,
        description=description,
        init=lambda key: init(iter(jax.random.split(key, 32))),
        loss=lambda p, b=None: loss(p, *(read(split.validation) if b is None else b)),
        batches=batches,
        steps=steps,
        measured=measured,
        digest=digest.hexdigest()[:16],
        apart=jax.default_backend() == "cpu",
    )


def digits_network() -> Problem:
    """A network 64 → 64 → 64 → 10 with rectified units on images of digits."""
    init = lambda keys: nn.new_network(keys, (64, 64, 64, 10))
    loss = lambda p, x, y: nn.cross_entropy(nn.network(p, x), y)
    words = "network 64 → 64 → 64 → 10 on 8×8 digits"
    return _problem("digits_network", words, data.digits(), init, loss, steps=500)


def digits_convolution() -> Problem:
    """Two layers of 3 × 3 convolutions, 12 and 24 channels, and a dense one, on digits."""

    def init(keys: Any) -> Any:
        first, second = (nn.new_convolution(keys, (3, 3), m, n) for m, n in ((1, 12), (12, 24)))
        return {"first": first, "second": second, "head": nn.new_dense(keys, 96, 10)}

    def loss(p: Any, x: Any, y: Any) -> jax.Array:
        x = jax.nn.relu(nn.convolution(p["first"], x.reshape(-1, 8, 8, 1), 2))
        x = jax.nn.relu(nn.convolution(p["second"], x, 2))
        return nn.cross_entropy(nn.dense(p["head"], x.reshape(len(x), -1)), y)

    words = "two convolutions on 8×8 digits"
    return _problem("digits_convolution", words, data.digits(), init, loss, steps=400)


def mnist1d() -> Problem:
    """Three one-dimensional convolutions with stride 2 on MNIST-1D."""

    def init(keys: Any) -> Any:
        sizes = ((1, 24), (24, 24), (24, 24))
        body = [nn.new_convolution(keys, (5,), m, n) for m, n in sizes]
        return {"body": body, "head": nn.new_dense(keys, 120, 10)}

    def loss(p: Any, x: Any, y: Any) -> jax.Array:
        x = x[..., None]
        for q in p["body"]:
            x = jax.nn.relu(nn.convolution(q, x, 2))
        return nn.cross_entropy(nn.dense(p["head"], x.reshape(len(x), -1)), y)

    words = "three one-dimensional convolutions on MNIST-1D"
    return _problem("mnist1d", words, data.mnist1d(), init, loss, steps=800)


def autoencoder() -> Problem:
    """64 → 48 → 24 → 8 → 24 → 48 → 64 with tanh, squared errors of images of digits."""
    init = lambda keys: nn.new_network(keys, (64, 48, 24, 8, 24, 48, 64))
    loss = lambda p, x, y: jnp.mean(jnp.square(nn.network(p, x, jnp.tanh) - x))
    words = "autoencoder 64 → 8 → 64 of 8×8 digits"
    return _problem("autoencoder", words, data.digits(), init, loss, steps=800)


def matrix_factorization() -> Problem:
    """A matrix 120 × 80 as a product of factors of rank 8, from a third of its entries."""

    def init(keys: Any) -> Any:
        rows, columns = (0.3 * jax.random.normal(next(keys), (n, 8)) for n in (120, 80))
        return {"rows": rows, "columns": columns}

    def loss(p: Any, at: Any, y: Any) -> jax.Array:
        made = jnp.sum(p["rows"][at[:, 0]] * p["columns"][at[:, 1]], axis=1)
        return jnp.mean(jnp.square(made - y))

    words, split = "factors of rank 8 of a 120 × 80 matrix", data.ratings()
    return _problem("matrix_factorization", words, split, init, loss, steps=600, size=128)


def teacher() -> Problem:
    """Attention over 8 vectors of 16 numbers, fitted to a teacher of the same form with noise.

    The noise of deviation 0.1 keeps the loss above 0, where a target would be one of rounding.
    """

    def init(keys: Any) -> Any:
        return {name: jax.random.normal(next(keys), (16, 16)) / 4 for name in names}

    names, rng = ("query", "key", "value", "output"), np.random.default_rng(6)
    x = rng.standard_normal((1200, 8, 16)).astype(np.float32)
    told = dict(zip(names, _orthogonal(rng, 4)))
    scores = (x @ told["query"]) @ (x @ told["key"]).transpose(0, 2, 1) / 4
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    y = weights / weights.sum(-1, keepdims=True) @ (x @ told["value"]) @ told["output"]
    y = y + 0.1 * rng.standard_normal(y.shape)
    loss = lambda p, x, y: jnp.mean(jnp.square(nn.attention(p, x) - y))
    words = "a student of attention, its targets with noise"
    split = data.Split(x, y.astype(np.float32), 1000)
    return _problem("teacher", words, split, init, loss, steps=600)


def _orthogonal(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [1.5 * np.linalg.qr(rng.standard_normal((16, 16)))[0] for _ in range(count)]


def bandit() -> Problem:
    """REINFORCE on a contextual bandit of 8 arms: a network 12 → 32 → 8 gives their odds.

    The reward of an arm is 1 with a probability that is a random function of the context. One arm
    is pulled in each of 32 contexts a step; the mean reward of the batch is the baseline. Measured
    is minus the expected reward in 500 contexts.

    Reference: Williams, Simple statistical gradient-following algorithms for connectionist
    reinforcement learning, 1992, https://doi.org/10.1007/BF00992696
    """
    rng = np.random.default_rng(7)
    hidden, out = rng.standard_normal((12, 16)), rng.standard_normal((16, 8))
    chances = lambda x: jax.nn.sigmoid(jnp.tanh(x @ hidden.astype(x.dtype)) @ out.astype(x.dtype))
    held = rng.standard_normal((500, 12)).astype(np.float32)

    def batches(key: Any) -> Callable[[Any], Any]:
        def batch(step: Any) -> Any:
            first, second, third = jax.random.split(jax.random.fold_in(key, step), 3)
            contexts = jax.random.normal(first, (32, 12))
            uniform = jax.random.gumbel(second, (32, 8))  # arms are drawn as the policy then is
            return contexts, uniform, jax.random.uniform(third, (32, 8)) < chances(contexts)

        return batch

    def loss(p: Any, batch: Any = None) -> jax.Array:
        if batch is None:
            x = jnp.asarray(held)
            return -jnp.mean(jnp.sum(jax.nn.softmax(nn.network(p, x)) * chances(x), axis=1))
        x, noise, wins = batch
        logs = jax.nn.log_softmax(nn.network(p, x))
        arms = jnp.argmax(jax.lax.stop_gradient(logs) + noise, axis=1)[:, None]
        reward = jnp.take_along_axis(wins, arms, axis=1)[:, 0].astype(logs.dtype)
        chosen = jnp.take_along_axis(logs, arms, axis=1)[:, 0]
        return -jnp.mean((reward - jnp.mean(reward)) * chosen)

    return Problem(
        name="bandit",
        description="policy gradient for 8 arms in random contexts",
        init=lambda key: nn.new_network(iter(jax.random.split(key, 4)), (12, 32, 8)),
        loss=loss,
        batches=batches,
        steps=800,
        measured="minus the expected reward",
        digest=hashlib.sha256(held.tobytes()).hexdigest()[:16],
        apart=jax.default_backend() == "cpu",
    )


def graph() -> Problem:
    """Two layers of graph convolutions on a stochastic block model, all nodes in every step."""
    joined, split = data.community()
    features = jnp.asarray(split.inputs)

    def loss(p: Any, at: Any, y: Any) -> jax.Array:
        a = jnp.asarray(joined)
        hidden = jax.nn.relu(a @ nn.dense(p[0], jnp.asarray(features)))
        return nn.cross_entropy((a @ nn.dense(p[1], hidden))[at], y)

    init = lambda keys: nn.new_network(keys, (16, 32, 4))
    nodes = data.Split(np.arange(len(split.targets)), split.targets, split.train)
    words = "two graph convolutions on 300 nodes of 4 classes"
    return _problem("graph", words, nodes, init, loss, steps=200, size=None)


def tabular() -> Problem:
    """A network 10 → 64 → 64 → 1 on Friedman's function of ten features."""
    init = lambda keys: nn.new_network(keys, (10, 64, 64, 1))
    loss = lambda p, x, y: jnp.mean(jnp.square(nn.network(p, x)[:, 0] - y))
    words = "regression of Friedman's function"
    return _problem("tabular", words, data.friedman(), init, loss, steps=800)


def sparse_logistic() -> Problem:
    """Logistic regression on 500 features of which 20 count, with a smooth penalty on |w|."""

    def loss(p: Any, x: Any, y: Any) -> jax.Array:
        z = x @ p["w"] + p["b"]
        fit = jnp.mean(jnp.logaddexp(0, z) - y * z)
        return fit + 1e-3 * jnp.sum(jnp.sqrt(p["w"] ** 2 + 1e-6) - 1e-3)

    init = lambda keys: {"w": jnp.zeros(500), "b": jnp.zeros(())}
    words = "logistic regression, 20 of 500 features count"
    return _problem("sparse_logistic", words, data.sparse(), init, loss, steps=600, size=64)


def resnet8() -> Problem:
    """A residual network of 8 layers, 8 to 32 channels, on waves in ten classes.

    Reference: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015,
    https://arxiv.org/abs/1512.03385
    """
    norm = lambda n: {"scale": jnp.ones(n), "shift": jnp.zeros(n)}

    def block(keys: Any, m: int, n: int) -> Any:
        first, second = (nn.new_convolution(keys, (3, 3), k, n) for k in (m, n))
        passed = {} if m == n else {"pass": nn.new_convolution(keys, (1, 1), m, n)}
        return {"first": first, "second": second, "norms": [norm(n), norm(n)], **passed}

    def init(keys: Any) -> Any:
        stem = {"stem": nn.new_convolution(keys, (3, 3), 3, 8), "norm": norm(8)}
        blocks = [block(keys, m, n) for m, n in ((8, 8), (8, 16), (16, 32))]
        return stem | {"blocks": blocks, "head": nn.new_dense(keys, 32, 10)}

    def loss(p: Any, x: Any, y: Any) -> jax.Array:
        x = jax.nn.relu(nn.layer_norm(p["norm"], nn.convolution(p["stem"], x)))
        for q in p["blocks"]:
            stride = 2 if "pass" in q else 1
            z = jax.nn.relu(nn.layer_norm(q["norms"][0], nn.convolution(q["first"], x, stride)))
            z = nn.layer_norm(q["norms"][1], nn.convolution(q["second"], z))
            x = jax.nn.relu(z + (nn.convolution(q["pass"], x, stride) if "pass" in q else x))
        return nn.cross_entropy(nn.dense(p["head"], jnp.mean(x, (1, 2))), y)

    words = "residual network of 8 layers on 8×8 waves"
    return _problem("resnet8", words, data.textures(), init, loss, steps=300, size=32)
