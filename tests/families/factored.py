"""Adafactor, CAME, SM3, Muon, GaLore: what treats a matrix as a matrix."""

from __future__ import annotations

import gdjax as gd

from ..oracles.rules import factored as rules
from ..row import Agree, Row, real, recorded, rule


def halving(t):
    return 0.05 * 0.5 ** (real(t) / 20)


def bounded(step, exponent):
    """A decay of the squares that does not go to 1."""
    import jax.numpy as jnp

    return jnp.minimum(gd.power_decay_rate(step, exponent), 0.9)


# The optimizer of the paper clips; the part alone does not.
ITS_OWN = {("adafactor", "clipping_threshold")}

ROWS = [
    Row(gd.scale_by_factored_rms()),
    Row(gd.scale_by_factored_rms(min_dim_size_to_factor=2), label="scale_by_factored_rms-factored"),
    Row(gd.adafactor(0.05)),
    Row(
        gd.adafactor(0.05, 2, momentum=0.9, weight_decay_rate=0.1, decay_offset=1),
        label="adafactor-all",
    ),
    Row(gd.came(0.01, b3=0.99)),
    Row(gd.came(0.01, 0.8, 0.99, 0.95, weight_decay=0.1), label="came-decay"),
    Row(gd.scale_by_came(0.9, 0.99, 0.95)),
    Row(gd.sm3(0.1)),
    Row(gd.scale_by_sm3(0.9)),
    Row(gd.scale_by_sm3(0.9, 0.99, 1e-6), label="scale_by_sm3-forgets"),
    Row(gd.muon(0.05)),
    Row(
        gd.muon(0.05, "dion", weight_decay=0.1, adam_learning_rate=0.01, consistent_rms=0.2),
        label="muon-dion",
    ),
    Row(gd.scale_by_muon(b1=0.9)),
    Row(
        gd.scale_by_muon(adaptive=True, preconditioning="spectral"), label="scale_by_muon-spectral"
    ),
    Row(gd.scale_by_muon(preconditioning="schatten"), label="scale_by_muon-schatten"),
    Row(gd.scale_by_muon(preconditioning="aol", nesterov=False), label="scale_by_muon-aol"),
    Row(gd.scale_by_shape()),
    Row(gd.galore(0.05, rank=1)),
    Row(gd.scale_by_galore(1, 2, 0.5)),
]


def descent(*parts, eta=0.3):
    return gd.chain(*parts, gd.scale_by_learning_rate(eta))


# Published with Dion; five triples that raise small singular values faster.
DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)

