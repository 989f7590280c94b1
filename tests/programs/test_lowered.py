"""What is lowered for one chip has nothing in it that was made for another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax import programs
from tests import cases

PARAMS = {"a": jnp.ones((8, 12)), "b": jnp.ones(5)}
# What XLA on a CPU needs, and what it costs elsewhere.
FOREIGN = {
    "tpu": ("optimization_barrier", "f64"),  # float64 is made of pairs there, slowly
    "cuda": ("optimization_barrier",),
}
PLAIN = [
    name
    for name, row in cases.first().items()
    if not row.extra and not row.batch and "matrix" not in cases.factories().get(name, "")
]


def lowered(tx, platform):
    state = tx.init(PARAMS)
    return jax.jit(tx.step).trace(PARAMS, state, PARAMS).lower(lowering_platforms=(platform,))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if i % 4 == 0 else pytest.mark.slow) for i, n in enumerate(PLAIN)],
)
@pytest.mark.parametrize("platform", FOREIGN)
def test_a_program_is_made_for_its_chip(name, platform):
    text = lowered(cases.first()[name].tx, platform).as_text()
    assert [word for word in FOREIGN[platform] if word in text] == []


@pytest.mark.parametrize("make", [gd.adafactor, gd.came, gd.adadelta, gd.lamb])
def test_what_reads_twice_on_a_cpu_reads_once_elsewhere(make):
    tx = make(1e-3)
    for platform, words in FOREIGN.items():
        assert not any(word in lowered(tx, platform).as_text() for word in words)
    cpu = lowered(tx, "cpu").as_text()
    assert any(word in cpu for word in FOREIGN["tpu"])


# What looks at all parameters together and then moves them: a copy of them would be for nothing.
@pytest.mark.parametrize(
    "tx, most",
    [(gd.prodigy(1.0), 68), (gd.schedule_free_adamw(1e-3), 52), (gd.schedule_free_sgd(0.1), 36)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_nothing_is_copied(tx, most):
    params = {"a": jnp.ones((256, 512)), "b": jnp.ones((512, 256))}
    found = programs.report(tx, params, mesh={"data": 1})
    assert found.copies == 0 and found.bytes_a_parameter < most + 0.1
