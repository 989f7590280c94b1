"""Drawn at random, a schedule stays between its values."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

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
from tests.schedules.rows import STEPS

values = st.just(0.0) | st.floats(1e-6, 1.0)


lengths = st.integers(1, 200)


counts = st.integers(0, 200)


powers = st.floats(0.1, 5.0)


fractions = st.floats(0.0, 1.0, allow_subnormal=False)


shrinks = st.floats(0.01, 1.0)


scales = st.dictionaries(counts, shrinks, max_size=3)


pair = st.tuples(fractions, fractions).map(sorted)

# What is drawn, and the call with the values between which it must stay.
BOUNDED = {
    "constant": (st.tuples(values), lambda a: (constant_schedule(a), a)),
    "linear": (
        st.tuples(values, values, counts, counts),
        lambda a, b, n, m: (linear_schedule(a, b, n, m), a, b),
    ),
    "linear_to_zero": (st.tuples(values, lengths), lambda a, n: (linear_to_zero(a, n), a, 0)),
    "polynomial": (
        st.tuples(values, values, powers, counts, counts),
        lambda a, b, p, n, m: (polynomial_schedule(a, b, p, n, m), a, b),
    ),
    "exponential": (
        st.tuples(values, lengths, shrinks, counts, st.booleans()),
        lambda a, n, r, m, flag: (exponential_decay(a, n, r, m, flag, a / 2), a, a / 2),
    ),
    "inverse_sqrt": (st.tuples(values, lengths), lambda a, n: (inverse_sqrt_schedule(a, n), a, 0)),
    "piecewise_constant": (
        st.tuples(values, scales),
        lambda a, s: (piecewise_constant_schedule(a, s), a, a * math.prod(s.values())),
    ),
    "piecewise_interpolate": (
        st.tuples(st.sampled_from(["linear", "cosine"]), values, scales),
        lambda how, a, s: (piecewise_interpolate_schedule(how, a, s), a, a * math.prod(s.values())),
    ),
    "cosine_decay": (
        st.tuples(values, lengths, fractions, powers),
        lambda a, n, alpha, p: (cosine_decay_schedule(a, n, alpha, p), a, alpha * a),
    ),
    "cosine_restarts": (
        st.tuples(values, lengths, st.floats(1, 3), shrinks, values),
        lambda a, n, m, r, b: (cosine_restarts_schedule(a, n, m, r, b), a, b),
    ),
    "sgdr": (
        st.tuples(values, values, values, counts, lengths),
        lambda a, b, c, w, n: (
            sgdr_schedule(
                [
                    {
                        "init_value": a,
                        "peak_value": b,
                        "warmup_steps": w,
                        "decay_steps": w + n,
                        "end_value": c,
                    }
                ]
                * 2
            ),
            a,
            b,
            c,
        ),
    ),
    "triangular": (
        st.tuples(values, values, lengths, lengths, shrinks, shrinks),
        lambda a, b, n, m, r, q: (triangular_schedule(a, b, n, m, r, q), a, b),
    ),
    "cosine_cycle": (
        st.tuples(values, values, lengths),
        lambda a, b, n: (cosine_cycle_schedule(a, b, n), a, b),
    ),
    "linear_onecycle": (
        st.tuples(lengths, values, pair),
        lambda n, a, p: (linear_onecycle_schedule(n, a, *p), a, a / 25e4),
    ),
    "cosine_onecycle": (
        st.tuples(lengths, values, fractions),
        lambda n, a, p: (cosine_onecycle_schedule(n, a, p), a, a / 25e4),
    ),
    "join": (
        st.tuples(values, values, values, lengths, counts),
        lambda a, b, c, n, m: (join_schedules([linear_schedule(a, b, n), c], [m]), a, b, c),
    ),
    "scaled": (
        st.tuples(values, fractions, lengths),
        lambda a, f, n: (scaled_schedule(linear_to_zero(a, n), f), f * a, 0),
    ),
    "warmup": (
        st.tuples(values, values, lengths, counts),
        lambda a, b, n, m: (warmup(linear_to_zero(a, n), m, b), a, b, 0),
    ),
    "warmup_constant": (
        st.tuples(values, values, counts),
        lambda a, b, n: (warmup_constant_schedule(a, b, n), a, b),
    ),
    "warmup_cosine_decay": (
        st.tuples(values, values, values, counts, lengths, powers),
        lambda a, b, c, w, n, p: (warmup_cosine_decay_schedule(a, b, w, w + n, c, p), a, b, c),
    ),
    "warmup_exponential_decay": (
        st.tuples(values, values, counts, lengths, shrinks),
        lambda a, b, w, n, r: (
            warmup_exponential_decay_schedule(a, b, w, n, r, end_value=b / 2),
            a,
            b,
            b / 2,
        ),
    ),
    "warmup_stable_decay": (
        st.tuples(
            values, values, values, lengths, pair, st.sampled_from(["linear", "sqrt", "cosine"])
        ),
        lambda a, b, c, n, p, how: (
            warmup_stable_decay_schedule(a, n, p[0], 1 - p[1], how, b, c),
            a,
            b,
            c,
        ),
    ),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_stays_between_its_values(name):
    drawn, make = BOUNDED[name]

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(drawn)
    def check(arguments):
        s, *bounds = make(*arguments)
        low, high = np.float32(min(bounds)), np.float32(max(bounds))
        slack = 4 * np.finfo(np.float32).eps * high
        value = np.asarray(s(STEPS))
        assert (value >= low - slack).all() and (value <= high + slack).all(), (low, high, value)

    check()


def test_every_schedule_is_bounded():
    assert {n.removesuffix("_schedule").removesuffix("_decay") for n in BOUNDED} == {
        made.name.removesuffix("_schedules").removesuffix("_schedule").removesuffix("_decay")
        for made in factories().values()
        if made.module.startswith("gdjax.schedules.")
    }
