"""ScheduleFree+ AdamC."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles.problem import loss
from tests.references import Agree, recorded, rule, value
from tests.transcription import adam_direction, at

VALUE = {"value": jnp.asarray(2.0)}
ROWS = [
    Row(gd.schedule_free_plus_adamc(0.1, weight_decay=0.1), VALUE),
    Row(
        gd.schedule_free_plus_adamc(0.1, c_warmup=3, anneal_steps=5, polyak_beta=0.5),
        VALUE,
        label="schedule_free_plus_adamc-annealed",
    ),
]
ABOVE = 2.0  # added to the loss: its minimum is below 0, which the step size takes for it


def above(params, grads, t):
    """The loss of the problem, raised above 0."""
    return {"value": value(params, grads, t)["value"] + ABOVE}


def schedule_free_plus(
    gradient,
    theta0,
    steps,
    direction,
    *,
    eta=1.0,
    beta=0.9,
    norm_beta=0.0,
    lam=0.0,
    r=0.0,
    flat=0,
    power=2.0,
    answer=False,
):
    """ScheduleFree+ (Defazio 2026) of `direction(g, t)`: x, y and z kept apart.

    The mean of the norms is bias-corrected once; x is z in the first `flat` steps.
    """
    x, y, z, mean, most, total = theta0, theta0, theta0, 0.0, 0.0, 0.0
    path = [theta0]
    for t in range(steps):
        g, b = gradient(y, t), at(beta, t)
        mean = norm_beta * mean + (1 - norm_beta) * np.abs(g).sum() * np.sqrt(np.pi / 2)
        gap = loss(y, t) + ABOVE + b * (g @ (z - x))
        rate = at(eta, t) * max(gap, 0.0) / (mean / (1 - norm_beta ** (t + 1)))
        z = z - rate * direction(g, t) - rate**2 * lam * y
        most = max(most, rate)
        if t < flat:
            c = 1.0
        else:
            weight = (t + 1) ** r * most**power
            total = total + weight
            c = weight / total
        x = (1 - c) * x + c * z
        y = (1 - b) * z + b * x
        path.append(x if answer else y)
    return np.stack(path)


def schedule_free_plus_adamc(gradient, theta0, steps, *, b1, b2, eps, **arguments):
    """ScheduleFree+ along Adam's direction."""
    return schedule_free_plus(gradient, theta0, steps, adam_direction(b1, b2, eps), **arguments)


def annealed(t):
    """β from 0.7 to 0.9 in 40 steps, 1 − β by equal factors."""
    return 1 - 0.3 * (0.1 / 0.3) ** min(t / 40, 1.0)


ALL = gd.schedule_free_plus_adamc(
    0.4,
    0.8,
    0.9,
    0.7,
    1e-3,
    0.5,
    1.5,
    c_warmup=7,
    anneal_steps=40,
    sf_beta1_max=0.9,
    weight_lr_power=1.5,
)


def pair(label, tx, reference):
    """An entry for the points trained and one for the points to evaluate at."""
    return {
        label + "-answer" * answer: Agree(
            tx, reference(answer), 1e-10, extra=above, evaluate=answer
        )
        for answer in (False, True)
    }


def of_authors(case):
    suffix = lambda answer: "_answer" * answer
    return lambda answer: recorded("schedule_free_plus", f"schedule_free/{case}{suffix(answer)}")


def of_paper(**arguments):
    return lambda answer: rule(schedule_free_plus_adamc, answer=answer, **arguments)


AGREE = {
    **pair("authors-defaults", gd.schedule_free_plus_adamc(), of_authors("defaults")),
    **pair("authors-all", ALL, of_authors("all")),
    **pair(
        "numpy-all",
        ALL.replace(polyak_beta=0.8),
        of_paper(
            eta=0.4,
            b1=0.8,
            b2=0.9,
            beta=annealed,
            eps=1e-3,
            lam=0.5,
            r=1.5,
            norm_beta=0.8,
            flat=7,
            power=1.5,
        ),
    ),
}


def test_share_is_the_last_one_after_the_steps_of_annealing():
    tx, y = (
        gd.schedule_free_plus_adamc(sf_beta1=0.5, sf_beta1_max=0.75, anneal_steps=1),
        jnp.ones(1),
    )
    state, shares = tx.init(y), []
    for _ in range(3):
        y, state = tx.step(y, state, y, value=1.0)
        shares.append(float(state.inner_state.b1))
    assert shares == [0.5, 0.75, 0.75]


def test_parameters_in_16_bits_average_in_32():
    y = jnp.ones(1, jnp.bfloat16)
    tx = gd.schedule_free_plus_adamc(2.0**-9)
    state = tx.init(y)
    for _ in range(8):
        y, state = tx.step(jnp.ones(1, jnp.bfloat16), state, y, value=1.0)
    z = gd.state.find(state, "z")
    assert z.dtype == jnp.float32 and 1 - 0.02 < z[0] < 1 - 0.01


def test_what_cannot_be_raises():
    with pytest.raises(ValueError, match="anneal_steps must be 0 or more"):
        gd.schedule_free_plus_adamc(anneal_steps=-1)
    with pytest.raises(ValueError, match="c_warmup must be 0 or more"):
        gd.schedule_free_plus_adamc(c_warmup=-1)
    with pytest.raises(ValueError, match="sf_beta1 must lie in"):
        gd.schedule_free_plus_adamc(sf_beta1=0.0)
    tx = gd.schedule_free_plus_adamc()
    with pytest.raises(TypeError, match="value"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2))
