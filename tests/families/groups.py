"""Groups of parameters: other arguments, other rates, other rules, none."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import gdjax as gd

from ..oracles import problem
from ..oracles.rules import seminar
from ..row import Agree, Row, real

CLIPPED = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(0.1, b2=0.99, weight_decay=0.1))
NAMED = gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.sgd(gd.linear_to_zero(0.1, 500), 0.9))
LARGE = gd.by_rank(2)

ROWS = [
    Row(gd.groups(CLIPPED, (LARGE, dict(weight_decay=0.0)))),
    Row(gd.groups(gd.adamw(0.1)), label="groups-none"),
    Row(gd.groups(NAMED, (LARGE, 0.5), (True, {"opt/momentum": 0.5})), label="groups-rates"),
    Row(gd.groups(gd.chain(gd.clip(1.0), gd.scale(-0.1)), ("matrices", 2.0)), label="groups-end"),
    Row(gd.groups(CLIPPED, (~LARGE, gd.sgd(0.1)), (LARGE, 0.5)), label="groups-other"),
    Row(gd.groups(CLIPPED, (LARGE, gd.frozen)), label="groups-frozen"),
    Row(
        gd.groups(gd.adamw(gd.live(0.1)), (LARGE, dict(weight_decay=gd.times(2.0), eps=1e-6))),
        label="groups-times",
    ),
    Row(gd.accumulate(gd.groups(CLIPPED, (LARGE, 0.5)), 2), label="accumulate-groups"),
]


def falls(step: Any) -> Any:
    return -0.1 * (1 - real(step) / 100)


# The problem's first six unknowns are "w", the other two "b".


def by_part(w: Any, b: Any) -> np.ndarray:
    return np.repeat([w, b], [6, 2]).astype(float)


def clipped(theta: np.ndarray, t: int, part: Any = 1.0) -> np.ndarray:
    """The gradient of a part, shortened by the length of that part to 1."""
    g = part * problem.gradient(theta, t)
    return g * min(1.0, 1.0 / np.sqrt(np.sum(g**2)))


def decays(*, w: float, b: float) -> np.ndarray:
    start, lam = problem.start(), by_part(w, b)
    return seminar.adamw(clipped, start, problem.STEPS, eta=0.1, b2=0.99, lam=lam)


def rates() -> np.ndarray:
    falling = lambda t: 0.1 * (1 - t / 100) * by_part(0.25, 1)
    return seminar.adam(problem.gradient, problem.start(), problem.STEPS, eta=falling)


def descents() -> np.ndarray:
    """w by AdamW and b by descent, after one clip of both: each moves as if the other did not."""
    theta, adam = problem.start(), seminar._adam_direction(0.9, 0.99, 1e-8, 0.0)
    path = [theta]
    for t in range(problem.STEPS):
        g = clipped(theta, t)
        theta = theta - by_part(0.1, 0.2) * np.where(by_part(1, 0), adam(g, t) + 0.1 * theta, g)
        path.append(theta)
    return np.stack(path)


def still() -> np.ndarray:
    """b does not move and is part of no norm."""
    gradient = functools.partial(clipped, part=by_part(1, 0))
    eta = by_part(0.1, 0)
    start = problem.start()
    return seminar.adamw(gradient, start, problem.STEPS, eta=eta, b2=0.99, lam=0.1)


AGREE = {
    "decay": Agree(
        gd.groups(CLIPPED, ("b", dict(weight_decay=0.0))), functools.partial(decays, w=0.1, b=0.0)
    ),
    "times": Agree(
        gd.groups(CLIPPED, ("b", {"adamw/weight_decay": gd.times(3.0)})),
        functools.partial(decays, w=0.1, b=0.3),
    ),
    "rate": Agree(gd.groups(gd.adam(gd.linear_to_zero(0.1, 100)), ("w", 0.25)), rates),
    "other": Agree(gd.groups(CLIPPED, ("b", gd.sgd(0.2))), descents),
    "frozen": Agree(gd.groups(CLIPPED, ("b", gd.frozen)), still),
    "end": Agree(
        gd.groups(gd.chain(gd.scale_by_adam(), gd.scale_by_schedule(falls)), ("w", 0.25)), rates
    ),
}
