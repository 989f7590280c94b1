"""Muon's kin, the control of norms, and the parts they are made of."""

from __future__ import annotations

import jax.numpy as jnp

import gdjax as gd

from ..oracles.rules import muon_kin as rules
from ..row import Agree, Row, real, recorded, rule

ROWS = [
    Row(gd.normalize_matrices("columns")),
    Row(gd.normalize_matrices("spectral"), label="normalize_matrices-spectral"),
    Row(gd.hyperball(0.1), descends=False),  # a parabola is as high all over its sphere
    Row(gd.radial_brake(0.5, 0.8)),
    Row(gd.update_floor(0.5)),
    Row(gd.scale_by_neurons(0.9)),
    Row(gd.normuon(0.05, weight_decay=0.1)),
    Row(gd.adam_hyperball(0.05, adam_learning_rate=0.1)),
    Row(gd.muon_hyperball(0.05, adam_learning_rate=0.1)),
    Row(gd.scale_by_lmo("spectral")),
    Row(gd.scale_by_lmo("rows"), label="scale_by_lmo-rows"),
    Row(gd.scion(0.05, radius=0.5)),
    Row(gd.unconstrained_scion(0.05, radius=0.5)),
    Row(gd.scale_by_dion2(0.5)),
    Row(gd.dion2(0.05, 0.5)),
    # It stands behind the rate: what comes in is added to the parameters, not taken off.
    Row(gd.qk_clip(1.0, "matrices"), extra={"max_logits": jnp.asarray(2.0)}, descends=False),
    Row(gd.muon_clip(0.05, 1.0, key="matrices"), extra={"max_logits": jnp.asarray(1.1)}),
]


# Defaults that an optimizer has and its parts have not.
ITS_OWN = {("muon_clip", "weight_decay"), ("muon_clip", "consistent_rms")}


def halving(t):
    return 0.2 * 0.5 ** (real(t) / 20)


def descent(*parts, eta=0.3):
    return gd.chain(*parts, gd.scale_by_learning_rate(eta))


