"""Test problems for races of optimizers, small enough for a laptop.

Every function of a problem is pure and works under `jit`, `vmap` and `grad`. Data are read once,
when a loss is first traced, and are kept as NumPy arrays: a cached JAX array would keep the dtype
(or, made while tracing, the tracer) of its first use.
"""

from __future__ import annotations

__all__ = [
    "PROBLEMS",
    "Problem",
    "bowl",
    "charlm",
    "charlm_small",
    "digits",
    "digits_data",
    "digits_network",
    "parabola",
    "problem",
    "quadratic",
    "rosenbrock",
]

import difflib
import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.compare import show
from gdjax.core.rule import errors
from gdjax.lab.charlm import charlm, charlm_small
from gdjax.lab.problem import Problem

TRAINING_ROWS = 1400
BATCH_SIZE = 64
RIDGE = 1e-3  # λ of `digits`

_DIGITS_CITATION = (
    "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998, "
    "https://doi.org/10.24432/C50P49"
)


def parabola() -> Problem:
    """The square of one number, from 1: loss x²."""
    return Problem(
        name="parabola",
        description="x², one parameter, from 1",
        init=lambda key: jnp.ones(()),
        loss=lambda x, batch=None: x * x,
        optimum=0.0,
        minimizer=np.zeros(()),
        steps=100,
        target=1e-6,
    )


def bowl() -> Problem:
    """A bowl with three times the curvature along its second axis, from (2, 1): loss x² + 3y²."""
    return Problem(
        name="bowl",
        description="x² + 3y², from (2, 1)",
        # Off the diagonal, or methods that take equal steps along each axis would meet the minimum.
        init=lambda key: jnp.array([2.0, 1.0]),
        loss=lambda p, batch=None: p[0] ** 2 + 3 * p[1] ** 2,
        optimum=0.0,
        minimizer=np.zeros(2),
        steps=100,
        target=1e-6,
    )


def quadratic(condition: float = 100.0, size: int = 20) -> Problem:
    """A quadratic form in a random rotation, from a standard normal start.

        loss ½ Σᵢ λᵢ (Qᵀx)ᵢ²,   λ from 1/condition to 1 in equal ratios

    The largest curvature is 1 whatever the condition, so rates below 2 are stable for plain
    gradient descent. The rotation is always the same; the start is drawn from the key.

    Args:
        condition: Ratio of the largest to the smallest eigenvalue, 1 or more.
        size: Number of parameters, 2 or more.

    Raises:
        ValueError: If `condition` or `size` is too small.

    Reference: Polyak, Some methods of speeding up the convergence of iteration methods, 1964,
    https://doi.org/10.1016/0041-5553(64)90137-5
    """
    if not condition >= 1:
        raise ValueError(f"quadratic: condition must be 1 or more, got {condition}.")
    if size < 2:
        raise ValueError(f"quadratic: size must be 2 or more, got {size}.")
    # QR of a Gaussian matrix is a uniform rotation once the signs of R's diagonal are taken out.
    q, r = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    rotation = q * np.sign(np.diag(r))
    eigenvalues = np.geomspace(1 / condition, 1, size)

    def loss(x: chex.Array, batch: None = None) -> chex.Array:
        # Squares of coordinates, not xᵀHx: no cancellation, so float32 sees gaps far below 1e-7.
        z = _product(x, jnp.asarray(rotation, x.dtype))
        return 0.5 * jnp.sum(jnp.asarray(eigenvalues, x.dtype) * z * z)

    return Problem(
        name="quadratic",
        description=f"quadratic form, condition {condition:g}, {size} parameters, random start",
        citation="Polyak, Some methods of speeding up the convergence of iteration methods, 1964, "
        "https://doi.org/10.1016/0041-5553(64)90137-5",
        init=lambda key: jax.random.normal(key, (size,)),
        loss=loss,
        optimum=0.0,
        minimizer=np.zeros(size),
        steps=1000,
        target=1e-6,
    )


def rosenbrock() -> Problem:
    """Rosenbrock's curved valley, from (−1.2, 1): loss (1 − x)² + 100 (y − x²)².

    Reference: Rosenbrock, An automatic method for finding the greatest or least value of a
    function, 1960, https://doi.org/10.1093/comjnl/3.3.175
    """
    return Problem(
        name="rosenbrock",
        description="(1 − x)² + 100(y − x²)², from (−1.2, 1)",
        citation="Rosenbrock, An automatic method for finding the greatest or least value of a "
        "function, 1960, https://doi.org/10.1093/comjnl/3.3.175",
        init=lambda key: jnp.array([-1.2, 1.0]),
        loss=lambda p, batch=None: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2,
        optimum=0.0,
        minimizer=np.ones(2),
        steps=5000,
        target=1e-4,
    )


