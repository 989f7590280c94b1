"""Generalized primal averaging."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.optimizers.schedule_free.test_schedule_free import way
from tests.references import both, real, rule
from tests.transcription import at

ROWS = [
    Row(gd.generalized_primal_averaging(gd.sgd(0.1), mu_x=0.9, mu_y=0.7)),
]


def primal_averaging(base, gradient, theta0, steps, *, mu_x, mu_y, answer=False):
    """Generalized primal averaging (Defazio et al. 2025) of `base(g, y, t)`, a step downhill."""
    x, y, z = theta0, theta0, theta0
    path = [theta0]
    for t in range(steps):
        z = z + base(gradient(y, t), y, t)
        x = at(mu_x, t) * x + (1 - at(mu_x, t)) * z
        y = at(mu_y, t) * x + (1 - at(mu_y, t)) * z
        path.append(x if answer else y)
    return np.stack(path)


def rising(t):
    return 0.5 + 0.4 * real(t) / 60


def of_base(mu_x, mu_y):
    def path(gradient, theta0, steps, *, answer):
        base = lambda g, y, t: -0.3 * (g + 0.1 * y)
        return primal_averaging(base, gradient, theta0, steps, mu_x=mu_x, mu_y=mu_y, answer=answer)

    return lambda answer: rule(path, answer=answer)


# Over any base: decay of the point that is trained, as the base sees it.
BASE = gd.chain(gd.add_decayed_weights(0.1), gd.sgd(0.3))
AGREE = {
    **both(
        "numpy-primal-averaging",
        gd.generalized_primal_averaging(BASE, 0.8, 0.6),
        of_base(0.8, 0.6),
    ),
    **both(
        "numpy-primal-averaging-schedules",
        gd.generalized_primal_averaging(BASE, lambda t: 0.9 * rising(t), rising),
        of_base(lambda t: 0.9 * rising(t), rising),
    ),
}


def test_primal_averaging_is_momentum():
    """Over descent: μy = 1 is the heavy ball, μy = μx Nesterov's momentum, μx = 0 nothing."""
    base = gd.sgd(2.0)
    for mu_y, nesterov in ((1.0, False), (0.8, True)):
        trained, _ = way(gd.generalized_primal_averaging(base, 0.8, mu_y))
        expected, _ = way(gd.sgd(2.0 * 0.2, momentum=0.8, nesterov=nesterov))
        np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-6)
    trained, answer = way(gd.generalized_primal_averaging(gd.sgd(0.5), 0.0, 0.7))
    np.testing.assert_allclose(trained, way(gd.sgd(0.5))[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer, trained, rtol=1e-5, atol=1e-6)
