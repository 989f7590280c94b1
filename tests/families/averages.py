"""Averages of the parameters: the points trained stay, those to evaluate at are others."""

from __future__ import annotations

import gdjax as gd

from ..oracles.rules import averages as rules
from ..row import Agree, Row, real, rule

ADAM = gd.adam(1e-2)

ROWS = [
    Row(gd.with_ema(ADAM, 0.9)),
    Row(gd.with_ema(gd.accumulate(ADAM, 2), 0.9, debias=False), label="with_ema-accumulate"),
    Row(gd.with_swa(ADAM, 1, 2)),
    Row(gd.with_swa(gd.with_ema(ADAM, 0.5), 0), label="with_swa-of-ema"),
    Row(gd.with_polynomial_averaging(ADAM, 2.0)),
]

SGD = gd.sgd(0.3)


def rising(t):
    return 0.5 + 0.4 * real(t) / 60


def answer(tx, reference):
    return Agree(tx, reference, 1e-12, evaluate=True)


AGREE = {
    "numpy-ema": answer(gd.with_ema(SGD, 0.9), rule(rules.ema, beta=0.9)),
    "numpy-ema-biased": answer(
        gd.with_ema(SGD, 0.95, debias=False), rule(rules.ema, beta=0.95, debias=False)
    ),
    "numpy-ema-schedule": answer(gd.with_ema(SGD, rising), rule(rules.ema, beta=rising)),
    "numpy-swa": answer(gd.with_swa(SGD, 10, 7), rule(rules.swa, start=10, every=7)),
    "numpy-swa-from-the-start": answer(gd.with_swa(SGD, 0), rule(rules.swa, start=0)),
    "numpy-polynomial": answer(gd.with_polynomial_averaging(SGD), rule(rules.polynomial, eta=3.0)),
    "numpy-polynomial-mean-of-all": answer(
        gd.with_polynomial_averaging(SGD, 0.0), rule(rules.polynomial, eta=0.0)
    ),
}
