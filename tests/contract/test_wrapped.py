"""Wrappers × optimizers: what a wrapper promises, it promises around every optimizer."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax import contract

SCALARS = gd.by_rank(at_most=0)  # of the parameters that the promises use: one of two

WRAPPERS = {
    "accumulate": lambda tx: gd.accumulate(tx, 2),
    "apply_if_finite": gd.apply_if_finite,
    "skip_spikes": lambda tx: gd.skip_spikes(tx, loss=None, window=4),
    "loss_scale": lambda tx: gd.loss_scale(tx, init_scale=2.0),
    "masked": lambda tx: gd.masked(tx, "matrices"),
    "partition": lambda tx: gd.partition(
        gd.by_label(small=SCALARS, rest=True), small=gd.sgd(0.1), rest=tx
    ),
    "groups": lambda tx: gd.groups(tx, (SCALARS, gd.frozen)),
    "with_ema": lambda tx: gd.with_ema(tx, 0.9),
    "with_swa": lambda tx: gd.with_swa(tx, 1),
    "with_polynomial_averaging": gd.with_polynomial_averaging,
    "stochastic_rounding": lambda tx: gd.stochastic_rounding(tx, 0),
    "with_master_weights": gd.with_master_weights,
    "compensated": gd.compensated,
    "with_split_weights": gd.with_split_weights,
    "store": lambda tx: gd.store(tx, "8bit", min_size=2),
    "store_bf16": lambda tx: gd.store(tx, "bf16", min_size=2),
    "offload": gd.offload,
    "all": lambda tx: gd.with_ema(
        gd.accumulate(gd.skip_spikes(gd.stochastic_rounding(gd.store(tx, min_size=2), 0)), 2), 0.9
    ),
}
BASES = {
    "momentum": gd.sgd(0.1, 0.9),
    "adamw": gd.adamw(gd.linear_to_zero(0.1, 200)),
    "adafactor": gd.adafactor(0.1),
    "lion": gd.lion(0.01),
    "schedule_free": gd.schedule_free_adamw(0.1),
    "clipped": gd.chain(gd.clip_by_global_norm(1.0), gd.adam(0.1)),
}
QUICK = {"adamw"}  # with all wrappers, and the first promises; the others are for those who wait
FIRST = ["agrees_with_jit", "saves_and_restores"]
IN_TURN = ["keeps_its_state", "stays_finite", "scans"]  # one of them around each of the other bases
OF_ONE_BASE = ["survives_donation", "takes_any_tree", "is_placed_like_parameters"]


def cases():
    for i, wrapper in enumerate(WRAPPERS):
        for j, base in enumerate(BASES):
            others = [*IN_TURN, *OF_ONE_BASE] if base in QUICK else [IN_TURN[(i + j) % 3]]
            for promise in [*FIRST, *others]:
                marks = [] if base in QUICK and promise in FIRST else [pytest.mark.slow]
                yield pytest.param(promise, wrapper, base, marks=marks)


@pytest.mark.parametrize("promise, wrapper, base", list(cases()))
def test_promise(promise, wrapper, base):
    tx = WRAPPERS[wrapper](BASES[base])
    extra = {"value": jnp.asarray(1.0)} if "value" in tx.extra_args else {}
    contract.check(tx, [promise], extra=extra)
