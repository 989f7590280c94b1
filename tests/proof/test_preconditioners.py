"""Shampoo, SOAP, KL-Shampoo, Kron and GaLore, run exactly, against what defines them."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.optimizers.matrix import kl_shampoo, kl_soap, kron
from tests.proof.identities import collection

IDENTITIES, identity = collection()
HALF = Fraction(1, 2)


def block(a):
    """A matrix as the one block of Shampoo's state."""
    return a[None, None]


def symmetric(x, q, values):
    """A matrix of which the eigenvectors are known."""
    return x.svd(q, values, q)


@identity("scale_by_shampoo", "orthogonalize", positive="s")
def shampoo_without_memory_is_exact_muon(x):
    values = [x["s"] * 9, x["s"] * 2]
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    tx, muon = x.numbered(gd.scale_by_shampoo(0.0, 0.0)), x.numbered(gd.orthogonalize("svd"))
    for g in (x.svd(u, values, v), x.svd(v, values, u), x.svd(u, values, u.T)):
        (got,) = x.updates(tx, [g])
        yield got, x.step(muon, g, ())[0]
        yield got @ got.T @ got, got
        yield got.T @ g, (got.T @ g).T  # the other polar factor


@identity("scale_by_shampoo", others="a b c d")
def shampoo_of_any_state(x):
    """L and R of the step before are such that the roots of those of this step are known."""
    g, c = x.array([["a", "b"], ["c", "d"]]), Fraction(3, 4)  # 1 − β², the bias correction
    u, v = x.rotation(Fraction(1, 3)), x.rotation(5)
    sides = symmetric(x, u, [16, 81]), symmetric(x, v, [1, 256])
    L, R = (2 * (s * c) - m for s, m in zip(sides, (g @ g.T, g.T @ g)))
    want = symmetric(x, u, [HALF, Fraction(1, 3)]) @ g @ symmetric(x, v, [1, Fraction(1, 4)])
    tx = x.numbered(gd.scale_by_shampoo(0.5, 0.0, every=1))
    state = gd.states.ScaleByShampooState(jnp.int32(1), (block(L), block(R)), (block(L), block(R)))
    got, after = x.step(tx, g, state)
    yield got, want
    yield after.statistics[0][0, 0], sides[0] * c
    P, Q = x.rotation(3), x.rotation(-HALF)
    x.knows(P @ u, Q.T @ v)
    L, R = block(P @ L @ P.T), block(Q.T @ R @ Q)
    yield x.step(tx, P @ g @ Q, state._replace(statistics=(L, R)))[0], P @ want @ Q


