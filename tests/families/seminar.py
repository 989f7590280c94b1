"""Descent, momentum, AdaGrad, RMSProp, Adam and AdamW, and the parts they are made of."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

import gdjax as gd

from ..oracles.rules import seminar as rules
from ..row import Agree, Row, real, recorded, rule


def sign(updates: Any, params: Any) -> Any:
    """The function of the `stateless` row: it has a name, so it pickles."""
    from gdjax.core.rule import tree

    return tree.map(jnp.sign, updates)


ROWS = [
    # optimizers
    Row(gd.sgd(0.1)),
    Row(gd.sgd(0.05, momentum=0.9), label="sgd-momentum"),
    Row(gd.sgd(0.05, 0.9, nesterov=True), label="sgd-nesterov"),
    Row(gd.momentum(0.1, decay=0.8)),
    Row(gd.adagrad(0.1, 0.1)),
    Row(gd.rmsprop(0.05)),
    Row(gd.rmsprop(0.01, 0.9, centered=True, momentum=0.5), label="rmsprop-centered"),
    Row(gd.adam(0.1, b1=0.8)),
    Row(gd.adam(0.1, mu_dtype=jnp.bfloat16), label="adam-bfloat16"),
    Row(gd.adamw(0.1, b2=0.99, weight_decay=0.01)),
    # transformations
    Row(gd.identity()),
    Row(gd.set_to_zero(), descends=False),
    Row(gd.stateless(sign)),
    Row(gd.scale(-0.1)),
    Row(gd.scale_by_learning_rate(0.1)),
    Row(gd.scale_by_schedule(gd.exponential_decay(-0.1, 10, 0.5))),
    Row(gd.trace(0.9)),
    Row(gd.trace(0.9, nesterov=True), label="trace-nesterov"),
    Row(gd.ema(0.9)),
    Row(gd.ema(0.9, debias=False), label="ema-biased"),
    Row(gd.scale_by_rss(0.1)),
    Row(gd.scale_by_rms(0.9)),
    Row(gd.scale_by_rms(0.9, bias_correction=True, eps_in_sqrt=True), label="scale_by_rms-debias"),
    Row(gd.scale_by_stddev(0.9)),
    Row(gd.scale_by_adam(0.9, 0.99)),
    Row(gd.add_decayed_weights(0.1)),
    Row(gd.decay_weights(0.1)),
    Row(gd.clip(0.5)),
    Row(gd.clip_by_global_norm(0.5)),
    # compositions
    Row(gd.chain(gd.clip(1.0), gd.sgd(0.1))),
    Row(
        gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(0.1, weight_decay=0.1)),
        label="chain-named",
    ),
    Row(gd.chain(gd.add_decayed_weights(0.1), gd.adam(0.1)), label="chain-l2"),
    Row(gd.chain(), label="chain-empty"),
]


def halving(t):
    return 0.05 * 0.5 ** (real(t) / 20)


def rising(t):
    return 0.9 + 0.099 * real(t) / 60


def l2(lam, *rest):
    return gd.chain(gd.add_decayed_weights(lam), *rest)


# torch 2.13.0: eps beside the root, RMSProp without bias correction, decay of AdamW by the rate.
TORCH_ROWS = {
    "sgd": gd.sgd(0.3),
    "sgd_momentum": gd.sgd(0.05, momentum=0.9),
    "sgd_nesterov": gd.sgd(0.05, momentum=0.9, nesterov=True),
    "sgd_momentum_l2": l2(0.1, gd.sgd(0.05, momentum=0.9)),
    "adagrad": gd.adagrad(0.3, eps=1e-10),
    "adagrad_initial_0.1": gd.adagrad(0.3, 0.1, 1e-10),
    "rmsprop": gd.rmsprop(0.02),
    "rmsprop_centered": gd.rmsprop(0.02, centered=True),
    "rmsprop_momentum": gd.rmsprop(0.02, momentum=0.5),
    "rmsprop_centered_momentum": gd.rmsprop(0.02, centered=True, momentum=0.5),
    "adam": gd.adam(0.05),
    "adam_l2": l2(0.1, gd.adam(0.05)),
    "adam_eps_1e-3": gd.adam(0.05, eps=1e-3),
    "adamw_0.01": gd.adamw(0.05, weight_decay=0.01),
    "adamw_0.1": gd.adamw(0.05, weight_decay=0.1),
    "adamw_betas_0.8_0.95": gd.adamw(0.05, 0.8, 0.95, weight_decay=0.01),
    "clip_value_sgd": gd.chain(gd.clip(0.2), gd.sgd(0.3)),
}
# In the recordings, but not of anything that is here.
NOT_HERE = {
    "sgd_momentum_dampening_undampened_start": "torch's dampening",
    "clip_norm_sgd": "torch adds 1e-6 to the norm; `clip-norm` below holds the formula to 1e-10",
}

NUMPY_ROWS = {
    "sgd": (gd.sgd(0.3), rule(rules.sgd, eta=0.3)),
    "sgd-schedule": (gd.sgd(halving), rule(rules.sgd, eta=halving)),
    "momentum": (gd.sgd(0.05, 0.9), rule(rules.momentum, eta=0.05, mu=0.9)),
    "nesterov": (gd.sgd(0.05, 0.9, True), rule(rules.nesterov, eta=0.05, mu=0.9)),
    "trace": (gd.chain(gd.trace(0.9), gd.scale(-0.05)), rule(rules.momentum, eta=0.05, mu=0.9)),
    "averaged-momentum": (
        gd.momentum(0.3, decay=0.8),
        rule(rules.averaged_momentum, eta=0.3, beta=0.8),
    ),
    "momentum-l2": (
        l2(0.1, gd.sgd(0.05, 0.9)),
        rule(rules.momentum_l2, eta=0.05, mu=0.9, lam=0.1),
    ),
    "momentum-decoupled": (
        gd.chain(gd.trace(0.9), gd.add_decayed_weights(0.1), gd.scale_by_learning_rate(0.05)),
        rule(rules.momentum_decoupled, eta=0.05, mu=0.9, lam=0.1),
    ),
    "ema": (
        gd.chain(gd.ema(0.9), gd.scale_by_learning_rate(0.3)),
        rule(rules.ema, eta=0.3, beta=0.9, debias=True),
    ),
    "ema-biased": (
        gd.chain(gd.ema(0.9, debias=False), gd.scale_by_learning_rate(0.3)),
        rule(rules.ema, eta=0.3, beta=0.9, debias=False),
    ),
    "clip": (gd.chain(gd.clip(0.2), gd.sgd(0.3)), rule(rules.clip_value_sgd, eta=0.3, bound=0.2)),
    "clip-norm": (
        gd.chain(gd.clip_by_global_norm(0.5), gd.sgd(0.3)),
        rule(rules.clip_norm_sgd, eta=0.3, bound=0.5),
    ),
    "adagrad": (gd.adagrad(0.3), rule(rules.adagrad, eta=0.3, eps=1e-8)),
    "adagrad-root": (
        gd.adagrad(0.3, 0.1, 1e-7, eps_in_sqrt=True),
        rule(rules.adagrad, eta=0.3, eps=1e-7, initial_accumulator_value=0.1, eps_in_sqrt=True),
    ),
    "scale_by_rss": (
        gd.chain(gd.scale_by_rss(), gd.scale_by_schedule(lambda t: -halving(t))),
        rule(rules.adagrad, eta=halving, eps=1e-8),
    ),
    "rmsprop": (gd.rmsprop(0.02), rule(rules.rmsprop, eta=0.02, alpha=0.9, eps=1e-8)),
    "rmsprop-root": (
        gd.rmsprop(0.02, 0.95, 1e-6, 0.5, eps_in_sqrt=True),
        rule(rules.rmsprop, eta=0.02, alpha=0.95, eps=1e-6, initial_scale=0.5, eps_in_sqrt=True),
    ),
    "rmsprop-debias": (
        gd.rmsprop(0.02, bias_correction=True),
        rule(rules.rmsprop, eta=0.02, alpha=0.9, eps=1e-8, bias_correction=True),
    ),
    "rmsprop-centered-momentum": (
        gd.rmsprop(0.02, centered=True, momentum=0.5),
        rule(rules.rmsprop, eta=0.02, alpha=0.9, eps=1e-8, centered=True, mu=0.5),
    ),
    "rmsprop-centered-root-debias": (
        gd.rmsprop(0.02, 0.9, 1e-3, 0.5, eps_in_sqrt=True, centered=True, bias_correction=True),
        rule(
            rules.rmsprop,
            eta=0.02,
            alpha=0.9,
            eps=1e-3,
            initial_scale=0.5,
            eps_in_sqrt=True,
            centered=True,
            bias_correction=True,
        ),
    ),
    "scale_by_rms": (
        gd.chain(gd.scale_by_rms(0.9), gd.sgd(0.02)),
        rule(rules.rmsprop, eta=0.02, alpha=0.9, eps=1e-8),
    ),
    "scale_by_stddev": (
        gd.chain(gd.scale_by_stddev(0.9), gd.sgd(0.02)),
        rule(rules.rmsprop, eta=0.02, alpha=0.9, eps=1e-8, centered=True),
    ),
    "adam": (gd.adam(0.05), rule(rules.adam, eta=0.05)),
    "adam-eps-root": (
        gd.adam(0.05, 0.8, 0.9, 1e-4, 1e-3),
        rule(rules.adam, eta=0.05, b1=0.8, b2=0.9, eps=1e-4, eps_root=1e-3),
    ),
    "adam-b1-zero": (gd.adam(0.05, b1=0.0), rule(rules.adam, eta=0.05, b1=0.0)),
    "adam-b2-schedule": (gd.adam(halving, b2=rising), rule(rules.adam, eta=halving, b2=rising)),
    "scale_by_adam": (
        gd.chain(gd.scale_by_adam(), gd.scale_by_learning_rate(0.05)),
        rule(rules.adam, eta=0.05),
    ),
    "adam-l2": (l2(0.1, gd.adam(0.05)), rule(rules.adam_l2, eta=0.05, lam=0.1)),
    "adamw": (gd.adamw(0.05, weight_decay=0.1), rule(rules.adamw, eta=0.05, lam=0.1)),
    "adamw-schedule": (
        gd.adamw(halving, weight_decay=0.1),
        rule(rules.adamw, eta=halving, lam=0.1),
    ),
    "adamw-independent": (
        gd.chain(gd.adam(0.05), gd.decay_weights(0.01)),
        rule(rules.adamw_independent, eta=0.05, lam=0.01),
    ),
    "adamw-by-schedule-alone": (
        gd.chain(gd.adam(lambda t: 0.1 * halving(t)), gd.decay_weights(lambda t: 0.3 * halving(t))),
        rule(rules.adamw_scheduled, alpha=0.1, lam=0.3, schedule=halving),
    ),
}


AGREE = {f"torch-{key}": Agree(tx, recorded("seminar", key)) for key, tx in TORCH_ROWS.items()} | {
    f"numpy-{key}": Agree(*row) for key, row in NUMPY_ROWS.items()
}
