"""Polar factors and inverse roots: the traced programs, run exactly, against their definitions."""

from fractions import Fraction
from unittest import mock

import jax
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.matrix import inverse_roots, polar, polar_coefficients
from gdjax.proof.arrays import order
from tests.proof import minimax
from tests.proof.identities import collection
from tests.proof.words import Words

IDENTITIES, identity = collection()
power = np.linalg.matrix_power
NAMED = {"standard": 5, "dion": 5, "classical": 5, "polar_express": 4, "deepseek": 5, "cans": 3}
TRIPLES = "a b c", "d e f", "h i j"


def image(triples, s):
    """p∘…∘p of a singular value."""
    for a, b, c in triples:
        s = s * a + s**3 * b + s**5 * c
    return s


@identity("newton_schulz", "gram_newton_schulz", others=" ".join(TRIPLES))
def polynomials_of_matrices_of_any_size(x):
    words = Words("X", "", x.field)
    triples = [words.array(names) for names in TRIPLES]
    a, b, c, X = (words.symbol[name] for name in "abcX")
    once = words.run(polar.newton_schulz, words.array([["X"]]), triples[:1])
    R = X * X.transposed()
    yield once[0, 0], (a + b * R + c * R * R) * X
    thrice = words.run(polar.newton_schulz, words.array([["X"]]), triples)
    yield words.run(polar.gram_newton_schulz, words.array([["X"]]), triples), thrice


@identity("newton_schulz", positive="s", others="t w a b c d e f")
def polynomials_of_singular_values(x):
    triples = [x.array(names) for names in TRIPLES[:2]]
    values = [x["s"], x.field.number(2)]  # one of them fixes the units, and nothing else
    u = x.rotation(x["t"])
    for v, n in ((x.rotation(x["w"]), 1), (x.space_rotation(Fraction(1, 2), 2, 3), 2)):
        got = x.run(polar.newton_schulz, x.svd(u, values, v), triples[:n])
        yield got, x.svd(u, [image(triples[:n], s) for s in values], v)


@identity("newton_schulz", "gram_newton_schulz", "polynomials")
def named_polynomials(x):
    u, v = x.rotation(Fraction(1, 3)), np.kron(x.rotation(2), x.rotation(3))
    values = x.array([Fraction(3, 5), Fraction(4, 5)])
    for name, steps in NAMED.items():
        triples = polar_coefficients.polynomials(name, steps)
        numbers = [x.array([Fraction(str(number)) for number in row]) for row in triples]
        want = x.svd(u, image(numbers, values), v)
        for run in (polar.newton_schulz, polar.gram_newton_schulz):
            function = lambda m, run=run, triples=triples: run(m, triples)
            yield x.run(function, x.svd(u, values, v)), want


@identity("evolve_stacks", "newton_schulz")
def stacks_of_matrices(x):
    """As each matrix alone: in the loop that CPUs run, and in the batch of other chips."""
    m = x.array([[[1, 2, 3], [4, 5, 7]], [[1, 0, 2], [-1, 1, 1]]])
    one = x.numbered(gd.orthogonalize("classical", 1))
    want = np.stack([x.step(one, each, ())[0] for each in m])
    tx = x.numbered(gd.orthogonalize("classical", 1, matrix_axes="n in out"))
    yield x.step(tx, m, ())[0], want
    of_cpu = lambda params: next(
        i for i, of in enumerate(params["platforms"]) if of and "cpu" in of
    )
    x.given["platform_index"] = lambda field, params: [np.array(of_cpu(params), object)]
    yield x.step(tx, m, ())[0], want
    yield x.step(one, m[0], ())[0], want[0]


@identity("polynomials")
def constants_of_the_polynomials(x):
    derivative = lambda p, s: p[0] + 3 * p[1] * s**2 + 5 * p[2] * s**4
    second = lambda p, s: 6 * p[1] * s + 20 * p[2] * s**3
    last = lambda name: [Fraction(str(n)) for n in polar_coefficients.polynomials(name, 5)[-1]]
    classical, polish = last("classical"), last("deepseek")
    yield (sum(classical), derivative(classical, 1), second(classical, 1)), (1, 0, 0)
    yield (sum(polish), derivative(polish, 1), derivative(polish, 0)), (1, 0, 2)


