"""What cannot be raises when a schedule is made; traced numbers are not judged."""

import jax
import numpy as np
import pytest

from gdjax.schedules.join import join_schedules
from gdjax.schedules.warmup import (
    warmup_cosine_decay_schedule,
    warmup_stable_decay_schedule,
)
from tests.schedules.rows import NAMESPACE

BAD = [
    (
        "linear_schedule(1.0, 0.0, -1)",
        ValueError,
        r"linear_schedule: transition_steps must lie in \[0, inf\] and be whole, got -1\.",
    ),
    ("linear_schedule(1.0, 0.0, 9, -1)", ValueError, "transition_begin must lie in"),
    ('linear_schedule("1", 0.0, 9)', TypeError, "init_value must be a number"),
    ("linear_schedule(0.1, linear_to_zero(1.0, 2), 9)", TypeError, "end_value must be a number"),
    ("linear_to_zero(1.0, 0)", ValueError, r"total_steps must lie in \[1, inf\]"),
    ("linear_to_zero(1.0, 0.5)", ValueError, r"total_steps must lie in \[1, inf\] and be whole"),
    ("linear_to_zero(1.0, 10.5)", ValueError, "be whole, got 10.5"),
    ("warmup(0.1, 2.5)", ValueError, "steps must lie in .* and be whole, got 2.5"),
    (
        "cosine_onecycle_schedule(1e-3, 1000)",
        ValueError,
        "got 0.001. Are transition_steps and peak_value swapped",
    ),
    ("join_schedules([1.0, 0.5], 5)", TypeError, r"boundaries must be a list, got 5. Write \[5\]"),
    ("linear_to_zero(1000, 0.1)", ValueError, "Are total_steps and init_value swapped"),
    ("polynomial_schedule(1.0, 0.0, 0, 9)", ValueError, "power must lie in"),
    ("exponential_decay(1.0, 5, 0.0)", ValueError, "decay_rate must lie in"),
    ("inverse_sqrt_schedule(1.0, 0)", ValueError, "warmup_steps must lie in"),
    (
        "piecewise_constant_schedule(1.0, {5: -0.1})",
        ValueError,
        "boundaries_and_scales must lie in",
    ),
    (
        "piecewise_constant_schedule(1.0, {-5: 0.1})",
        ValueError,
        "a step of boundaries_and_scales must be a number ≥ 0, got -5",
    ),
    ('piecewise_constant_schedule(1.0, {"5": 0.1})', ValueError, "a step of boundaries_and_scales"),
    (
        'piecewise_interpolate_schedule("cosin", 1.0)',
        ValueError,
        "got 'cosin'|got cosin. Did you mean cosine",
    ),
    ("cosine_decay_schedule(1.0, 0)", ValueError, "decay_steps must lie in"),
    ("cosine_decay_schedule(1.0, 5, exponent=0)", ValueError, "exponent must lie in"),
    ("cosine_decay_schedule(1.0, 5, alfa=0)", TypeError, "Did you mean alpha"),
    ("cosine_restarts_schedule(1.0, 5, 0.5)", ValueError, r"cycle_mult must lie in \[1, inf\]"),
    ("cosine_restarts_schedule(1.0, 5, decay=1.5)", ValueError, r"decay must lie in \(0, 1\]"),
    ("sgdr_schedule([])", TypeError, "cosine_kwargs must be a list of dicts"),
    (
        'sgdr_schedule([{"init_value": 0.0, "peak_value": 1.0, "warmup": 1, "decay_steps": 2}])',
        TypeError,
        "Did you mean warmup_steps",
    ),
    ("triangular_schedule(0.0, 1.0, 0)", ValueError, "up_steps must lie in"),
    ("triangular_schedule(0.0, 1.0, 2, 0)", ValueError, "down_steps must lie in"),
    ("triangular_schedule(0.0, 1.0, 2, cycle_decay=0.0)", ValueError, "cycle_decay must lie in"),
    ("cosine_cycle_schedule(0.0, 1.0, 0)", ValueError, "half_cycle_steps must lie in"),
    (
        "cosine_onecycle_schedule(10, 1.0, 30)",
        ValueError,
        r"pct_start must lie in \[0, 1\], got 30",
    ),
    (
        "linear_onecycle_schedule(10, 1.0, 0.5, 0.4)",
        ValueError,
        "pct_final must be at least pct_start = 0.5, got 0.4",
    ),
    ("linear_onecycle_schedule(10, 1.0, div_factor=0)", ValueError, "div_factor must lie in"),
    (
        "join_schedules([0.1, 0.2], [])",
        ValueError,
        r"boundaries must be one fewer than the 2 schedules, got \[\]",
    ),
    (
        "join_schedules([0.1, 0.2, 0.3], [5, 4])",
        ValueError,
        r"boundaries must ascend, got \[5, 4\]",
    ),
    ("join_schedules([0.1, 0.2], [-1])", ValueError, "boundaries must lie in"),
    ("join_schedules([], [])", TypeError, "schedules must be a list of at least one"),
    ("join_schedules([0.1, live(0.2)], [3])", TypeError, "each of schedules must be a schedule"),
    ('join_schedules([0.1, "x"], [3])', TypeError, "schedules must be"),
    ("warmup(live(0.2), 3)", TypeError, "schedule must be a schedule"),
    ("scaled_schedule(live(0.2), 3)", TypeError, "schedule must be a schedule"),
    ("warmup(0.1, -3)", ValueError, "steps must lie in"),
    ("warmup_constant_schedule(0.0, 1.0, -3)", ValueError, "warmup_steps must lie in"),
    (
        "warmup_cosine_decay_schedule(0.0, 1.0, 10, 10)",
        ValueError,
        "decay_steps, which includes the warmup, must be more than 10, got 10",
    ),
    (
        "warmup_exponential_decay_schedule(0.0, 1.0, 10, 0, 0.5)",
        ValueError,
        "transition_steps must lie in",
    ),
    (
        "warmup_stable_decay_schedule(1.0, 10, 0.6, 0.5)",
        ValueError,
        r"must sum to at most 1, got 0.6 \+ 0.5",
    ),
    ("warmup_stable_decay_schedule(1.0, 10, 2)", ValueError, r"warmup must lie in \[0, 1\], got 2"),
    (
        'warmup_stable_decay_schedule(1.0, 10, shape="root")',
        ValueError,
        "shape must be one of linear, sqrt, cosine",
    ),
]


@pytest.mark.parametrize("call, kind, message", BAD, ids=[call for call, *_ in BAD])
def test_mistakes_are_told_when_making(call, kind, message):
    with pytest.raises(kind, match=message):
        eval(call, dict(NAMESPACE))


def test_traced_numbers_are_not_judged():
    s = jax.jit(lambda n, d: warmup_stable_decay_schedule(1.0, n, d, d)(0))
    assert np.isfinite(s(-1, 0.9))
    jax.jit(lambda a, b: join_schedules([0.1, 0.2, 0.3], [a, b])(0))(5, 4)
    jax.jit(lambda a, b: warmup_cosine_decay_schedule(0.0, 1.0, a, b)(0))(5, 4)
