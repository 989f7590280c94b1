"""Muon and its relatives, and rules of norms, run exactly, against what defines them."""

from fractions import Fraction

import numpy as np
import pytest

import gdjax as gd
from tests.proof.identities import collection

IDENTITIES, identity = collection()
HALF = Fraction(1, 2)


def classical(s):
    """The polynomial 15/8·σ − 5/4·σ³ + 3/8·σ⁵, which leaves 1 as it is."""
    return s * Fraction(15, 8) - s**3 * Fraction(5, 4) + s**5 * Fraction(3, 8)


@identity("scale_by_muon", positive="eps")
def muon(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    S = x.array([3, 4])
    for nesterov in (False, True):
        for adaptive in (False, True):
            tx = gd.scale_by_muon("classical", 2, 0.5, nesterov=nesterov, adaptive=adaptive)
            first, second = x.updates(
                x.numbered(tx, eps="eps"), [x.svd(u, S * n, v) for n in (1, 3)]
            )
            for got, n in zip(
                (first, second), (1, Fraction(19, 7) if nesterov else Fraction(7, 3))
            ):
                s = classical(classical(S * n / (5 * n + x["eps"])))
                yield got, x.svd(u, s * (S * n * s).sum() if adaptive else s, v)


@identity("muon", positive="rate decay eps", others="a b c d")
def muon_with_decay(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.rotation(5), x.array([["a", "b"], ["c", "d"]])
    tx = gd.muon(0.1, "classical", 1, eps=0.1, weight_decay=0.1)
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay", eps="eps")
    s = classical(x.array([3, 4]) / (5 + x["eps"]))
    (got,) = x.updates(tx, [x.svd(u, [3, 4], v)], W)
    yield got, -(x.svd(u, s, v) + W * x["decay"]) * x["rate"]


@identity("scale_by_muon", "orthogonalize", others="a b")
def muon_turns_with_the_gradients(x):
    P, Q = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    g = x.array([[1, 5, -2], [2, -3, 4]])
    for tx in (gd.scale_by_muon("classical", 1), gd.orthogonalize("standard", 1, gram=True)):
        tx = x.numbered(tx)
        (got,) = x.updates(tx, [P @ g @ Q])
        yield got, P @ x.updates(tx, [g])[0] @ Q
        yield x.updates(tx, [g.T.copy()])[0], x.updates(tx, [g])[0].T


@identity("scale_by_shape", others="a")
def three_factors_of_shape(x):
    for rows, columns, wide, spectral, most in (
        (1, 4, 2, 2, 2),
        (4, 1, 1, HALF, 2),
        (4, 9, Fraction(3, 2), Fraction(3, 2), 3),
        (9, 4, 1, Fraction(2, 3), 3),
    ):
        g = x.array([["a"] * columns] * rows)
        step = lambda tx, g=g: x.step(tx, g, ())[0]
        yield step(gd.scale_by_shape()), g * wide
        yield step(gd.scale_by_shape(shape_factor="spectral")), g * spectral
        yield step(x.numbered(gd.scale_by_shape(None, 0.2))), g * (Fraction(1, 5) * most)


@identity("scale_by_neurons", positive="eps r")
def normalized_neurons(x):
    gradients = [
        x.array(np.tile(g, 4)) / n for g, n in (([[1, 7], [7, -17]], 1), ([[7, -17], [1, 7]], 2))
    ]
    tx = x.numbered(gd.scale_by_neurons(0.75, rms=0.2), eps="eps", rms="r")
    kept = x.numbered(gd.scale_by_neurons(0.75, rms=None), eps="eps")
    size = lambda m: x.field.root((m * m).sum())
    for g, got, same in zip(gradients, x.updates(tx, gradients), x.updates(kept, gradients)):
        n = g / (x.array([5, 13] * 4) / 2 + x["eps"])  # v stays at (1 − 3/4)·25 and ·169
        yield got * size(n), n * x["r"] * 4  # √(2·8)
        yield (got * got).sum(), x["r"] ** 2 * 16
        yield same * size(n), n * size(g)


@identity("normuon", positive="rate decay", others="a b c d")
def normuon(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.rotation(5), x.array([["a", "b"], ["c", "d"]])
    tx = gd.normuon(0.1, 0.5, 0.0, eps=0.0, weight_decay=0.1, backend="svd")
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay")
    size = Fraction(1, 5) * 2 / x.field.root(x.field.number(2))  # r·√(in·out)/‖U·Vᵀ‖
    for got in x.updates(tx, [x.svd(u, [3, 4], v), x.svd(u, [5, 2], v)], W):
        # The columns of an orthogonal matrix are equally long, so N is in proportion to it.
        yield got, -(u @ v.T * size + W * x["decay"]) * x["rate"]


@identity("soap_muon", positive="rate decay", others="a b c d")
def soap_muon(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.rotation(5), x.array([["a", "b"], ["c", "d"]])
    tx = x.numbered(
        gd.soap_muon(0.1, weight_decay=0.1, backend="svd"),
        learning_rate="rate",
        weight_decay="decay",
    )
    first, second = x.updates(tx, [x.svd(u, [3, 4], v), x.svd(u, [5, 2], v)], W)
    yield first, -W * (x["decay"] * x["rate"])
    yield second, -(u @ v.T + W * x["decay"]) * x["rate"]


@identity("scale_by_dion2", "dion2")
def largest_rows(x):
    for turn in (lambda m: m, lambda m: m.T.copy()):
        g, h = x.array([[3, 0, 4], [1, 2, 1]]), x.array([[0, 0, 0], [1, 1, 3]])
        tx = x.numbered(gd.scale_by_dion2(0.5, 0.5, 0.0, backend="classical", steps=3))
        state = x.start(tx, turn(g))
        got, state = x.step(tx, turn(g), state)
        yield got, turn(x.array([[3, 0, 4], [0, 0, 0]]) / 5)
        yield state.mu, turn(x.array([[Fraction(3, 2), 0, 2], [1, 2, 1]]))
        got, state = x.step(tx, turn(h), state)
        yield got, turn(x.array([[0, 0, 0], [2, 3, 4]]) / x.field.root(x.field.number(29)))
        yield state.mu, turn(x.array([[3, 0, 4], [2, 3, 4]]) / 2)
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    tx = x.numbered(gd.scale_by_dion2(1.0, 0.5, backend="svd"))
    for got in x.updates(tx, [x.svd(u, [3, 4], v), x.svd(u, [1, 1], v)]):
        yield got, x.svd(u, [1, 1], v)


@identity("muown", positive="rate decay")
def directions_and_norms(x):
    """Of gradients at right angles to the weights, and of one along a neuron."""
    W, E = x.array([[3, 0], [0, 4]]), x.array([[0, 1], [-1, 0]])
    tx = gd.muown(0.1, eps=0.0, weight_decay=0.1, backend="svd", consistent_rms=None)
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay")
    x.knows(x.one(2), E)
    (got,) = x.updates(tx, [E * 5], W)
    g = x.array([3, 4]) * (1 - x["rate"] * x["decay"])
    moved = W - E * x["rate"]
    size = np.array([x.field.root(n) for n in (moved * moved).sum(0)])
    yield (W + got) * size, moved * g
    along = x.array([[2, 0], [0, 0]])
    (got,) = x.updates(tx, [along], W)
    yield W + got, x.array([[g[0] - x["rate"], 0], [0, g[1]]])


@identity("scale_by_namo", "namo", positive="rate decay eps")
def moments_of_norms(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3), x.array([[1, -2, 3]] * 2)
    gradients = [x.svd(u, [3 * n, 4 * n], v) for n in (1, 3)]
    tx = gd.namo(0.1, 0.5, 0.75, 0.1, 0.1, backend="svd", consistent_rms=None)
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay", eps="eps")
    root = lambda n: x.field.root(x.field.number(n))
    # ‖M̂‖ is 5 and 35/3; v is 25/4 and 25/4·3/4 + 225/4.
    for got, c2, mean, squares in zip(
        x.updates(tx, gradients, W),
        (Fraction(1, 4), Fraction(7, 16)),
        (5, Fraction(35, 3)),
        (Fraction(25, 4), Fraction(975, 16)),
    ):
        ratio = root(c2) * mean / (root(squares) + x["eps"])
        yield got, -(x.svd(u, [1, 1], v) + W * x["decay"]) * ratio * x["rate"]
    one = x.numbered(gd.scale_by_namo(0.5, 0.75, 0.0, backend="svd", consistent_rms=0.5))
    sides = x.array([[1, 0, 0, 0]]), x.array([[1], [0], [0], [0]])
    for g in sides:
        x.knows(x.one(1), x.one(4))
        yield x.updates(one, [g], g)[0], g  # 0.5·√4


@identity("scale_by_dion3", "dion3", positive="rate decay eps")
def largest_neurons(x):
    g, h = x.array([[3, 1], [4, 2]]), x.array([[0, 0], [0, 5]])
    rule = gd.scale_by_dion3(0.5, 0.5, 0.75, 0.0, backend="svd")
    whole = gd.dion3(0.1, 0.5, 0.5, 0.75, 0.0, 0.1, backend="svd")
    whole = x.numbered(whole, learning_rate="rate", weight_decay="decay")
    x.knows(x.array([[3, -4], [4, 3]]) / 5, x.one(1))
    state = x.start(x.numbered(rule), g)
    got, state = x.step(x.numbered(rule), g, state)
    yield got, x.array([[3, 0], [4, 0]]) / 5
    yield state.mu, x.array([[Fraction(3, 2), 1], [2, 2]])
    yield state.nu, x.array([Fraction(1, 8), 0])
    for step in x.updates(whole, [g], g):
        yield step, -(got + g * x["decay"]) * x["rate"]
    x.knows(x.array([[1, -7], [7, 1]]) / x.field.root(x.field.number(50)))
    got, state = x.step(x.numbered(rule), h, state)
    yield got * x.field.root(x.field.number(50)), x.array([[0, 1], [0, 7]])
    yield state.nu, x.array([1, 1]) / 8  # the first neuron keeps its own


@identity("orthogonalize_uniformly", "aurora", positive="a rate decay")
def equal_rows(x):
    """Rows of equal norm need no weights, whatever the lengths of those of the gradient."""
    H = x.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    x.knows(H.T.copy(), x.one(2))
    Q = H.T[:, :2]
    g = x.array([["a"], [2], [3], [4]]) * Q
    tx = x.numbered(gd.orthogonalize_uniformly(2, eps=0.0, backend="svd"))
    whole = gd.aurora(0.1, 0.5, 0.0, 0.1, backend="svd", consistent_rms=0.5)  # 0.5·√4 is 1
    whole = x.numbered(whole, learning_rate="rate", weight_decay="decay")
    for turn in (lambda m: m, lambda m: m.T.copy()):
        yield x.step(tx, turn(g), ())[0], turn(Q)
        for got in x.updates(whole, [turn(g), turn(g * 3)], turn(g)):
            yield got, -turn(Q + g * x["decay"]) * x["rate"]
    square, one = x.array([[1, 5], [2, -3]]), {"backend": "classical", "steps": 1}
    tx = x.numbered(gd.orthogonalize_uniformly(**one))
    yield (
        x.step(tx, square, ())[0],
        x.step(x.numbered(gd.orthogonalize(**one, eps=0.0)), square, ())[0],
    )


@identity("scale_by_lmo", positive="a b c d")
def oracles_of_norms(x):
    """U is of norm 1, and ⟨g, u⟩ the dual norm of g: so it is the maximum."""
    root = np.frompyfunc(x.field.root, 1, 1)
    step = lambda norm, g: x.step(gd.scale_by_lmo(norm), g, ())[0]
    row = x.array([["a", "b", "c", "d"]]) * [[1, -1, 1, -1]]
    square = x.array([[1, -2, 3, 4], [5, 6, -7, 8], [9, -1, 2, 3], [1, 1, 0, -2]])
    for g in (row, row.T.copy(), square):
        sides = len(g), len(g.T)
        got = step("sign", g)
        yield got * sides[0], np.frompyfunc(x.field.sign, 1, 1)(g)
        got = step("rms", g)
        yield (got * got).sum(), sides[0] * sides[1]
        yield (g * got).sum() ** 2, sides[0] * sides[1] * (g * g).sum()
    for g in (row, square):
        got = step("rows", g)
        yield (got * got).sum(1), x.array([4] * len(g))  # √out·√out
        yield (g * got).sum(1), 2 * root((g * g).sum(1))
    for g in (row.T.copy(), square):
        got = step("columns", g)
        yield (got * got).sum(0), x.array([Fraction(1, 4)] * len(g.T))  # (1/√in)²
        yield 2 * (g * got).sum(0), root((g * g).sum(0))


@identity("scale_by_lmo", "scion", positive="rate")
def spectral_oracle(x):
    u = x.rotation(Fraction(1, 3))
    v = np.kron(np.kron(x.rotation(2), x.rotation(3)), x.rotation(HALF))
    tx = x.numbered(gd.scale_by_lmo("spectral", "svd"))
    wide = x.svd(u, [3, 1], v)
    yield x.step(tx, wide, ())[0], x.svd(u, [2, 2], v)  # √(8/2)
    yield x.step(tx, wide.T.copy(), ())[0], x.svd(u, [HALF, HALF], v).T
    w = x.rotation(2)
    tx = x.numbered(gd.scion(0.1, 0.5, 7.0, backend="svd"), learning_rate="rate")
    W = x.array([[1, 2], [3, 4]])
    for got in x.updates(tx, [x.svd(u, [3, 1], w), x.svd(u, [5, 4], w)], W):
        yield W + got, W * (1 - x["rate"]) - u @ w.T * x["rate"] * 7


@identity("hyperball", positive="a b rate")
def weights_on_a_ball(x):
    W, g = x.array([["a", 2], [1, 3]]), x.array([[1, "b"], [-2, 1]])
    size = lambda m: x.field.root((m * m).sum())
    tx = x.numbered(gd.hyperball(0.1), learning_rate="rate")
    got, state = x.step(tx, g, x.start(tx, W), W)
    yield ((W + got) ** 2).sum(), (W * W).sum()
    moved = W - g * (x["rate"] * size(W) / size(g))
    yield (W + got) * size(moved), moved * size(W)
    again, _ = x.step(tx, 0 * g, state, 2 * W)
    yield 2 * W + again, W  # the radius is that of the start


@identity("muon_hyperball", "adam_hyperball", positive="a rate")
def optimizers_on_a_ball(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.rotation(5), x.array([["a", 2], [1, 3]])
    g, size = x.svd(u, [3, 4], v), lambda m: x.field.root((m * m).sum())
    for tx, n in (
        (gd.muon_hyperball(0.1, "svd"), u @ v.T),
        (gd.adam_hyperball(0.1, eps=0.0), x.array(np.frompyfunc(x.field.sign, 1, 1)(g))),
    ):
        (got,) = x.updates(x.numbered(tx, learning_rate="rate"), [g], W)
        moved = W - n * (x["rate"] * size(W) / size(n))
        yield (W + got) * size(moved), moved * size(W)


@identity("radial_brake", "update_floor", "normalize_matrices", "scale_to_rms", positive="a b c r")
def norms_of_weights(x):
    W, g = x.array([["a", 2], [1, "b"]]), x.array([["c", 3], [2, 1]])
    size = lambda m: x.field.root((m * m).sum())
    brake, floor = x.numbered(gd.radial_brake(0.5)), x.numbered(gd.update_floor(0.5))
    got = x.step(brake, g, (), W)[0]
    change = size(W + g) - size(W)
    share = HALF if x.field.sign(change) > 0 else 1
    yield (W + got) * size(W + g), (W + g) * (size(W) + change * share)
    yield x.step(brake, -W / 3, (), W)[0], -W / 3  # shorter weights are as they were
    yield x.step(floor, W / 4, (), W)[0], W / 2
    yield x.step(floor, W * 3, (), W)[0], W * 3
    some = x.array([["a", 0], [0, "b"]])
    neurons = x.numbered(gd.update_floor(0.5, norm="columns"))
    yield x.step(neurons, some * [1, Fraction(1, 4)], (), some)[0], some * [1, HALF]
    unit = lambda norm: x.step(gd.normalize_matrices(norm), g, ())[0]
    yield unit("frobenius") * size(g), g
    yield unit("rms") * size(g), 2 * g
    to = x.numbered(gd.scale_to_rms(0.5), rms="r")
    yield x.step(to, g, ())[0] * size(g), g * (2 * x["r"])
    for vector in (g[0], g[:1], g[:, :1]):
        yield x.step(to, vector, ())[0], vector
    yield (unit("columns") ** 2).sum(0), x.array([1, 1])
    yield (unit("rows") ** 2).sum(1), x.array([1, 1])


@identity("orthogonalize_blocks", "muonbp", positive="r k eps rate")
def blocks_in_turn(x):
    g, names = x.array([[1, 0, 2], [1, 0, 4], [1, 0, 4], [1, 0, 8]]), {"consistent_rms": "r"}
    names |= {"block_scale": "k"}
    for name in ("orthogonalize_blocks", "muonbp"):
        whole = {"blocks": (1, 1), "every": 2, "backend": "classical", "steps": 1}
        alone = {**whole, "blocks": (1, 3)}
        make, rate = getattr(gd, name), ({"learning_rate": "rate"} if name == "muonbp" else {})
        start = (0.1,) if name == "muonbp" else ()
        runs = [
            x.updates(x.numbered(make(*start, **how), eps="eps", **names, **rate), [g] * 3, g)
            for how in (whole, alone)
        ]
        yield runs[0][0], runs[1][0]
        yield runs[0][2], runs[1][2]
        factor = x["r"] * x["k"] * 2 * (-x["rate"] if name == "muonbp" else 1)  # √4
        for column, length in ((0, 2), (1, 0), (2, 10)):
            sigma = classical(x.array([length])[0] / (length + x["eps"]))
            unit = g[:, column] / max(length, 1)
            yield runs[1][1][:, column], unit * (sigma * factor)


@identity("qk_clip", "muon_clip", positive="t", others="a b c d")
def clipped_attention(x):
    names = {"threshold": "t"}
    tx = x.numbered(gd.qk_clip(100.0, "query", "key", "rotary", matrix_axes="in (2 out)"), **names)
    W = {k: x.array([["a", "b"], ["c", "d"]]) for k in ("query", "key", "rotary", "value")}
    steps = {k: x.array([[1, 2], [3, 4]]) for k in W}
    logits = np.array([x["t"] / 2, x["t"] * 4])
    got, _ = x.step(tx, steps, (), W, max_logits=logits)
    after = {k: W[k] + got[k] for k in W}
    moved = W["query"] + steps["query"]
    yield after["query"], moved * [1, HALF]  # √(1/4)
    yield after["key"], moved * [1, HALF]
    yield after["rotary"], moved * [1, Fraction(1, 4)]
    yield after["value"], moved
    heads = lambda q, k: q[0] * k[0] + q[1] * k[1]
    yield heads(after["query"], after["key"]) * logits[1], heads(moved, moved) * [logits[1], x["t"]]


@pytest.mark.parametrize("each", IDENTITIES, ids=lambda each: each.name)
def test_identities(each):
    assert not each.refuted()
