"""Optimizers of matrices are their rules with decay and rate; each rule has an identity."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from gdjax.proof import program
from tests.proof import test_factored, test_matrices, test_orthogonalized, test_preconditioners
from tests.proof.identities import collection

IDENTITIES, identity = collection()
FILES = test_factored, test_matrices, test_orthogonalized, test_preconditioners
# Keys are drawn where no number of a proof depends on them.
KEYS = {
    "random_seed": lambda field, params, x: [x],
    "random_wrap": lambda field, params, x: [x[..., 0]],
    "random_unwrap": lambda field, params, x: [np.stack([x, x], -1)],
    "random_fold_in": lambda field, params, x, y: [np.broadcast_to(x, np.broadcast(x, y).shape)],
}
ONE = {"backend": "classical", "steps": 1}
CHAINS = [  # the optimizer; its rule, and what stands between rule and decay
    (gd.soap(0.1, weight_decay=0.1), gd.scale_by_soap(0.95, 0.95, 1e-8)),
    (gd.kl_shampoo(0.1, weight_decay=0.1), gd.scale_by_kl_shampoo(0.95, 0.95, 1e-8)),
    (gd.kl_soap(0.1, weight_decay=0.1), gd.scale_by_kl_soap(0.95, 0.95, 1e-8)),
    (
        gd.came(0.1, 0.5, 0.5, 0.5, 0.0, 0.0, weight_decay=0.1),
        gd.scale_by_came(0.5, 0.5, 0.5, 0.0, 0.0),
    ),
    (gd.sm3(0.1), gd.scale_by_sm3(0.9, 1.0, 1e-8)),
    (
        gd.galore(0.1, 1, weight_decay=0.1, inner=gd.ema(0.5)),
        gd.scale_by_galore(1, 200, 1.0, gd.ema(0.5)),
    ),
    (
        gd.fira(0.1, 1, weight_decay=0.1, max_growth=2.0, inner=gd.ema(0.5)),
        gd.scale_by_fira(1, 200, 2.0, gd.ema(0.5)),
    ),
    (
        gd.dion2(0.1, weight_decay=0.1, **ONE),
        gd.scale_by_dion2(0.25, 0.95, 1e-8, **ONE),
        gd.scale_by_shape(shape_factor="spectral"),
    ),
    (
        gd.muon(0.1, weight_decay=0.1, **ONE),
        gd.scale_by_muon(b1=0.95, eps=1e-8, **ONE),
        gd.scale_by_shape(),
    ),
    (
        gd.unconstrained_scion(0.1, 0.5, 7.0, **ONE),
        gd.ema(0.5, False),
        gd.scale_by_lmo("spectral", **ONE),
        gd.scale(7.0),
    ),
]


def chained(tx, *parts):
    """Adds the identity of an optimizer."""

    @identity(tx.name, positive="rate decay")
    def pairs(x):
        u, v = x.rotation(Fraction(1, 3)), x.rotation(2)
        W, gradients = x.array([[1, -2], [3, 4]]), [x.svd(u, [5, 3], v), x.svd(u, [1, 2], v)]
        if tx.name == "came":
            gradients = x.array([[1, 2], [2, 4]]), x.array([[1, -2], [2, 4]])  # of rank one
        decays = {"weight_decay": "decay"} if tx.arguments.get("weight_decay") else {}
        got = x.updates(x.numbered(tx, learning_rate="rate", **decays), gradients, W)
        want = gradients
        for part in parts:
            want = x.updates(x.numbered(part), want, W)
        for a, b in zip(got, want):
            yield a, -(b + W * (x["decay"] if decays else 0)) * x["rate"]


for row in CHAINS:
    chained(*row)


@identity("scale_by_kron", "kron", positive="rate decay", others="a b")
def kron_between_two_fits(x):
    x.given.update(KEYS)
    g, W = x.array([["a", 1], [2, "b"]]), x.array([[1, 2], [3, 4]])
    Q = q, p = x.array([[2, 1], [0, 3]]), x.array([[1, -1], [0, 4]])
    rule = gd.scale_by_kron(0.5, 0.0, clipping_threshold=None)
    state = x.start(x.numbered(rule), W)._replace(count=jnp.int32(1), mu=W, factors=Q)
    want = q.T @ q @ ((W + g) / 2 / Fraction(3, 4)) @ p.T @ p
    yield x.step(x.numbered(rule), g, state)[0], want
    tx = gd.kron(0.1, 0.5, 0.1, preconditioner_update_probability=0.0, clipping_threshold=None)
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay")
    got = x.step(tx, g, (state, *x.start(tx, W)[1:]), W)[0]
    yield got, -(want + W * x["decay"]) * x["rate"]


def drawn(rows):
    """What replaces the normal numbers of a program by these rows."""
    root = program.exact(np.sqrt(2))  # by which they are multiplied
    same = lambda field, params, x, *others: [x]
    array = np.array([[Fraction(x) / root for x in row] for row in rows], object)
    chosen = lambda field, params, x: [np.frompyfunc(field.number, 1, 1)(array)]
    bits = lambda field, params, x: [np.full(params["shape"], field.number(1))]
    passed = dict.fromkeys(["shift_right_logical", "or", "bitcast_convert_type"], same)
    return {**KEYS, **passed, "random_bits": bits, "erf_inv": chosen}


@identity("scale_by_apollo", "scale_by_apollo_mini", "apollo", "apollo_mini", positive="rate decay")
def gradients_scaled_as_a_projection(x):
    x.given.update(drawn([[1, 0]]))  # the first row, of norm 13
    g, inner = x.array([[3, 4, 12], [1, -2, 2]]), gd.ema(0.5, debias=False)

    def second(rule, mean):
        state = x.start(rule, g)
        own = state.base_optimizer_state._replace(ema=x.array([mean]))
        return state._replace(count=jnp.int32(1), base_optimizer_state=own)

    columns = x.array([[Fraction(2, 3), Fraction(3, 4), Fraction(7, 12)]])
    apollo, mini = (1, 10, 2.0, 9.0, inner), (2.0, 10, 9.0, inner)
    for rule, whole, given, mean, factors in [
        (gd.scale_by_apollo, gd.apollo, apollo, [1, 2, 2], columns),  # (2, 3, 7) of (3, 4, 12)
        (gd.scale_by_apollo_mini, gd.apollo_mini, mini, [9, 12, 36], 2),
    ]:
        rule, whole = x.numbered(rule(*given)), whole(0.1, *given, weight_decay=0.1)
        state, want = second(rule, mean), 2 * g * factors
        yield x.step(rule, g, state)[0], want
        whole = x.numbered(whole, learning_rate="rate", weight_decay="decay")
        got = x.step(whole, g, (state, *x.start(whole, g)[1:]), g)[0]
        yield got, -(want + g * x["decay"]) * x["rate"]


@identity("muon_clip", positive="rate t")
def muon_clip(x):
    W = {"query": x.array([[1, 2], [3, 4]]), "other": x.array([[2, 1], [1, 3]])}
    g = {"query": x.array([[3, 1], [2, 4]]), "other": x.array([[1, 1], [-1, 3]])}
    tx = gd.muon_clip(0.1, 100.0, "query", weight_decay=0.1, backend="classical", steps=1)
    tx = x.numbered(tx, learning_rate="rate", threshold="t")
    muon = gd.muon(0.1, "classical", 1, weight_decay=0.1, nesterov=False, consistent_rms=0.2)
    want = x.step(x.numbered(muon, learning_rate="rate"), g, x.start(muon, W), W)[0]
    got = x.step(tx, g, x.start(tx, W), W, max_logits=x["t"] * 9)[0]
    yield got["other"], want["other"]
    yield (W["query"] + got["query"]) * 3, W["query"] + want["query"]


@pytest.mark.parametrize("each", IDENTITIES, ids=lambda each: each.rules[0])
def test_identities(each):
    assert not each.refuted()


def test_every_rule_has_an_identity():
    folders = {f"gdjax.optimizers.{name}" for name in ("matrix", "factored")}
    rules = {n for n, made in factories().items() if made.module.rpartition(".")[0] in folders}
    named = {n for file in FILES for each in file.IDENTITIES for n in each.rules}
    named |= {n for each in IDENTITIES for n in each.rules}
    assert not rules - named
