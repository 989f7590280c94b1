"""One row for each schedule: a call, its closed form in plain Python, values that must be exact.

The closed forms and the recordings of torch hold to 1e-12 in float64, at every step of the way and
past its end.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from gdjax.compat.torch.lr_scheduler import OneCycleLR
from gdjax.core.data.recipe import factories
from gdjax.schedules.basic import (
    constant_schedule,
    linear_schedule,
    linear_to_zero,
    polynomial_schedule,
)
from gdjax.schedules.cosine import (
    cosine_decay_schedule,
    cosine_restarts_schedule,
    sgdr_schedule,
)
from gdjax.schedules.cycles import (
    cosine_cycle_schedule,
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    triangular_schedule,
)
from gdjax.schedules.decays import exponential_decay, inverse_sqrt_schedule
from gdjax.schedules.join import join_schedules, warmup
from gdjax.schedules.piecewise import piecewise_constant_schedule, piecewise_interpolate_schedule
from gdjax.schedules.scaled import scaled_schedule
from gdjax.schedules.warmup import (
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)


def line(t, begin, end, first, last):
    return first + (last - first) * min(max((t - begin) / (end - begin), 0), 1)


def half_cosine(t, begin, end, first, last, p=1.0):
    x = min(max((t - begin) / (end - begin), 0), 1)
    return last + (first - last) * ((1 + math.cos(math.pi * x)) / 2) ** p


def restarts(t, a, length, m, decay, b):
    begin, height = 0, 1.0
    while t >= begin + length:
        begin, length, height = begin + length, length * m, height * decay
    return b + height * (half_cosine(t, begin, begin + length, a, b) - b)


def triangle(t, a, b, up, down, cycle_decay=1.0, step_decay=1.0):
    i, s = divmod(t, up + down)
    w = s / up if s <= up else 1 - (s - up) / down
    return a + (b - a) * cycle_decay**i * step_decay**t * w


def stable(t, fall, peak=0.5, total=50, w=0.1, d=0.2, a=0.1, b=0.01):
    if t < w * total:
        return line(t, 0, w * total, a, peak)
    x = min(max((t - (total - d * total)) / (d * total), 0), 1)
    return b + (peak - b) * fall(x)


class Row(NamedTuple):
    make: Callable[[], Any]
    want: Callable[[float], float]  # of the step
    exact: dict[float, float]  # step → value that float32 must give to the last bit


ROWS = {
    "constant": Row(lambda: constant_schedule(0.3), lambda t: 0.3, {0: 0.3, 100: 0.3}),
    "linear": Row(
        lambda: linear_schedule(0.3, 0.07, 10),
        lambda t: line(t, 0, 10, 0.3, 0.07),
        {0: 0.3, 10: 0.07, 11: 0.07, 1000: 0.07},
    ),
    "linear rising late": Row(
        lambda: linear_schedule(
            init_value=0.1, end_value=0.7, transition_steps=7, transition_begin=6
        ),
        lambda t: line(t, 6, 13, 0.1, 0.7),
        {0: 0.1, 6: 0.1, 13: 0.7, 14: 0.7},
    ),
    "linear not at all": Row(
        lambda: linear_schedule(0.1, 0.7, 0), lambda t: 0.1, {0: 0.1, 1: 0.1, 100: 0.1}
    ),
    "linear_to_zero": Row(
        lambda: linear_to_zero(0.3, 12), lambda t: 0.3 * max(1 - t / 12, 0), {0: 0.3, 12: 0, 13: 0}
    ),
    "polynomial": Row(
        lambda: polynomial_schedule(0.3, 0.07, 2.5, 10, transition_begin=2),
        lambda t: 0.07 + 0.23 * (1 - line(t, 2, 12, 0, 1)) ** 2.5,
        {0: 0.3, 2: 0.3, 12: 0.07, 13: 0.07},
    ),
    "polynomial, a root": Row(
        lambda: polynomial_schedule(0.3, 0.07, 0.5, 10),
        lambda t: 0.07 + 0.23 * math.sqrt(1 - line(t, 0, 10, 0, 1)),
        {0: 0.3, 10: 0.07, 11: 0.07},
    ),
    "exponential": Row(
        lambda: exponential_decay(0.3, 5, 0.7, transition_begin=3),
        lambda t: 0.3 * 0.7 ** (max(t - 3, 0) / 5),
        {0: 0.3, 3: 0.3},
    ),
    "exponential staircase": Row(
        lambda: exponential_decay(0.3, 5, 0.7, 3, True, end_value=0.1),
        lambda t: max(0.3 * 0.7 ** (max(t - 3, 0) // 5), 0.1),
        {0: 0.3, 3: 0.3, 7: 0.3, 100: 0.1},
    ),
    "exponential rising": Row(
        lambda: exponential_decay(0.3, 5, 1.5, end_value=1.1),
        lambda t: min(0.3 * 1.5 ** (t / 5), 1.1),
        {0: 0.3, 100: 1.1},
    ),
    "inverse_sqrt": Row(
        lambda: inverse_sqrt_schedule(0.3, 7),
        lambda t: 0.3 * min(t / 7, math.sqrt(7 / t) if t else 0),
        {0: 0, 7: 0.3, 28: 0.15},
    ),
    "piecewise_constant": Row(
        lambda: piecewise_constant_schedule(0.3, {4: 0.5, 9: 0.1, 11: 3.0}),
        lambda t: 0.3 * (0.5 if t >= 4 else 1) * (0.1 if t >= 9 else 1) * (3 if t >= 11 else 1),
        {0: 0.3, 3: 0.3, 4: 0.15, 8: 0.15, 9: 0.015, 10: 0.015, 11: 0.045},
    ),
    "piecewise_constant at once": Row(
        lambda: piecewise_constant_schedule(init_value=0.3, boundaries_and_scales={0: 0.5}),
        lambda t: 0.15,
        {0: 0.15},
    ),
    "piecewise_constant alone": Row(
        lambda: piecewise_constant_schedule(0.3), lambda t: 0.3, {0: 0.3}
    ),
    "piecewise_interpolate linear": Row(
        lambda: piecewise_interpolate_schedule("linear", 0.3, {4: 0.5, 9: 0.1}),
        lambda t: line(t, 0, 4, 0.3, 0.15) if t < 4 else line(t, 4, 9, 0.15, 0.015),
        {0: 0.3, 4: 0.15, 9: 0.015, 10: 0.015},
    ),
    "piecewise_interpolate cosine": Row(
        lambda: piecewise_interpolate_schedule("cosine", 0.3, {0: 2.0, 4: 0.5, 9: 0.1}),
        lambda t: half_cosine(t, 0, 4, 0.6, 0.3) if t < 4 else half_cosine(t, 4, 9, 0.3, 0.03),
        {0: 0.6, 4: 0.3, 9: 0.03, 10: 0.03},
    ),
    "cosine_decay": Row(
        lambda: cosine_decay_schedule(0.3, 10),
        lambda t: half_cosine(t, 0, 10, 0.3, 0),
        {0: 0.3, 5: 0.15, 10: 0, 11: 0, 1000: 0},
    ),
    "cosine_decay, a power": Row(
        lambda: cosine_decay_schedule(0.3, 11, alpha=0.1, exponent=1.7),
        lambda t: half_cosine(t, 0, 11, 0.3, 0.03, 1.7),
        {0: 0.3, 11: 0.03, 12: 0.03},
    ),
    "cosine_restarts": Row(
        lambda: cosine_restarts_schedule(0.3, 5),
        lambda t: restarts(t, 0.3, 5, 1, 1, 0),
        {0: 0.3, 5: 0.3, 10: 0.3, 500: 0.3},
    ),
    "cosine_restarts growing": Row(
        lambda: cosine_restarts_schedule(0.3, 3, cycle_mult=2, decay=0.5, end_value=0.01),
        lambda t: restarts(t, 0.3, 3, 2, 0.5, 0.01),
        {0: 0.3},
    ),
    "cosine_restarts off the steps": Row(
        lambda: cosine_restarts_schedule(0.3, 4, 1.3, end_value=0.01),
        lambda t: restarts(t, 0.3, 4, 1.3, 1, 0.01),
        {0: 0.3, 4: 0.3},
    ),
    "sgdr": Row(
        lambda: sgdr_schedule(
            [
                {
                    "decay_steps": 6,
                    "end_value": 0.01,
                    "init_value": 0.1,
                    "peak_value": 0.3,
                    "warmup_steps": 2,
                },
                {
                    "decay_steps": 10,
                    "exponent": 2.0,
                    "init_value": 0.2,
                    "peak_value": 0.5,
                    "warmup_steps": 0,
                },
            ]
        ),
        lambda t: (
            (line(t, 0, 2, 0.1, 0.3) if t < 2 else half_cosine(t, 2, 6, 0.3, 0.01))
            if t < 6
            else half_cosine(t, 6, 16, 0.5, 0, 2.0)
        ),
        {0: 0.1, 2: 0.3, 6: 0.5, 16: 0, 17: 0},
    ),
    "triangular": Row(
        lambda: triangular_schedule(0.01, 0.3, 4),
        lambda t: triangle(t, 0.01, 0.3, 4, 4),
        {0: 0.01, 4: 0.3, 8: 0.01, 12: 0.3, 500: 0.3, 1000: 0.01},
    ),
    "triangular uneven, falling": Row(
        lambda: triangular_schedule(0.01, 0.3, 3, 7, cycle_decay=0.5, step_decay=0.95),
        lambda t: triangle(t, 0.01, 0.3, 3, 7, 0.5, 0.95),
        {0: 0.01, 10: 0.01, 20: 0.01},
    ),
    "cosine_cycle": Row(
        lambda: cosine_cycle_schedule(0.3, 0.01, 7),
        lambda t: 0.01 + 0.29 * (1 + math.cos(math.pi * t / 7)) / 2,
        {0: 0.3, 7: 0.01, 14: 0.3, 21: 0.01, 28: 0.3},
    ),
    "linear_onecycle": Row(
        lambda: linear_onecycle_schedule(20, 0.3),
        lambda t: (
            line(t, 0, 6, 0.012, 0.3)
            if t < 6
            else line(t, 6, 17, 0.3, 0.012)
            if t < 17
            else line(t, 17, 20, 0.012, 0.012e-4)
        ),
        {6: 0.3, 17: 0.012, 20: 0.012e-4, 21: 0.012e-4},
    ),
    "cosine_onecycle": Row(
        lambda: cosine_onecycle_schedule(100, 0.3, 0.29, div_factor=4.0, final_div_factor=10.0),
        lambda t: (
            half_cosine(t, 0, 29, 0.075, 0.3) if t < 29 else half_cosine(t, 29, 100, 0.3, 0.0075)
        ),
        {0: 0.075, 29: 0.3, 100: 0.0075, 101: 0.0075},
    ),
    "cosine_onecycle, only the fall": Row(
        lambda: cosine_onecycle_schedule(10, 0.3, pct_start=0.0),
        lambda t: half_cosine(t, 0, 10, 0.3, 0.012e-4),
        {0: 0.3, 10: 0.012e-4, 11: 0.012e-4},
    ),
    "join": Row(
        lambda: join_schedules(
            [
                linear_schedule(0.0, 0.3, 4),
                constant_schedule(0.2),
                0.1,
                cosine_decay_schedule(0.3, 5),
            ],
            [4, 6, 9],
        ),
        lambda t: (
            line(t, 0, 4, 0, 0.3)
            if t < 4
            else 0.2
            if t < 6
            else 0.1
            if t < 9
            else half_cosine(t, 9, 14, 0.3, 0)
        ),
        {0: 0.0, 4: 0.2, 5: 0.2, 6: 0.1, 8: 0.1, 9: 0.3, 14: 0.0, 15: 0.0},
    ),
    "join of one": Row(lambda: join_schedules((0.3,), ()), lambda t: 0.3, {0: 0.3}),
    "scaled": Row(
        lambda: scaled_schedule(linear_schedule(0.1, 0.3, 4), 0.5),
        lambda t: 0.5 * line(t, 0, 4, 0.1, 0.3),
        {0: 0.05, 4: 0.15, 5: 0.15},
    ),
    "warmup": Row(
        lambda: warmup(cosine_decay_schedule(0.3, 10), 5, init_value=0.01),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else half_cosine(t, 5, 15, 0.3, 0),
        {0: 0.01, 5: 0.3, 15: 0, 16: 0},
    ),
    "warmup of no steps": Row(
        lambda: warmup(schedule=0.3, steps=0), lambda t: 0.3, {0: 0.3, 1: 0.3, 20: 0.3}
    ),
    "warmup_constant": Row(
        lambda: warmup_constant_schedule(0.01, 0.3, 5),
        lambda t: line(t, 0, 5, 0.01, 0.3),
        {0: 0.01, 5: 0.3, 6: 0.3},
    ),
    "warmup_constant of no steps": Row(
        lambda: warmup_constant_schedule(0.01, 0.3, 0), lambda t: 0.3, {0: 0.3, 1: 0.3}
    ),
    "warmup_cosine_decay": Row(
        lambda: warmup_cosine_decay_schedule(0.01, 0.3, 5, 15, 0.02, exponent=1.5),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else half_cosine(t, 5, 15, 0.3, 0.02, 1.5),
        {0: 0.01, 5: 0.3, 15: 0.02, 16: 0.02},
    ),
    "warmup_cosine_decay of no steps": Row(
        lambda: warmup_cosine_decay_schedule(0.01, 0.3, 0, 15),
        lambda t: half_cosine(t, 0, 15, 0.3, 0),
        {0: 0.3, 15: 0, 16: 0},
    ),
    "warmup_exponential_decay": Row(
        lambda: warmup_exponential_decay_schedule(0.01, 0.3, 5, 2, 0.7, 1, end_value=0.1),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else max(0.3 * 0.7 ** (max(t - 6, 0) / 2), 0.1),
        {0: 0.01, 5: 0.3, 6: 0.3, 50: 0.1},
    ),
    "warmup_exponential_decay staircase": Row(
        lambda: warmup_exponential_decay_schedule(0.01, 0.3, 5, 2, 0.7, staircase=True),
        lambda t: line(t, 0, 5, 0.01, 0.3) if t < 5 else 0.3 * 0.7 ** ((t - 5) // 2),
        {0: 0.01, 5: 0.3, 6: 0.3},
    ),
    "warmup_stable_decay": Row(
        lambda: warmup_stable_decay_schedule(0.5, 50, 0.1, 0.2, init_value=0.1, end_value=0.01),
        lambda t: stable(t, lambda x: 1 - x),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay, one minus root": Row(
        lambda: warmup_stable_decay_schedule(
            0.5, 50, 0.1, 0.2, shape="sqrt", init_value=0.1, end_value=0.01
        ),
        lambda t: stable(t, lambda x: 1 - math.sqrt(x)),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay, cosine": Row(
        lambda: warmup_stable_decay_schedule(0.5, 50, 0.1, 0.2, "cosine", 0.1, 0.01),
        lambda t: stable(t, lambda x: (1 + math.cos(math.pi * x)) / 2),
        {0: 0.1, 5: 0.5, 40: 0.5, 50: 0.01, 51: 0.01},
    ),
    "warmup_stable_decay of the defaults": Row(
        lambda: warmup_stable_decay_schedule(0.5, 100),
        lambda t: stable(t, lambda x: 1 - x, 0.5, 100, 0.02, 0.2, 0.0, 0.0),
        {0: 0, 2: 0.5, 80: 0.5, 100: 0, 101: 0},
    ),
    "warmup_stable_decay, only stable": Row(
        lambda: warmup_stable_decay_schedule(0.5, 10, warmup=0.0, decay=0.0),
        lambda t: 0.5,
        {0: 0.5, 9: 0.5, 10: 0.5, 11: 0.5},
    ),
}


rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())

NAMESPACE = {name: made.call for name, made in factories().items()}

# One array of steps for all tests: what runs eagerly is compiled for one shape.
STEPS = np.append(np.arange(115), [200, 256, 499, 500, 1000])


def doubled(s: Any) -> Any:
    """The same schedule with other numbers of the same types, each in its range."""
    return jax.tree.map(lambda x: x * 2 if isinstance(x, int) else x * 0.8, s)


TORCHES = {
    "linear": lambda: linear_schedule(0.025, 0.1, 40),
    "polynomial": lambda: polynomial_schedule(0.1, 0.0, 2.0, 50),
    "exponential": lambda: exponential_decay(0.1, 1, 0.95),
    "multistep": lambda: piecewise_constant_schedule(0.1, {10: 0.3, 25: 0.3, 45: 0.3}),
    "cosine": lambda: cosine_decay_schedule(0.1, 60, alpha=0.01),
    "cosine_past_the_end": lambda: cosine_cycle_schedule(0.1, 0.001, 40),
    "cosine_warm_restarts": lambda: cosine_restarts_schedule(0.1, 10, 2, end_value=0.001),
    "cyclic_triangular": lambda: triangular_schedule(0.001, 0.1, 8),
    "cyclic_triangular2": lambda: triangular_schedule(0.001, 0.1, 8, cycle_decay=0.5),
    "cyclic_exp_range": lambda: triangular_schedule(0.001, 0.1, 8, step_decay=0.95),
    "cyclic_uneven": lambda: triangular_schedule(0.001, 0.1, 8, 12),
    # torch's total_steps = 61: the last rate at step 60, the peak at 0.3 · 61 − 1 = 17.3, and of
    # three phases the second ends at 2 · 0.3 · 61 − 2 = 34.6.
    "one_cycle_cos": lambda: cosine_onecycle_schedule(60, 0.1, 17.3 / 60),
    "one_cycle_cos_three_phase": lambda: OneCycleLR(0.1, 61, three_phase=True),
    "one_cycle_linear": lambda: OneCycleLR(0.1, 61, anneal_strategy="linear"),
    "one_cycle_linear_three_phase": lambda: linear_onecycle_schedule(60, 0.1, 17.3 / 60, 34.6 / 60),
}