@identity("scale_by_shampoo", "scale_by_rss")
def shampoo_of_common_singular_vectors_is_adagrad(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    values = [x.array([3, 5]), x.array([4, 12]), x.array([12, 84])]
    got = x.updates(
        x.numbered(gd.scale_by_shampoo(None, 0.0, every=1)), [x.svd(u, s, v) for s in values]
    )
    want = x.updates(x.numbered(gd.scale_by_rss(0.0, 0.0)), values)
    for matrix, numbers in zip(got, want):
        yield matrix, x.svd(u, numbers, v)


@identity("scale_by_shampoo", positive="s")
def shampoo_of_blocks(x):
    u, v, w = x.rotation(Fraction(1, 3)), x.rotation(5), x.rotation(5)
    left, right = x.svd(u, [x["s"], 2], v), x.svd(w, [3, 1], v)
    (got,) = x.updates(
        x.numbered(gd.scale_by_shampoo(0.0, 0.0, block_size=2)), [np.hstack([left, right])]
    )
    yield got, np.hstack([u @ v.T, w @ v.T])


@identity("scale_by_shampoo", others="a b")
def shampoo_of_other_roots(x):
    u, v = x.rotation(Fraction(1, 3)), x.rotation(5)
    g = x.svd(u, [3, 2], v)
    (got,) = x.updates(x.numbered(gd.scale_by_shampoo(0.0, 0.0, root=2)), [g])
    yield got, x.svd(u, [Fraction(1, 3), HALF], v)  # L^(−1/2)·G·R^(−1/2)
    (got,) = x.updates(
        x.numbered(gd.scale_by_shampoo(0.0, 0.0, max_precond_dim=2)), [np.vstack([g, g])]
    )
    yield got, np.vstack([u, u]) @ v.T / x.field.root(x.field.number(2))  # R^(−1/2) alone
    late = x.numbered(gd.scale_by_shampoo(0.0, 0.0, start_step=1))
    h = x.array([["a", 1], [2, "b"]])
    for got, want in zip(x.updates(late, [h, g]), (h, u @ v.T)):
        yield got, want


@identity("scale_by_shampoo", "scale_by_rms", positive="a b c d")
def shampoo_of_a_diagonal_is_rmsprop(x):
    about = {"every": 1, "max_precond_dim": 1, "long_sides": "diagonal"}
    gradients = [x.array("a b"), x.array("c d")]
    got = x.updates(x.numbered(gd.scale_by_shampoo(0.5, 0.0, **about)), gradients)
    want = x.updates(x.numbered(gd.scale_by_rms(0.5, 0.0, bias_correction=True)), gradients)
    yield np.stack(got), np.stack(want)


@identity("shampoo", "graft", positive="rate decay", others="a b c d")
def grafted_shampoo(x):
    u, v, W = x.rotation(Fraction(1, 3)), x.rotation(5), x.array([["a", "b"], ["c", "d"]])
    tx = gd.shampoo(0.1, 0.5, 0.0, 0.0, 0.1, grafting="sgd", every=1)
    tx = x.numbered(tx, learning_rate="rate", weight_decay="decay")
    first, second = x.updates(tx, [x.svd(u, [3, 4], v), x.svd(u, [5, 12], v)], W)
    N, root = u @ v.T, x.field.root(x.field.number(2))
    yield first, -(N * (5 / root) + W * x["decay"]) * x["rate"]
    M = N * ((Fraction(5, 4) + Fraction(13, 2)) / root) / Fraction(3, 4)
    yield second, -(M + W * x["decay"]) * x["rate"]


@identity("scale_by_soap", "scale_by_adam", positive="a b")
def soap_is_adam_in_a_basis(x):
    P, Q = x.rotation(Fraction(1, 3)), x.rotation(5)
    g, M = x.array([["a", "b"], [1, 2]]), x.array([[2, 3], [5, -7]])
    V, L, R = x.array([[1, 2], [3, 4]]), symmetric(x, Q, [3, 2]), symmetric(x, P, [5, 4])
    state = gd.states.ScaleBySoapState(jnp.int32(3), M, V, (L, R), (P, Q))
    got, after = x.step(x.numbered(gd.scale_by_soap(b3=0.5)), g, state)
    adam = gd.states.ScaleByAdamState(jnp.int32(2), P.T @ M @ Q, V)  # without the first step
    want, moments = x.step(x.numbered(gd.scale_by_adam(0.95, 0.95)), P.T @ g @ Q, adam)
    yield got, P @ want @ Q.T
    yield after.nu, moments.nu
    yield P.T @ after.mu @ Q, moments.mu
    for statistic, old, new in zip(after.statistics, (L, R), (g @ g.T, g.T @ g)):
        yield statistic, (old + new) / 2
    yield np.stack(after.basis), np.stack([P, Q])


@identity("scale_by_soap", "scale_by_adam")
def soap_of_common_singular_vectors_is_adam(x):
    u, v = x.rotation(Fraction(1, 3)), x.rotation(5)
    values = [x.array(s) for s in ([3, 1], [1, 4], [2, 40], [5, 1])]  # the order changes
    got = x.updates(x.numbered(gd.scale_by_soap(every=1)), [x.svd(u, s, v) for s in values])
    want = x.updates(x.numbered(gd.scale_by_adam(0.95, 0.95)), values[1:])
    yield got[0], 0 * got[0]
    for matrix, numbers in zip(got[1:], want):
        yield matrix, x.svd(u, numbers, v)


@identity("scale_by_soap", "scale_by_adam", positive="a b")
def soap_without_rotations_is_adam(x):
    gradients = [x.array([["a", 2], [3, "b"]]), x.array([["b", 1], ["a", 5]])]
    tx = gd.scale_by_soap(max_precond_dim=1, skip_first=False)
    got = x.updates(x.numbered(tx), gradients)
    yield np.stack(got), np.stack(x.updates(x.numbered(gd.scale_by_adam(0.95, 0.95)), gradients))


@identity("scale_by_soap")
def soap_turns_with_the_gradients(x):
    u, v, P, Q = map(x.rotation, (Fraction(1, 3), 5, 3, -HALF))
    gradients = [x.svd(u, [3, 1], v), x.array([[1, 5], [2, -3]]), x.array([[4, -1], [1, 1]])]
    x.knows(P @ u, Q.T @ v)
    tx = x.numbered(gd.scale_by_soap())
    turned = x.updates(tx, [P @ g @ Q for g in gradients])
    for got, u in zip(turned, x.updates(tx, gradients)):
        yield got, P @ u @ Q


@identity("scale_by_kl_shampoo")
def kl_shampoo_of_any_state(x):
    P, Q = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    g, M = x.array([[1, 5, -2], [2, -3, 4]]), x.array([[2, 3, 1], [5, -7, 1]])
    lam = x.array([2, 3]), x.array([5, 7, 1])
    S = symmetric(x, P, [3, 2]), symmetric(x, Q, [5, 4, 3])
    a, b = (x.svd(q, 1 / values, q) for q, values in zip((P, Q), lam))  # S⁻¹ by λ
    state = kl_shampoo.KLShampooState(jnp.int32(1), M, S, (P, Q), lam)
    got, after = x.step(x.numbered(gd.scale_by_kl_shampoo(0.5, 0.5)), g, state)
    deltas = g @ b @ g.T / 3, g.T @ a @ g / 2
    for i, (q, delta) in enumerate(zip((P, Q), deltas)):
        yield after.covariance[i], (S[i] + delta) / 2
        yield after.eigenvalues[i], (lam[i] + np.diagonal(q.T @ delta @ q)) / 2
    roots = [np.array([x.field.root(e) for e in side]) for side in after.eigenvalues]
    mean = (M + g) / 2 / Fraction(3, 4)
    yield got, P @ (P.T @ mean @ Q / roots[0][:, None] / roots[1]) @ Q.T
    A, B = x.rotation(3), x.space_rotation(2, HALF, -1)  # and it turns with the gradients
    S, bases = (A @ S[0] @ A.T, B.T @ S[1] @ B), (A @ P, B.T @ Q)
    state = state._replace(mu=A @ M @ B, covariance=S, basis=bases)
    yield x.step(x.numbered(gd.scale_by_kl_shampoo(0.5, 0.5)), A @ g @ B, state)[0], A @ got @ B


@identity("scale_by_kl_soap", "scale_by_adam")
def kl_soap_is_adam_in_the_bases_of_kl_shampoo(x):
    P, Q = x.rotation(Fraction(1, 3)), x.rotation(5)
    g, M = x.array([[1, 5], [2, -3]]), x.array([[2, 3], [5, -7]])
    V, lam = x.array([[1, 2], [3, 4]]), (x.array([2, 3]), x.array([5, 7]))
    S = symmetric(x, P, [3, 2]), symmetric(x, Q, [5, 4])
    state = gd.states.KLSoapState(jnp.int32(1), M, V, S, (P, Q), lam)
    got, after = x.step(x.numbered(gd.scale_by_kl_soap(0.5, 0.25, b3=0.5)), g, state)
    adam = gd.states.ScaleByAdamState(jnp.int32(1), P.T @ M @ Q, V)
    want, moments = x.step(x.numbered(gd.scale_by_adam(0.5, 0.25)), P.T @ g @ Q, adam)
    yield got, P @ want @ Q.T
    yield after.nu, moments.nu
    a, b = (x.svd(q, 1 / values, q) for q, values in zip((P, Q), lam))  # S⁻¹ by λ
    for i, (q, delta) in enumerate(zip((P, Q), (g @ b @ g.T / 2, g.T @ a @ g / 2))):
        yield after.covariance[i], (S[i] + delta) / 2
        yield after.eigenvalues[i], (lam[i] + np.diagonal(q.T @ delta @ q)) / 2
        yield after.basis[i], q


@identity("scale_by_kl_soap")
def bases_of_kl_soap(x):
    """The basis of a step, eigenvalues and mean squares take part in its gradient."""
    P, Q = x.rotation(Fraction(1, 3)), x.rotation(5)
    S = x.array([[2, 1], [1, 5]]), x.array([[7, 1], [1, 4]])
    lam, V = (x.array([3, 1]), x.array([1, 2])), x.array([[1, 2], [3, 4]])
    bases, values, squares = x.run(kl_soap.turned, S, (P, Q), lam, V)
    wanted, sorted_values = x.run(kl_shampoo.turn, S, (P, Q), lam)
    for got, want, numbers, theirs in zip(bases, wanted, values, sorted_values):
        yield got, want
        yield numbers, theirs
    rows, columns = (list(v).index(a[0]) for v, a in zip(lam, values))
    yield squares, V[[rows, 1 - rows]][:, [columns, 1 - columns]]


@identity("scale_by_kl_shampoo", positive="s")
def kl_shampoo_from_the_start(x):
    """Equal singular values are whitened to 1·√2, in the units of no gradient."""
    u, v = x.rotation(Fraction(1, 3)), x.rotation(5)
    tx = x.numbered(gd.scale_by_kl_shampoo())
    (got,) = x.updates(tx, [x.svd(u, [x["s"], x["s"]], v)])
    yield got @ got.T, x.one(2) * 2
    yield got * x["s"], x.svd(u, [x["s"], x["s"]], v) * x.field.root(x.field.number(2))


@identity("scale_by_kl_shampoo", positive="a b")
def diagonal_kl_shampoo(x):
    """Vectors, and matrices whose sides are too long for rotations."""
    root = np.frompyfunc(x.field.root, 1, 1)
    g, h = x.array(["a", "b", 1, 2]), x.array([[3, 1], [1, 2]])
    tx = x.numbered(gd.scale_by_kl_shampoo(0.5, 0.5, 0.0, init_factor=0.25))
    yield x.updates(tx, [g])[0] * root((g * g + Fraction(1, 4)) / 2), g
    fitted = x.numbered(gd.scale_by_kl_shampoo(0.5, 0.5, 0.0))
    yield x.updates(fitted, [g])[0] * root((g * g + (g * g).sum() / 4) / 2), g
    tx = x.numbered(gd.scale_by_kl_shampoo(0.5, 0.5, 0.0, max_precond_dim=1, init_factor=0.25))
    rows, columns = (((h * h).sum(i) * 2 + Fraction(1, 4)) / 2 for i in (1, 0))
    yield x.updates(tx, [h])[0] * root(np.outer(rows, columns)), h


@identity("scale_by_kl_shampoo")
def bases_of_kl_shampoo(x):
    P, Q = x.rotation(Fraction(1, 3)), x.rotation(5)
    S, lam = (
        (x.array([[2, 1], [1, 5]]), x.array([[7, 1], [1, 4]])),
        (x.array([3, 1]), x.array([1, 2])),
    )
    bases, values = x.run(kl_shampoo.turn, S, (P, Q), lam)
    for s, old, new, before, after in zip(S, (P, Q), bases, lam, values):
        flipped = (old.T @ s @ old)[0, 0].rational() < (old.T @ s @ old)[1, 1].rational()
        old, before = (old[:, ::-1], before[::-1]) if flipped else (old, before)
        yield new.T @ new, x.one(2)
        yield (new.T @ s @ old)[1, 0], 0
        yield after, before


@identity("scale_by_kron")
def kron_of_triangular_factors(x):
    Q = x.array([[2, 1], [0, 3]]), x.array([[1, -1, 2], [0, 2, 1], [0, 0, 1]])
    g, V = x.array([[1, 5, -2], [2, -3, 4]]), x.array([[1, -1, 2], [3, 1, -1]])
    rate, damping = Fraction(1, 10), Fraction(1, 100)
    a, b = Q
    yield x.run(lambda g, Q: kron.across(g, Q), g, Q), a @ g @ b.T
    yield x.run(lambda g, Q: kron.across(g, Q, adjoint=True), g, Q), a.T @ g @ b
    B = x.run(lambda g, Q: kron.across(g, Q, inverse=True), V, Q)
    yield a.T @ B @ b, V
    mean = sum(abs(e.rational()) for e in g.ravel()) / 6
    A = a @ (g + V * (damping * mean)) @ b.T
    fitted = x.run(kron.fit, Q, g, V, x.field.number(rate), x.field.number(damping))
    for q, new, plus, less in (
        (a, fitted[0], A @ A.T + B @ B.T, A @ A.T - B @ B.T),
        (b, fitted[1], A.T @ A + B.T @ B, A.T @ A - B.T @ B),
    ):
        norm = x.run(kron.norm_from_below, plus)[()]
        want = q - np.triu(less) @ q * (rate / norm)
        yield new * want[0, 0], want * new[0, 0]  # but for a factor that cancels in both
        yield np.tril(new, -1), 0 * new


@identity("scale_by_kron", others="a b c d")
def kron_stays_where_it_whitens(x):
    Q = a, b = x.array([[2, 1], [0, 3]]), x.array([[1, -1], [0, 4]])
    m = x.array([["a", "b"], ["c", "d"]])
    whitened = lambda m, Q: kron.across(kron.across(m, Q), Q, adjoint=True)
    yield x.run(whitened, m, Q), a.T @ a @ m @ b.T @ b
    g = x.array([[1, 2], [3, -1]])
    V = a.T @ a @ g @ b.T @ b  # so P·g·gᵀ·P = v·vᵀ: the gradient of the criterion is 0
    fitted = x.run(kron.fit, Q, g, V, x.field.number(Fraction(1, 10)), x.field.number(0))
    yield x.run(whitened, m, fitted), x.run(whitened, m, Q)
    yield fitted[0][1, 1], fitted[1][1, 1]  # both have the same largest entry


@identity("scale_by_galore", "galore", others="a b c d")
def adam_of_projections(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    first, second = x.svd(u, [5, 3], v), x.array([["a", "b", 2], ["c", "d", 1]])
    whole = x.numbered(gd.scale_by_galore(2, 10, 1.0, gd.ema(0.9)), scale=2)
    mean = x.updates(x.numbered(gd.ema(0.9)), [first, second])
    for turn in (lambda m: m, lambda m: m.T.copy()):
        for got, m in zip(x.updates(whole, [turn(first), turn(second)]), mean):
            yield got, 2 * turn(m)
        part = x.numbered(gd.scale_by_galore(1, 10, 1.0, gd.identity()), scale=2)
        got = x.updates(part, [turn(first), turn(second)])[1]
        yield got, turn(2 * u[:, :1] @ u[:, :1].T @ second)
    adam = gd.scale_by_adam(0.9, 0.999, 1e-8)
    got = x.updates(x.numbered(gd.scale_by_galore(2, 10, 1.0, adam)), [first, first * 3])
    inside = x.updates(x.numbered(adam), [u.T @ first, u.T @ first * 3])
    yield np.stack(got), u @ np.stack(inside)


@identity("scale_by_fira")
def rest_of_a_projection_is_scaled_as_the_projection(x):
    u, v = x.rotation(Fraction(1, 3)), x.space_rotation(HALF, 2, 3)
    first = x.svd(u, [5, 3], v)
    fira = lambda *given: x.numbered(gd.scale_by_fira(*given))
    for turn in (lambda m: m, lambda m: m.T.copy()):
        g = [turn(first), turn(first * 3)]
        galore = x.updates(x.numbered(gd.scale_by_galore(2, 10, 1.0, gd.ema(0.9))), g)
        yield from zip(x.updates(fira(2, 10, 2.0, gd.ema(0.9)), g), galore)
        # Of rank one, with an inner transformation that scales all by 3.
        yield x.updates(fira(1, 10, 2.0, gd.scale(3.0)), g)[0], 3 * g[0]
    limited = x.updates(fira(1, 10, 1.5, gd.identity()), [first, x.svd(u, [5, 21], v)])
    yield limited[1], x.svd(u, [5, Fraction(9, 2)], v)


@pytest.mark.parametrize("each", IDENTITIES, ids=lambda each: each.name)
def test_identities(each):
    assert not each.refuted()