NUMPY_ROWS = {
    f"normalize_matrices-{norm}": (
        descent(gd.normalize_matrices(norm), eta=0.05),
        rule(rules.normalized, eta=0.05, norm=norm),
    )
    for norm in ("columns", "rows", "frobenius", "rms", "spectral")
} | {
    "hyperball": (gd.hyperball(halving), rule(rules.sphere_descent, eta=halving)),
    "radial_brake": (
        gd.chain(gd.sgd(0.3), gd.radial_brake(0.4, 0.9)),
        rule(rules.braked_descent, eta=0.3, outward=0.4, inward=0.9),
    ),
    "radial_brake-default": (
        gd.chain(gd.sgd(0.3), gd.radial_brake()),
        rule(rules.braked_descent, eta=0.3, outward=0.5, inward=1.0),
    ),
    "update_floor": (
        descent(gd.update_floor(0.5), eta=0.1),
        rule(rules.floored_descent, eta=0.1, ratio=0.5),
    ),
    "update_floor-default": (
        descent(gd.update_floor(), eta=0.1),
        rule(rules.floored_descent, eta=0.1, ratio=0.35),
    ),
    "normuon": (
        gd.normuon(halving, 0.9, 0.8, 1e-3, 0.1, adam_learning_rate=0.02),
        rule(
            rules.normuon,
            eta=halving,
            b1=0.9,
            b2=0.8,
            eps=1e-3,
            rms=0.2,
            lam=0.1,
            adam=(0.02, 0.9, 0.999, 1e-3, 0.0),
            polar_eps=1e-3,
        ),
    ),
    "normuon-default": (
        gd.normuon(0.1),
        rule(rules.normuon, eta=0.1, b1=0.95, b2=0.95, eps=1e-8, rms=0.2, lam=0.0, adam=(0.1,)),
    ),
    "normuon-length": (
        gd.normuon(0.05, rms=None, adam_b1=0.8, adam_b2=0.99, adam_weight_decay=0.1),
        rule(
            rules.normuon,
            eta=0.05,
            b1=0.95,
            b2=0.95,
            eps=1e-8,
            rms=None,
            lam=0.0,
            adam=(0.05, 0.8, 0.99, 1e-8, 0.1),
        ),
    ),
    "adam_hyperball": (
        gd.adam_hyperball(halving, 0.8, 0.99, 1e-3, adam_weight_decay=0.1, adam_learning_rate=0.02),
        rule(
            rules.adam_hyperball,
            eta=halving,
            b1=0.8,
            b2=0.99,
            eps=1e-3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "muon_hyperball": (
        gd.muon_hyperball(
            halving,
            b1=0.8,
            eps=1e-3,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            rules.muon_hyperball,
            eta=halving,
            beta=0.8,
            eps=1e-3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "muon_hyperball-plain": (
        gd.muon_hyperball(0.05, nesterov=False),
        rule(rules.muon_hyperball, eta=0.05, beta=0.95, eps=1e-8, adam=(0.05,), nesterov=False),
    ),
    "scion": (
        gd.scion(0.05, 0.7, 0.7),
        rule(rules.scion, eta=0.05, alpha=0.3, radii=(0.7, 0.7)),
    ),
    "scion-default": (
        gd.scion(1e-3),
        rule(rules.scion, eta=1e-3, alpha=0.1, radii=(50.0, 50.0)),
    ),
    "scion-heads": (
        gd.scion(halving, 0.7, 0.7, 2.0, norms={"w": "sign", "b": "rms"}),
        rule(rules.scion, eta=halving, alpha=0.3, radii=(2.0, 0.7), norms=("sign", "rms")),
    ),
    "scion-columns": (
        gd.scion(0.05, 0.7, 0.7, 2.0, norms=gd.by_label(columns="w", rms=True)),
        rule(rules.scion, eta=0.05, alpha=0.3, radii=(2.0, 0.7), norms=("columns", "rms")),
    ),
    "unconstrained_scion": (
        gd.unconstrained_scion(halving, 0.7, 0.7, norms={"w": "rows", "b": "rms"}, eps=1e-3),
        rule(
            rules.scion, eta=halving, alpha=0.3, radii=(0.7, 0.7), norms=("rows", "rms"), pull=0.0
        ),
    ),
    "unconstrained_scion-spectral": (
        gd.unconstrained_scion(halving, 0.7, 0.7, eps=1e-2),
        rule(rules.scion, eta=halving, alpha=0.3, radii=(0.7, 0.7), pull=0.0, eps=1e-2),
    ),
    "dion2": (
        gd.dion2(
            halving,
            0.5,
            0.8,
            1e-3,
            0.1,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            rules.dion2,
            eta=halving,
            mu=0.8,
            fraction=0.5,
            eps=1e-3,
            lam=0.1,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "dion2-transposed": (
        gd.dion2(0.05, 0.3, matrix_axes="out in"),
        rule(
            rules.dion2,
            eta=0.05,
            mu=0.95,
            fraction=0.3,
            eps=1e-8,
            lam=0.0,
            adam=(0.05,),
            transposed=True,
        ),
    ),
    "dion2-all": (
        gd.dion2(0.05, 0.6),
        rule(rules.dion2, eta=0.05, mu=0.95, fraction=0.6, eps=1e-8, lam=0.0, adam=(0.05,)),
    ),
}


def logits(w):
    """Something for three heads [2, 1] that grows as their weights do."""
    return 40 * (w**2).sum(0)


def seen(params, grads, t):
    return {"max_logits": {"w": logits(params["w"])}}


def clip(*arguments, **keywords):
    return gd.chain(gd.sgd(0.3), gd.qk_clip(*arguments, **keywords, matrix_axes="in (3 out)"))


def clipped(**arguments):
    return rule(rules.qk_clipped, threshold=10.0, logits=logits, **arguments)


CLIPPED = {
    "qk_clip-query": (clip(10.0, query="w"), clipped(eta=0.3)),
    "qk_clip-key": (clip(10.0, key="w"), clipped(eta=0.3)),
    "qk_clip-alone": (clip(10.0, query_alone="w"), clipped(eta=0.3, share=1.0)),
    "muon_clip": (
        gd.muon_clip(halving, 10.0, "w", head_axes="in (3 out)"),
        clipped(eta=halving, beta=0.95, lam=0.1, adam=(halving,)),
    ),
    "muon_clip-all": (
        gd.muon_clip(
            0.05,
            10.0,
            None,
            "w",
            None,
            0.8,
            1e-3,
            0.2,
            consistent_rms=0.3,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
            head_axes="in (3 out)",
        ),
        clipped(
            eta=0.05,
            beta=0.8,
            eps=1e-3,
            lam=0.2,
            rms=0.3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
}

ADAM = {
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "adam_weight_decay": 0.1,
    "adam_learning_rate": 0.02,
}
clipping = {"head_axes": "in (3 out)", "b1": 0.9, "eps": 0.0, "weight_decay": 0.1} | ADAM


def scions(norm, constrained=False, radius=0.7):
    """Scion by its parts, with a radius of its own for b."""
    mean = gd.ema(0.7, debias=False)
    oracle = lambda norm, rho: gd.chain(gd.scale_by_lmo(norm, eps=0.0), gd.scale(rho))
    parts = gd.partition({"w": "w", "b": "b"}, w=oracle(norm, radius), b=oracle("rms", 1.5))
    pull = gd.add_decayed_weights(1.0 if constrained else 0.0)
    return gd.chain(mean, parts, pull, gd.scale_by_learning_rate(0.05))


RECORDED_ROWS = {
    "normuon": gd.normuon(0.05, 0.9, 0.8, 0.0, 0.1, **ADAM),
    "normuon_length": gd.chain(
        gd.partition(
            {"w": "w", "b": "b"},
            # The package scales by the shape besides.
            w=gd.chain(
                gd.scale_by_muon(b1=0.9, eps=0.0, nesterov=False),
                gd.scale_by_neurons(0.8, 0.0, None),
                gd.scale_by_shape(),
                gd.add_decayed_weights(0.1),
                gd.scale_by_learning_rate(0.05),
            ),
            b=gd.adamw(0.02, 0.8, 0.99, 0.0, weight_decay=0.1),
        )
    ),
    "scion_spectral": scions("spectral"),
    "scion_sign": scions("sign"),
    "scion_col": scions("rows"),  # of [out, in]
    "scion_row_constraint": scions("columns", True, 1.0),
    "scion_constraint": scions("spectral", True),
    "muon_clip_query": gd.muon_clip(0.05, 10.0, "w", **clipping),
    "muon_clip_key": gd.muon_clip(0.05, 10.0, key="w", **clipping),
    "muon_clip_query_rotary": gd.muon_clip(0.05, 10.0, query_alone="w", **clipping),
}


TORCH_ROWS = {
    "muon": gd.muon(0.05, eps=0.0, weight_decay=0.1, **ADAM),
    "muon_plain": gd.muon(0.05, b1=0.8, eps=0.0, nesterov=False, **ADAM),
    "muon_rms": gd.muon(0.05, steps=3, eps=0.0, weight_decay=0.1, consistent_rms=0.2, **ADAM),
}


def with_package(key, tx):
    reference = recorded("muon_kin", f"pytorch_optimizer/{key}")
    if key.startswith("muon_clip"):  # it forms the factors in float32
        return Agree(tx, reference, 1e-6, extra=seen)
    return Agree(tx, reference)


AGREE = (
    {f"numpy-{key}": Agree(*row) for key, row in NUMPY_ROWS.items()}
    | {f"numpy-{key}": Agree(*row, extra=seen) for key, row in CLIPPED.items()}
    | {f"pytorch_optimizer-{key}": with_package(key, tx) for key, tx in RECORDED_ROWS.items()}
    | {
        f"torch-{key}": Agree(tx, recorded("muon_kin", f"torch/{key}"))
        for key, tx in TORCH_ROWS.items()
    }
)
