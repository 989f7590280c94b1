"""EMA-Nesterov."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.optimizers.schedule_free.test_schedule_free import way
from tests.references import both, real, rule
from tests.transcription import adam_direction, at

ROWS = [
    Row(gd.ema_nesterov(gd.adam(0.1), 0.4, 0.9)),
]


def ema_nesterov(base, gradient, theta0, steps, *, beta, gamma, answer=False):
    """Yau et al. 2026 over `base(g, y, t)`, a step: x and m kept, y = x + βm made of them.

    β of a step makes the point of the next one; the first point is the start, as m is 0.
    """
    x, y, m = theta0, theta0, np.zeros_like(theta0)
    path = [theta0]
    for t in range(steps):
        last, x = x, y + base(gradient(y, t), y, t)
        m = gamma * m + (1 - gamma) * (x - last)
        y = x + at(beta, t) * m
        path.append(x if answer else y)
    return np.stack(path)


def of_adamw(beta, gamma):
    def path(gradient, theta0, steps, *, answer):
        adam = adam_direction(0.9, 0.99, 1e-3)
        base = lambda g, y, t: -0.05 * (adam(g, t) + 0.1 * y)
        return ema_nesterov(base, gradient, theta0, steps, beta=beta, gamma=gamma, answer=answer)

    return lambda answer: rule(path, answer=answer)


def three_parts(t):
    """0 in the first steps and in the last, and falling between."""
    step, t = (jnp, real(t)) if isinstance(t, jnp.ndarray) else (np, t)
    return step.where((t >= 5) & (t < 50), 0.6 * (1 - t / 60), 0.0)


BASE = gd.adamw(0.05, b2=0.99, eps=1e-3, weight_decay=0.1)
AGREE = {
    **both("numpy-ema-nesterov", gd.ema_nesterov(BASE, 0.4, 0.9), of_adamw(0.4, 0.9)),
    **both(
        "numpy-ema-nesterov-schedule",
        gd.ema_nesterov(BASE, three_parts, 0.8),
        of_adamw(three_parts, 0.8),
    ),
}


def test_without_an_average_it_is_nesterov():
    """γ = 0 over descent: the extrapolation along the last change is Nesterov's momentum."""
    trained, _ = way(gd.ema_nesterov(gd.sgd(0.3), 0.8, 0.0))
    expected, _ = way(gd.sgd(0.3, momentum=0.8, nesterov=True))
    np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-6)


def test_without_a_step_ahead_it_is_the_inner_optimizer():
    trained, answer = way(gd.ema_nesterov(gd.adam(0.1), 0.0))
    np.testing.assert_array_equal(trained, way(gd.adam(0.1))[0])
    np.testing.assert_array_equal(answer, trained)


def test_iterate_comes_back_in_the_dtype_of_the_parameters():
    params = {"w": jnp.zeros(2, jnp.bfloat16), "n": jnp.arange(2)}
    tx = gd.ema_nesterov(gd.sgd(1.0), 1.0, 0.5)
    grads = {"w": -jnp.ones(2, jnp.bfloat16), "n": None}
    params, state = tx.step(grads, tx.init(params), params)
    seen = gd.state.eval_params(tx, state, params)
    assert seen["w"].dtype == jnp.bfloat16 and seen["n"] is params["n"]
    np.testing.assert_array_equal(params["w"].astype(float), [1.5, 1.5])
    np.testing.assert_array_equal(seen["w"].astype(float), [1.0, 1.0])