@identity("polar_express")
def best_polynomials(x):
    """Float64 against the recursion to 40 digits; in short intervals it is badly conditioned.

    Solutions of 4 × 4 systems differ in their last two digits from one CPU to the next.
    """
    usual = "0.02407327424182761"
    for steps, lower, cushion, safety, near in (
        (6, "0.001", usual, "1", 1e-13),
        (5, "0.001", usual, "1.01", 1e-13),
        (3, "0.01", "0", "1", 1e-13),
        (8, "0.001", usual, "1", 1e-10),
    ):
        wanted = minimax.recursion(steps, lower, cushion, safety)
        numbers = map(float, (lower, cushion, safety))
        made = polar_coefficients.polar_express.__wrapped__(steps, *numbers)
        for pair in zip(made, wanted):
            yield [bool(abs(a / b - 1) < near) for a, b in zip(*pair)], [True] * 3


@identity("polar_factor", positive="eps x y", others="a b c")  # only squares have a sign
def both_aspects(x):
    factor = lambda m, triple, eps: polar.polar_factor(m, [triple], eps)
    run = lambda m: x.run(factor, m, x.array("a b c"), x["eps"])
    m = x.array([["x", "y", 1], [3, 2, "x"]])
    yield run(m.T.copy()), run(m).T
    yield run(m * 0), m * 0
    (a, b, c), size = x["a b c"], x.field.root(sum(e * e for e in m.ravel()))
    X = m / (size + x["eps"])
    yield run(m), X * a + X @ X.T @ X * b + X @ X.T @ X @ X.T @ X * c


