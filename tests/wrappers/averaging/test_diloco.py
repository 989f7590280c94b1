"""DiLoCo, with one worker and with several."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.cases import Row
from tests.helpers import mesh_of
from tests.optimizers.schedule_free.test_schedule_free import way
from tests.references import both, rule
from tests.transcription import adam_direction

ROWS = [
    Row(gd.diloco(gd.adam(0.02), every=2)),
    Row(gd.diloco(gd.sgd(0.1), 3, gd.adam(0.1)), label="diloco-outer"),
]


def diloco(inner, gradient, theta0, steps, *, every, rate, mu, answer=False):
    """Douillard et al. 2023, algorithm 1 with one worker; the outer step of Nesterov's momentum.

    `inner(theta, g, t)` gives the next parameters.
    """
    theta, outer, v = theta0, theta0, np.zeros_like(theta0)
    path = [theta0]
    for t in range(steps):
        theta = inner(theta, gradient(theta, t), t)
        if (t + 1) % every == 0:
            change = outer - theta
            v = mu * v + change
            outer = outer - rate * (change + mu * v)
            theta = outer
        path.append(outer if answer else theta)
    return np.stack(path)


def of_adamw(every, rate, mu):
    def path(gradient, theta0, steps, *, answer):
        adam = adam_direction(0.9, 0.99, 1e-3)
        inner = lambda x, g, t: x - 0.05 * (adam(g, t) + 0.1 * x)
        given = {"every": every, "rate": rate, "mu": mu, "answer": answer}
        return diloco(inner, gradient, theta0, steps, **given)

    return lambda answer: rule(path, answer=answer)


BASE = gd.adamw(0.05, b2=0.99, eps=1e-3, weight_decay=0.1)
AGREE = {
    **both("numpy-diloco", gd.diloco(BASE, 7), of_adamw(7, 0.7, 0.9)),
    **both(
        "numpy-diloco-outer",
        gd.diloco(BASE, 4, gd.sgd(0.5, momentum=0.6, nesterov=True)),
        of_adamw(4, 0.5, 0.6),
    ),
}


def test_outer_descent_is_lookahead():
    trained, answer = way(gd.diloco(gd.adam(0.1), 3, gd.sgd(0.6)))
    expected, slow = way(gd.lookahead(gd.adam(0.1), 3, 0.6))
    np.testing.assert_allclose(trained, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer, slow, rtol=1e-5, atol=1e-6)


WORKERS, EVERY, STEPS = 4, 3, 7
PULLS = np.random.default_rng(0).standard_normal((STEPS, WORKERS, 2)).astype(np.float32)
TX = gd.diloco(gd.sgd(0.3), EVERY, axis_name="w")


def train(x, pulls):
    """The parameters of a worker after some steps of descent to its points, [2]."""
    state = TX.init(x)

    def body(carry, pull):
        x, state = carry
        return TX.step(x - pull, state, x), None

    (x, state), _ = jax.lax.scan(body, (x, state), pulls)
    return x, gd.state.eval_params(TX, state, x)


def by_numpy():
    fast, slow, v = np.zeros((WORKERS, 2)), np.zeros(2), np.zeros(2)
    for t in range(STEPS):
        fast = fast - 0.3 * (fast - PULLS[t])
        if (t + 1) % EVERY == 0:
            change = (slow - fast).mean(0)
            v = 0.9 * v + change
            slow = slow - 0.7 * (change + 0.9 * v)
            fast = np.tile(slow, (WORKERS, 1))
    return fast, slow


def over_devices(x, pulls):
    """`train` on a mesh, one worker on each device."""
    alone = lambda x, pulls: jax.tree.map(lambda x: x[None], train(x[0], pulls[:, 0]))
    mesh = mesh_of("Auto", (WORKERS,), ("w",))
    given = {"in_specs": (P("w"), P(None, "w")), "out_specs": P("w")}
    return jax.shard_map(alone, mesh=mesh, **given)(x, pulls)


OVER = {
    "vmap": jax.vmap(train, in_axes=(0, 1), axis_name="w"),
    "pmap": jax.pmap(train, in_axes=(0, 1), axis_name="w"),
    "shard_map": over_devices,
}


@pytest.mark.parametrize("run", OVER.values(), ids=OVER)
def test_workers_meet_in_the_mean_of_their_changes(run):
    fast, slow = by_numpy()
    ours, seen = run(jnp.zeros((WORKERS, 2)), PULLS)
    np.testing.assert_allclose(ours, fast, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen, np.tile(slow, (WORKERS, 1)), rtol=1e-5, atol=1e-6)


def test_workers_communicate_in_a_branch_alone():
    """Not by a select on any platform, which would take the mean in every step."""
    program = str(jax.make_jaxpr(over_devices)(jnp.zeros((WORKERS, 2)), PULLS))
    assert program.count("psum") == 1 and "cond" in program
    assert "platform_index" not in program


def test_steps_are_counted_from_the_last_outer_step():
    tx, x = gd.diloco(gd.sgd(0.1), 3), jnp.ones(1)
    state, counts = tx.init(x), []
    for _ in range(4):
        x, state = tx.step(x, state, x)
        counts.append(int(state.steps_since_sync))
    assert counts == [1, 2, 0, 1]


def test_a_wrong_period_raises():
    with pytest.raises(ValueError, match="every must be 1 or more"):
        gd.diloco(gd.sgd(0.1), 0)
