"""Schedule-Free SGD and AdamW."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import run
from tests.references import both, of_paper, recorded
from tests.transcription import at

ROWS = [
    Row(gd.schedule_free_sgd(0.1, b1=0.8, weight_decay=0.01)),
    Row(gd.schedule_free_sgd(0.1, 5), label="schedule_free_sgd-warmup"),
    Row(gd.schedule_free_adamw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.schedule_free_adamw(0.1, 5, state_dtype="bfloat16"), label="schedule_free_adamw-bf16"),
]


def _schedule_free(direction, theta0, steps, eta, beta, warmup, power, answer):
    """Algorithm 1 of the paper: z, x and y kept apart, weights of the largest rate so far."""
    x, y, z, total, most = theta0, theta0, theta0, 0.0, 0.0
    path = [theta0]
    for t in range(steps):
        rate = at(eta, t) * (min(1.0, (t + 1) / warmup) if warmup else 1.0)
        z = z - rate * direction(y, t)
        most = max(most, rate)
        total = total + most**power
        c = most**power / total if total > 0 else 0.0
        x = (1 - c) * x + c * z
        y = (1 - at(beta, t)) * z + at(beta, t) * x
        path.append(x if answer else y)
    return np.stack(path)


def schedule_free_sgd(
    gradient, theta0, steps, *, eta, beta=0.9, lam=0.0, warmup=0, power=2.0, answer=False
):
    """Schedule-Free SGD (Defazio et al. 2024), decay of y."""
    direction = lambda y, t: gradient(y, t) + lam * y
    return _schedule_free(direction, theta0, steps, eta, beta, warmup, power, answer)


def schedule_free_adamw(
    gradient,
    theta0,
    steps,
    *,
    eta,
    beta=0.9,
    b2=0.999,
    eps=1e-8,
    lam=0.0,
    warmup=0,
    power=2.0,
    answer=False,
):
    """Schedule-Free AdamW (Defazio et al. 2024), decay of y, second moment debiased."""
    v = np.zeros_like(theta0)

    def direction(y, t):
        nonlocal v
        g = gradient(y, t)
        v = b2 * v + (1 - b2) * g**2
        return g / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps) + lam * y

    return _schedule_free(direction, theta0, steps, eta, beta, warmup, power, answer)


def of_package(case):
    return lambda answer: recorded(
        "schedule_free", f"schedulefree/{case}" + ("_answer" if answer else "")
    )


AGREE = {
    **both("package-sgd", gd.schedule_free_sgd(0.4), of_package("sgd")),
    **both(
        "package-sgd-warmup",
        gd.schedule_free_sgd(0.6, 7, b1=0.8, weight_decay=0.1),
        of_package("sgd_warmup"),
    ),
    **both(
        "package-sgd-power",
        gd.schedule_free_sgd(0.6, 20, 0.95, weight_lr_power=0.5),
        of_package("sgd_power"),
    ),
    **both("package-adamw", gd.schedule_free_adamw(0.1), of_package("adamw")),
    **both(
        "package-adamw-warmup",
        gd.schedule_free_adamw(0.3, 7, 0.8, 0.95, 1e-3, 0.1, 1.5),
        of_package("adamw_warmup"),
    ),
    **both(
        "numpy-sgd",
        gd.schedule_free_sgd(0.6, 7, b1=0.8, weight_decay=0.1),
        of_paper(schedule_free_sgd, eta=0.6, beta=0.8, lam=0.1, warmup=7),
    ),
    **both(
        "numpy-adamw",
        gd.schedule_free_adamw(0.3, 7, 0.8, 0.95, 1e-3, 0.1, 1.5),
        of_paper(
            schedule_free_adamw,
            eta=0.3,
            beta=0.8,
            b2=0.95,
            eps=1e-3,
            lam=0.1,
            warmup=7,
            power=1.5,
        ),
    ),
}

CURVATURE = jnp.array([1.0, 0.1])


def way(tx, steps=20):
    """The points trained and those to evaluate at."""
    found = run(tx, lambda p, t: CURVATURE * p, jnp.array([1.0, -2.0]), steps)
    return found.path, found.seen


def test_equal_weights_give_the_mean():
    """With one rate x is the mean of all z; with b1 = 1 that is what is trained."""
    trained, answer = way(gd.schedule_free_sgd(0.5, b1=1.0))
    np.testing.assert_allclose(trained, answer, rtol=1e-6)
    tx, start = gd.schedule_free_sgd(0.5, b1=0.5), jnp.zeros(1)
    y, state, z = start, tx.init(start), []
    for t in range(5):
        y, state = tx.step(jnp.array([1.0 + t]), state, y)
        z.append(float(state.z[0]))
    np.testing.assert_allclose(z, -0.5 * np.cumsum(1.0 + np.arange(5)), rtol=1e-6)
    np.testing.assert_allclose(gd.state.eval_params(tx, state, y), [np.mean(z)], rtol=1e-6)


def test_warmup_rises_from_the_first_step_on():
    tx, y = gd.schedule_free_sgd(0.8, warmup_steps=4, b1=0.5), jnp.zeros(1)
    state, moves, z = tx.init(y), [], 0.0
    for _ in range(6):
        y, state = tx.step(jnp.ones(1), state, y)
        now = float(gd.state.find(state, "z")[0])
        moves.append(z - now)
        z = now
    np.testing.assert_allclose(moves, [0.2, 0.4, 0.6, 0.8, 0.8, 0.8], rtol=1e-5)


def test_points_to_evaluate_at_are_found_through_a_chain_and_a_moving_rate():
    tx = gd.chain(gd.clip(10.0), gd.schedule_free_adamw(lambda t: 0.1, warmup_steps=3))
    trained, answer = way(tx, 5)
    alone, expected = way(gd.schedule_free_adamw(0.1, warmup_steps=3), 5)
    np.testing.assert_allclose(trained, alone, rtol=1e-5)
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert np.abs(answer - trained).max() > 1e-4


def test_eval_params_by_optax_name():
    tx, y = gd.schedule_free_sgd(0.5, 3), jnp.zeros(1)
    y, state = tx.step(jnp.ones(1), tx.init(y), y)
    expected = gd.state.eval_params(tx, state, y)
    np.testing.assert_array_equal(gd.schedule_free_eval_params(state, y), expected)
    with pytest.raises(TypeError, match="ScheduleFreeState"):
        gd.schedule_free_eval_params(gd.EmptyState(), y)


def test_parameters_in_16_bits_average_in_32():
    """z keeps what a rounded y would lose: steps of 2⁻⁹ at 1, where bfloat16 sees 2⁻⁷."""
    tx, y = gd.schedule_free_sgd(2.0**-9, b1=0.5), jnp.ones(1, jnp.bfloat16)
    state = tx.init(y)
    for _ in range(8):
        y, state = tx.step(jnp.ones(1, jnp.bfloat16), state, y)
    assert state.z.dtype == jnp.float32 and state.z[0] == 1 - 8 * 2.0**-9


def test_what_cannot_be_raises():
    with pytest.raises(ValueError, match="b1 must lie in"):
        gd.schedule_free_sgd(0.1, b1=0.0)
    with pytest.raises(ValueError, match="warmup_steps"):
        gd.schedule_free_adamw(0.1, -1)
    with pytest.raises(ValueError, match="needs the parameters"):
        gd.schedule_free_sgd().update(jnp.ones(2), gd.schedule_free_sgd().init(jnp.ones(2)))