@identity("polar_factor", positive="s r", others="a b c")
def scaled_by_norms(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(Fraction(1, 2), 2, 3)
    s, root = x["s"], x.field.root
    values = np.array([s + x["r"], s])
    norms = {
        "frobenius": root(sum(values**2)),
        "spectral": s + x["r"],
        "schatten": root(root(sum(values**4))),
    }
    for name, norm in norms.items():
        run = lambda m, triple, name=name: polar.polar_factor(m, [triple], scaling=name)
        got = x.run(run, x.svd(u, values, v), x.array("a b c"))
        yield got, x.svd(u, image([x.array("a b c")], values / norm), v)


@identity("polar_factor", positive="x y z")
def scaled_by_sums_of_rows(x):
    a, b, c = x["x y z"]
    got = x.run(polar.SCALINGS["aol"], -x.array([["x", "y"], [0, "z"]]))
    sums = [a**2 + b**2 + b * c, b * c + c**2]  # of the rows of |X·Xᵀ|
    first, second = map(x.field.root, sums)
    yield got, -x.array([[a / first, b / first], [0, c / second]])


@identity("polar_factor", positive="s")
def exact_polar_factor(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(Fraction(1, 2), 2, 3)
    run = lambda m: x.run(lambda m: polar.polar_factor(m, "svd"), m)
    for values, kept in (([x["s"] * 9, x["s"] * 2], [1, 1]), ([x["s"], 0], [1, 0])):
        m, want = x.svd(u, values, v), x.svd(u, kept, v)
        yield run(m), want
        yield run(m.T.copy()), want.T


@identity("polar_factor", others="x y z w")
def derivative_of_the_exact_polar_factor(x):
    u, v = x.rotation(Fraction(1, 3)), x.rotation(2)
    m, dm, o = x.svd(u, [3, 2], v), x.array([["x", "y"], ["z", "w"]]), u @ v.T
    tangent = lambda m, dm: jax.jvp(lambda m: polar.polar_factor(m, "svd"), (m,), (dm,))[1]
    do = x.run(tangent, m, dm)
    yield o.T @ do, -do.T @ o  # O stays orthogonal
    change = do.T @ m + o.T @ dm
    yield change, change.T  # and OᵀX symmetric


@identity("inverse_root", positive="s r e")
def powers_of_inverse_roots(x):
    q, (s, r, e) = x.space_rotation(Fraction(1, 2), 2, 3), x["s r e"]
    a = x.svd(q, [s, s + r, 0], q)
    for p in (1, 2, 3, 4):
        run = lambda a, e, p=p: inverse_roots.inverse_root(a, p, e)
        yield power(x.run(run, a, x.array(0)), p) @ a, x.svd(q, [1, 1, 0], q)
        yield power(x.run(run, a, e), p) @ (a + x.one(3) * (e * (s + r))), x.one(3)


@identity("inverse_root", others="x y z d")
def derivative_of_the_inverse_root(x):
    q, p = x.rotation(Fraction(1, 2)), 4
    a, da = x.svd(q, [16, 81], q), x.array([["x", "y"], ["y", "z"]])
    run = lambda a, eps: inverse_roots.inverse_root(a, p, eps)
    y, dy = x.run(lambda *args: jax.jvp(run, args[:2], args[2:]), a, x.array(0), da, x["d"])
    change = sum(power(y, k) @ dy @ power(y, p - 1 - k) for k in range(p)) @ a
    yield change + power(y, p) @ (da + x.one(2) * x["d"] * 81), 0 * a  # of Yᵖ·(A + eps·λ₁·I) = I


@identity("inverse_root_by_newton", others="e")
def residuals_of_newton(x):
    q, one, e = x.rotation(Fraction(1, 2)), x.one(2), x["e"]
    a = x.svd(q, [3, 4], q)  # of norm 5
    for p in (1, 2, 4):
        residual = one - a * Fraction(1 + p, 10)
        for steps in (1, 2, 3):
            run = lambda a, p=p, steps=steps: inverse_roots.inverse_root_by_newton(a, p, 0.0, steps)
            with mock.patch.object(inverse_roots, "largest_eigenvalue", lambda a: a[:1, :1]):
                y = x.run(run, a)  # without a ridge, since its norms are irrational
            residual = one - power(one + residual / p, p) @ (one - residual)
            yield one - power(y, p) @ a, residual
        after = 1 - (1 + e / p) ** p * (1 - e)  # that is (p + 1)/(2p)·E² + O(E³)
        yield ((after - e**2 * Fraction(p + 1, 2 * p)) / e**3).bottom.total_degree(), 0


@identity("inverse_root_by_cans")
def residuals_of_cans(x):
    q, values = x.rotation(Fraction(1, 2)), x.array([3, 4])  # of norm 5
    a = x.svd(q, values, q)
    for p, steps in ((2, 1), (2, 2), (4, 1)):
        run = lambda a, p=p, steps=steps: inverse_roots.inverse_root_by_cans(a, p, 0.0, steps)
        with mock.patch.object(inverse_roots, "largest_eigenvalue", lambda a: a[:1, :1]):
            got = x.run(run, a)
        triples = polar_coefficients.cans(steps, lower=1e-4)
        numbers = [x.array([Fraction(str(number)) for number in row]) for row in triples]
        y = values / 5
        for _ in range(p // 2):  # once or twice
            z = y * 0 + 1
            for c, d, _ in numbers:
                factor = y * z * d + c
                y, z = y * factor, z * factor
        yield power(got, p) @ a, x.svd(q, z**p * values / 5, q)


@identity("largest_eigenvalue")
def rayleigh_quotient(x):
    q = x.space_rotation(Fraction(1, 2), 2, 3)
    for steps in (0, 1, 2):
        for values in ([5, 5, 4], [7, 0, 0], [1, 2, 3]):
            a = x.svd(q, values, q)
            v = power(a, steps + 1)[:, order(x.field, -np.diagonal(a))[0]]
            run = lambda a, steps=steps: inverse_roots.largest_eigenvalue(a, steps)
            got, n, top = x.run(run, a)[0, 0].rational(), 2 * steps + 1, max(values)
            yield v * got @ v, v @ a @ v
            yield int(top**n <= 3 * got**n <= 3 * top**n), 1  # its bounds


@identity("eigenbasis", "next_basis", positive="s")
def bases(x):
    q = x.space_rotation(Fraction(1, 2), 2, 3)
    for values in ([1, 4, 2], [1, 0, 3]):
        got = x.run(inverse_roots.eigenbasis, x.svd(q, x.array(values) * x["s"], q))
        yield got, q[:, order(x.field, -x.array(values))]
    q = x.rotation(Fraction(1, 2))
    for a in ([[7, 1], [1, 3]], [[3, 1], [1, 7]]):
        a = q @ x.array(a) @ q.T
        got, places = x.run(inverse_roots.next_basis, a, q)
        moved = (a @ q)[:, list(places)]
        yield places, np.array(order(x.field, -np.diagonal(q.T @ a @ q)))
        yield got.T @ got, x.one(2)
        yield (got.T @ moved)[1, 0], 0  # Q·R is A·Q, R upper triangular


@pytest.mark.parametrize("each", IDENTITIES, ids=lambda each: each.name)
def test_identities(each):
    assert not each.refuted()
