"""Shampoo, SOAP, and what is composed of them."""

from __future__ import annotations

import gdjax as gd

from ..oracles.rules import precondition as rules
from ..row import Agree, Row, real, recorded, rule


def halving(t):
    return 0.05 * 0.5 ** (real(t) / 20)


# Gradients of the examples span less than their columns, and what is rounding there is divided by
# its own size: eps is more, here.
ROWS = [
    Row(gd.scale_by_soap(0.9, 0.95, 0.1, every=2, skip_first=False)),
    Row(gd.soap(0.05, eps=0.1, weight_decay=0.1)),
    Row(gd.scale_by_shampoo(0.9, 0.1, every=2)),
    Row(
        gd.scale_by_shampoo(None, 0.1, method="newton", block_size=2, start_step=1),
        label="scale_by_shampoo-newton",
    ),
    Row(gd.shampoo(0.05, eps=0.1, weight_decay=0.1)),
    Row(gd.graft(gd.scale_by_sign(), gd.scale_by_adam())),
    Row(gd.soap_muon(0.05, eps=0.1, weight_decay=0.1)),
]


def descent(part, eta=0.3):
    return gd.chain(part, gd.scale_by_learning_rate(eta))


FIRST = {"kind": None, "b1": 0.0, "frequency": 1}  # Shampoo as of its first paper

NUMPY_ROWS = {
    "soap": (gd.soap(halving), rule(rules.soap, eta=halving)),
    "soap-all": (
        gd.soap(0.05, 0.8, 0.9, 0.1, 0.2, b3=0.7, every=3, skip_first=False),
        rule(
            rules.soap, eta=0.05, b1=0.8, b2=0.9, eps=0.1, lam=0.2, b3=0.7, frequency=3, skip=False
        ),
    ),
    "scale_by_soap": (
        descent(gd.scale_by_soap(every=1, max_precond_dim=2), 0.05),
        rule(rules.soap, eta=0.05, frequency=1, longest=2),
    ),
    "shampoo": (gd.shampoo(halving), rule(rules.shampoo, eta=halving)),
    "shampoo-all": (
        gd.shampoo(
            0.05,
            0.8,
            0.9,
            0.1,
            0.2,
            grafting="rmsprop",
            graft_eps=0.1,
            initial_accumulator_value=0.3,
            root=3,
            every=3,
            start_step=4,
            block_size=2,
        ),
        rule(
            rules.shampoo,
            eta=0.05,
            b1=0.8,
            b2=0.9,
            eps=0.1,
            lam=0.2,
            kind="rmsprop",
            graft_eps=0.1,
            initial=0.3,
            root=3,
            frequency=3,
            start=4,
            size=2,
        ),
    ),
    "shampoo-diagonal": (
        gd.shampoo(0.05, grafting="adagrad", max_precond_dim=2, long_sides="diagonal"),
        rule(rules.shampoo, eta=0.05, kind="adagrad", longest=2, diagonal=True),
    ),
    "shampoo-one-side": (
        gd.shampoo(0.05, b2=None, grafting="sgd", max_precond_dim=2, every=1),
        rule(rules.shampoo, eta=0.05, b2=None, kind="sgd", longest=2, frequency=1),
    ),
    "shampoo-sums-grafted": (  # the squares of the grafted method decay by 0.999
        gd.shampoo(0.05, b2=None),
        rule(rules.shampoo, eta=0.05, b2=None),
    ),
    "scale_by_shampoo-newton": (
        descent(gd.scale_by_shampoo(eps=1e-2, every=1, method="newton")),
        rule(rules.shampoo, eta=0.3, eps=1e-2, **FIRST),
    ),
    "graft": (
        descent(gd.graft(gd.scale_by_shampoo(0.9), gd.scale_by_rss(eps=0.1)), 0.05),
        rule(rules.shampoo, eta=0.05, b1=0.0, b2=0.9, kind="adagrad", graft_eps=0.1),
    ),
    "soap_muon": (
        gd.soap_muon(halving, backend="svd"),
        rule(rules.soap_muon, eta=halving, adam=(halving, 0.9, 0.999, 0.0)),
    ),
    "soap_muon-all": (
        gd.soap_muon(
            0.05,
            0.8,
            0.9,
            0.1,
            0.2,
            b3=0.7,
            every=3,
            max_precond_dim=2,
            backend="svd",
            skip_first=False,
            consistent_rms=0.3,
            adam_b1=0.7,
            adam_b2=0.8,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            rules.soap_muon,
            eta=0.05,
            b1=0.8,
            b2=0.9,
            eps=0.1,
            lam=0.2,
            b3=0.7,
            frequency=3,
            longest=2,
            skip=False,
            r=0.3,
            adam=(0.02, 0.7, 0.8, 0.1),
        ),
    ),
}


def soap(frequency, b3=None):
    return gd.soap(0.05, 0.9, 0.95, 1e-30, b3=b3, every=frequency)


RECORDED_ROWS = {
    "pytorch_optimizer/soap": soap(100),
    "pytorch_optimizer/soap-refreshed": soap(3),
    "pytorch_optimizer/shampoo": gd.shampoo(
        0.1,
        0.0,
        None,
        0.0,
        grafting=None,
        initial_accumulator_value=1e-2,
        every=1,
    ),
    "heavyball/soap": soap(1000, 0.9),
    "heavyball/soap-refreshed": soap(1, 0.9),
}

# Their QR comes out less exact than float64: to 2e-6 and 2e-8, and only where a basis is refreshed.
TOLERANCE = {"pytorch_optimizer/soap-refreshed": 1e-5, "heavyball/soap-refreshed": 1e-7}

AGREE = {
    key: Agree(tx, recorded("precondition", key), TOLERANCE.get(key, 1e-10))
    for key, tx in RECORDED_ROWS.items()
} | {f"numpy-{key}": Agree(*row) for key, row in NUMPY_ROWS.items()}
