"""Guards on the way into a transformation: spikes, and the scale of a loss in float16."""

from __future__ import annotations

import jax.numpy as jnp

import gdjax as gd

from ..row import Row

VALUE = {"value": jnp.asarray(1.0)}

ROWS = [
    Row(gd.skip_spikes(gd.adam(1e-2), window=8), VALUE),
    Row(gd.skip_spikes(gd.sgd(0.1, 0.9), None, 4.0, patience=0), label="skip_spikes-norm"),
    Row(gd.skip_spikes(gd.adamw(0.1), 3.0, None), VALUE, label="skip_spikes-loss"),
    Row(gd.loss_scale(gd.adam(1e-2, eps=1e-12))),
    Row(
        gd.loss_scale(gd.sgd(0.1, 0.9), 1.0, growth_interval=1, growth_factor=1.5),
        label="loss_scale-sgd",
        descends=False,  # the promise's gradients are not scaled, so the rate falls as s grows
    ),
]

AGREE = {}

# They decide whether a step is taken; tests/test_faults.py says what of them must hold.
PLAIN = {"loss_scale", "skip_spikes"}