NUMPY_ROWS = {
    "adafactor": (gd.adafactor(0.05, 2), rule(rules.adafactor, eta=0.05)),
    "adafactor-default": (
        gd.adafactor(decay_rate=0.5, clipping_threshold=0.05),
        rule(rules.adafactor, power=0.5, d=0.05, factored=False),
    ),
    "adafactor-schedule": (
        gd.adafactor(halving, 2, 0.7, 3, eps=0.01, momentum=0.8, weight_decay_rate=0.2),
        rule(rules.adafactor, eta=halving, power=0.7, offset=3, eps1=0.01, mu=0.8, lam=0.2),
    ),
    "adafactor-absolute": (
        gd.adafactor(
            0.05, multiply_by_parameter_scale=False, clipping_threshold=None, factored=False
        ),
        rule(rules.adafactor, eta=0.05, d=None, factored=False, relative=False),
    ),
    "adafactor-clipped": (
        gd.adafactor(0.5, 2, clipping_threshold=0.3, multiply_by_parameter_scale=False),
        rule(rules.adafactor, eta=0.5, d=0.3, relative=False),
    ),
    "factored-rms": (
        descent(gd.scale_by_factored_rms(True, 0.6, 2, 2, 1e-2), eta=0.05),
        rule(rules.adafactor, eta=0.05, power=0.6, offset=2, eps1=1e-2, d=None, relative=False),
    ),
    "factored-rms-bounded": (
        descent(
            gd.scale_by_factored_rms(min_dim_size_to_factor=2, decay_rate_fn=bounded), eta=0.05
        ),
        rule(
            rules.adafactor,
            eta=0.05,
            d=None,
            relative=False,
            decay_rate=lambda t: min(1 - (t + 1) ** -0.8, 0.9),
        ),
    ),
    "came": (gd.came(0.005), rule(rules.came, eta=0.005, b1=0.9, b2=0.999, b3=0.9999)),
    "came-all": (
        gd.came(0.01, 0.8, 0.99, 0.95, 0.01, 0.02, 0.3, weight_decay=0.1),
        rule(rules.came, eta=0.01, b1=0.8, b2=0.99, b3=0.95, eps1=0.01, eps2=0.02, d=0.3, lam=0.1),
    ),
    "scale_by_came": (
        descent(gd.scale_by_came(), eta=0.005),
        rule(rules.came, eta=0.005, b1=0.9, b2=0.999, b3=0.9999),
    ),
    "sm3": (gd.sm3(halving), rule(rules.sm3, eta=halving, beta=0.9, eps=1e-8)),
    "sm3-momentum": (gd.sm3(0.1, 0.5), rule(rules.sm3, eta=0.1, beta=0.5, eps=1e-8)),
    "scale_by_sm3": (
        descent(gd.scale_by_sm3(0.8, 0.9, 0.1), eta=0.1),
        rule(rules.sm3, eta=0.1, beta=0.8, b2=0.9, eps=0.1),
    ),
    "muon": (
        gd.muon(halving),
        rule(rules.muon, eta=halving, adam=(halving, 0.9, 0.999, 1e-8, 0.0)),
    ),
    "muon-all": (
        gd.muon(
            0.02,
            (3.4, -4.7, 2.0),
            3,
            0.8,
            0.1,
            0.1,
            nesterov=False,
            adam_b1=0.7,
            adam_b2=0.99,
            adam_weight_decay=0.2,
            adam_learning_rate=halving,
            consistent_rms=0.3,
        ),
        rule(
            rules.muon,
            eta=0.02,
            beta=0.8,
            coefficients=((3.4, -4.7, 2.0),) * 3,
            eps=0.1,
            nesterov=False,
            lam=0.1,
            consistent=0.3,
            adam=(halving, 0.7, 0.99, 0.1, 0.2),
        ),
    ),
    "muon-transposed": (
        gd.muon(
            0.02,
            "dion",
            matrix_axes={"w": "out in", "b": None},
        ),
        rule(
            rules.muon,
            eta=0.02,
            coefficients=DION,
            transposed=True,
            adam=(0.02, 0.9, 0.999, 1e-8, 0.0),
        ),
    ),
    "muon-adaptive": (
        descent(gd.scale_by_muon(adaptive=True, preconditioning="spectral"), gd.scale_by_shape()),
        rule(rules.muon, eta=0.3, adaptive=True, scaling="spectral"),
    ),
    "muon-schatten": (
        descent(gd.scale_by_muon(preconditioning="schatten"), gd.scale_by_shape(), eta=0.05),
        rule(rules.muon, eta=0.05, scaling="schatten"),
    ),
    "muon-aol": (
        descent(gd.scale_by_muon(preconditioning="aol"), gd.scale_by_shape(), eta=0.05),
        rule(rules.muon, eta=0.05, scaling="aol"),
    ),
    "galore": (
        gd.galore(0.05, 1, 7, 0.25, weight_decay=0.1),
        rule(rules.galore, eta=0.05, rank=1, gap=7, alpha=0.25, lam=0.1),
    ),
    "galore-base": (
        gd.galore(0.05, 2, 200, inner=gd.scale_by_adam(0.8, 0.99, 1e-3)),
        rule(rules.galore, eta=0.05, rank=2, gap=200, alpha=1.0, b1=0.8, b2=0.99, eps=1e-3),
    ),
    "scale_by_galore": (
        descent(gd.scale_by_galore(1, 20), eta=0.05),
        rule(rules.galore, eta=0.05, rank=1, gap=20, alpha=1.0),
    ),
}

RECORDED_ROWS = {
    "torch/adafactor": gd.adafactor(0.05, 2, weight_decay_rate=0.1),
    "pytorch_optimizer/adafactor": gd.adafactor(0.05, 2, 0.7),
    "pytorch_optimizer/came": gd.came(
        0.01, 0.8, 0.99, 0.95, clipping_threshold=0.7, weight_decay=0.1
    ),
    "pytorch_optimizer/sm3": gd.chain(
        gd.scale_by_sm3(0.8, eps=1e-30), gd.scale_by_learning_rate(0.1)
    ),
    "pytorch_optimizer/galore": gd.galore(0.05, 1, 100, 0.25, gd.scale_by_adam(eps=1e-30)),
    "keras/adafactor": gd.adafactor(0.0625, 2),
    "keras/muon": gd.muon(
        0.0625,
        b1=0.9,
        eps=1e-30,
        weight_decay=0.125,
        adam_weight_decay=0.125,
        consistent_rms=0.2,
    ),
}

# Keras rounds rates and decays to float32, GaLore of pytorch_optimizer its directions.
TOLERANCE = {"keras/adafactor": 1e-6, "keras/muon": 1e-6, "pytorch_optimizer/galore": 1e-6}

AGREE = {
    key: Agree(tx, recorded("factored", key), TOLERANCE.get(key, 1e-10))
    for key, tx in RECORDED_ROWS.items()
} | {f"numpy-{key}": Agree(*row) for key, row in NUMPY_ROWS.items()}