def digits() -> Problem:
    """Softmax regression on images of digits: convex, 640 parameters, full batch, from zero.

        loss −meanᵢ log softmax(xᵢ W)[yᵢ] + (λ/2)‖W‖²,   λ = 10⁻³

    The first 1400 of the 1797 shuffled images train, the other 397 test. The test accuracy at
    the optimum is 0.9798.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998,
    https://doi.org/10.24432/C50P49
    """

    def loss(w: chex.Array, batch: Any = None) -> chex.Array:
        x, y = digits_data()[0] if batch is None else batch
        return _cross_entropy(_product(_as(x, w), w), y) + 0.5 * RIDGE * jnp.sum(w * w)

    def metrics(w: chex.Array) -> dict[str, chex.Array]:
        x, y = digits_data()[1]
        return {"test_accuracy": _accuracy(_product(_as(x, w), w), y)}

    return Problem(
        name="digits",
        description="softmax regression on 8×8 digits, ridge 1e-3, full batch",
        citation=_DIGITS_CITATION,
        init=lambda key: jnp.zeros((64, 10)),
        loss=loss,
        metrics=metrics,
        optimum=0.2663469621,
        steps=500,
        target=1e-3,
        rates="1e-3:100:11",  # plain gradient descent is best at 10
    )


def digits_network() -> Problem:
    """A network 64 → 32 → 10 with tanh on images of digits, trained on batches of 64.

    The split is that of `digits`. Batches are drawn with replacement, each from the key and the
    step alone, so any step can be replayed. No optimum is known; `target` is a training loss.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998,
    https://doi.org/10.24432/C50P49; start: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998,
    https://doi.org/10.1007/3-540-49430-8_2
    """

    def init(key: chex.PRNGKey) -> dict[str, dict[str, chex.Array]]:
        def layer(key, fan_in, fan_out):
            kernel = jax.random.normal(key, (fan_in, fan_out)) / fan_in**0.5
            return {"kernel": kernel, "bias": jnp.zeros(fan_out)}

        first, second = jax.random.split(key)
        return {"hidden": layer(first, 64, 32), "output": layer(second, 32, 10)}

    def logits(params: Any, x: Any) -> chex.Array:
        def layer(x, p):
            return _product(x, p["kernel"]) + p["bias"][None, :]

        hidden = jnp.tanh(layer(_as(x, params["hidden"]["kernel"]), params["hidden"]))
        return layer(hidden, params["output"])

    def loss(params: Any, batch: Any = None) -> chex.Array:
        x, y = digits_data()[0] if batch is None else batch
        return _cross_entropy(logits(params, x), y)

    def batches(key: chex.PRNGKey) -> Callable[[Any], tuple[chex.Array, chex.Array]]:
        def batch(step):
            x, y = map(jnp.asarray, digits_data()[0])
            rows = jax.random.randint(jax.random.fold_in(key, step), (BATCH_SIZE,), 0, len(y))
            return x[rows], y[rows]

        return batch

    def metrics(params: Any) -> dict[str, chex.Array]:
        x, y = digits_data()[1]
        return {"train_loss": loss(params), "test_accuracy": _accuracy(logits(params, x), y)}

    return Problem(
        name="digits_network",
        description="network 64 → 32 → 10 on 8×8 digits, batches of 64",
        citation=_DIGITS_CITATION,
        init=init,
        loss=loss,
        batches=batches,
        metrics=metrics,
        steps=1000,
        target=0.05,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    factory.__name__: factory
    for factory in (
        *(parabola, bowl, quadratic, rosenbrock, digits, digits_network),
        *(charlm, charlm_small),
    )
}
"""The problems of `gdjax race` by name: functions that make them."""


def problem(name: str) -> Problem:
    """Makes the problem of this name, with default arguments.

    Args:
        name: A key of `PROBLEMS`.

    Raises:
        ValueError: If there is no such problem; the message names the nearest ones.
        TypeError: If it is no name; the message says how to make a problem of a loss.
    """
    if not isinstance(name, str):
        hint = "Write Problem.of(loss, params), of gdjax.lab.problems."
        must = "a problem must be a name or a Problem"
        errors.fail("race", must, show(name), instead=hint, kind=TypeError)
    if name in PROBLEMS:
        return PROBLEMS[name]()
    near = difflib.get_close_matches(name, PROBLEMS)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"problem: name must be one of {', '.join(PROBLEMS)}, got {name!r}.{hint}")


@functools.cache
def digits_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Images [n, 64] in [0, 1] and labels [n]: those that train and those that test."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = 'digits: the data come with scikit-learn; run pip install "gdjax[lab]".'
        raise ImportError(message) from error
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(1797)
    # Sixteenths up to 1 are exact in every float dtype: float32 loses nothing of the images.
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    return (x[:TRAINING_ROWS], y[:TRAINING_ROWS]), (x[TRAINING_ROWS:], y[TRAINING_ROWS:])


def _as(x: Any, like: chex.Array) -> chex.Array:
    return jnp.asarray(x, like.dtype)


def _product(a: chex.Array, b: chex.Array) -> chex.Array:
    # Accelerators multiply float32 in fewer bits by default; the optima here are known to more.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _cross_entropy(logits: chex.Array, labels: Any) -> chex.Array:
    labels = jnp.asarray(labels, int)[:, None]  # JAX's default width, or strict promotion objects
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels, axis=1))


def _accuracy(logits: chex.Array, labels: Any) -> chex.Array:
    return jnp.mean(jnp.argmax(logits, axis=1) == jnp.asarray(labels, int), dtype=logits.dtype)
