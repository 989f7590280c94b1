"""Schedules against recordings of torch and against optax."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.data.recipe import factories
from gdjax.schedules.basic import (
    constant_schedule,
    linear_schedule,
)
from gdjax.schedules.cosine import (
    cosine_decay_schedule,
)
from gdjax.schedules.cycles import (
    cosine_onecycle_schedule,
)
from gdjax.schedules.decays import exponential_decay
from gdjax.schedules.join import join_schedules
from gdjax.schedules.warmup import (
    warmup_constant_schedule,
)
from tests.helpers import first
from tests.references import recordings
from tests.schedules.rows import TORCHES

TORCH = recordings("seminar")


def test_every_recording_of_torch_is_compared():
    assert {k.removeprefix("lr/") for k in TORCH.files if k.startswith("lr/")} == set(TORCHES)


@pytest.mark.parametrize("case", TORCHES)
def test_torch(case, x64):
    got = TORCHES[case]()(jnp.arange(61))
    np.testing.assert_allclose(got, TORCH["lr/" + case], rtol=1e-11, atol=1e-15)


# name: calls that mean the same in both.
OPTAX = {
    "constant_schedule": [((0.3,), {})],
    "linear_schedule": [((0.3, 0.07, 10), {}), ((0.3, 0.7, 10, 3), {}), ((0.3, 0.07, 0), {})],
    "polynomial_schedule": [((0.3, 0.07, 2, 10, 3), {}), ((0.3, 0.07, 0.5, 10), {})],
    "exponential_decay": [
        ((0.3, 5, 0.7), {}),
        ((0.3, 5, 0.7, 3, True, 0.1), {}),
        ((0.3, 5, 1.7, 3), {"end_value": 1.0}),
    ],
    "piecewise_constant_schedule": [((0.3, {4: 0.5, 9: 0.1}), {}), ((0.3,), {})],
    "piecewise_interpolate_schedule": [
        (("linear", 0.3, {4: 0.5, 9: 0.1}), {}),
        (("cosine", 0.3, {0: 2.0, 9: 0.1, 4: 0.5}), {}),
        (("cosine", 0.3), {}),
    ],
    "cosine_decay_schedule": [((0.3, 10), {}), ((0.3, 10, 0.1, 1.7), {})],
    "sgdr_schedule": [
        (
            (
                [
                    {"init_value": 0.1, "peak_value": 0.3, "warmup_steps": 2, "decay_steps": 6},
                    {"init_value": 0.0, "peak_value": 0.2, "warmup_steps": 1, "decay_steps": 9}
                    | {"end_value": 0.01, "exponent": 2.0},
                ],
            ),
            {},
        )
    ],
    "cosine_onecycle_schedule": [((20, 0.3), {}), ((100, 0.3, 0.25, 10.0, 100.0), {})],
    "linear_onecycle_schedule": [((20, 0.3), {}), ((100, 0.3, 0.25, 0.5, 10.0, 100.0), {})],
    "warmup_constant_schedule": [((0.01, 0.3, 5), {})],
    "warmup_cosine_decay_schedule": [
        ((0.01, 0.3, 5, 15), {}),
        ((0.01, 0.3, 0, 15), {"end_value": 0.02, "exponent": 1.7}),
    ],
    "warmup_exponential_decay_schedule": [
        ((0.01, 0.3, 5, 4, 0.7), {}),
        ((0.01, 0.3, 5, 4, 0.7, 3, True, 0.1), {}),
        ((0.01, 0.3, 0, 4, 0.7), {}),
    ],
}


@pytest.mark.parametrize("name", first(4, OPTAX))
def test_optax(name, x64):
    import optax

    ours, theirs = factories()[name].call, getattr(optax, name)
    names = list(inspect.signature(theirs).parameters.values())
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
        (p.name, p.default) for p in names
    ]
    for args, kwargs in OPTAX[name]:
        got = ours(*args, **kwargs)(jnp.arange(120))
        with jax.numpy_dtype_promotion("standard"):
            reference = theirs(*args, **kwargs)
            want = jax.vmap(reference)(jnp.arange(120))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_optax_join(x64):
    import optax

    parts = lambda lib: [lib[0](0.0, 0.3, 4), lib[1](0.2), lib[2](0.3, 5)]
    ours = join_schedules(
        parts([linear_schedule, constant_schedule, cosine_decay_schedule]), [4, 9]
    )
    theirs = parts([optax.linear_schedule, optax.constant_schedule, optax.cosine_decay_schedule])
    with jax.numpy_dtype_promotion("standard"):
        reference = optax.join_schedules(theirs, [4, 9])
        want = jax.vmap(reference)(jnp.arange(20))
    np.testing.assert_allclose(ours(jnp.arange(20)), want, rtol=1e-12, atol=1e-15)


def test_where_optax_differs_on_purpose():
    import optax

    # A warm-up of no steps is none; optax keeps the first value for ever.
    assert (
        warmup_constant_schedule(0.0, 1.0, 0)(5) == 1
        and optax.warmup_constant_schedule(0.0, 1.0, 0)(5) == 0
    )
    # The peak of one cycle is where it was asked for: optax rounds 18.3 down to 18.
    ours, theirs = cosine_onecycle_schedule(61, 1.0), optax.cosine_onecycle_schedule(61, 1.0)
    with jax.numpy_dtype_promotion("standard"):
        assert theirs(18) == 1 and ours(18.3) == 1 and ours(18) < 1
    # A decay that takes no steps is a mistake; optax then does not decay at all.
    assert optax.exponential_decay(1.0, 0, 0.5)(9) == 1
    with pytest.raises(ValueError, match="transition_steps must lie in"):
        exponential_decay(1.0, 0, 0.5)
