"""What is special about Shampoo, SOAP and grafting: roots, identities, blocks, and what costs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.matrix import inverse_roots
from gdjax.core.matrix.blocking import Cut

METHODS = [inverse_roots.inverse_root, inverse_roots.inverse_root_by_newton]
SPECTRUM = 7.0 * np.array([1.0, 0.3, 0.3, 1e-2, 1e-5])  # one eigenvalue comes twice


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def with_spectrum(values):
    q = np.linalg.qr(normal(len(values), len(values)))[0]
    return q * values @ q.T, q


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 6])
def test_inverse_roots(p, method, x64):
    """Both ways are NumPy's, with a ridge and without; digits are lost as the condition says."""
    a, q = with_spectrum(SPECTRUM)
    for eps in (0.0, 1e-3):
        values = SPECTRUM + eps * SPECTRUM[0]
        expected = q * values ** (-1 / p) @ q.T
        found = method(jnp.stack([a, 2 * a]), p, eps)
        for scale, one in zip((1, 2), found):
            accuracy = 100 * np.finfo(float).eps * values[0] / values[-1]
            off = np.abs(one * scale ** (1 / p) - expected).max()
            assert off <= accuracy * np.abs(expected).max()


@pytest.mark.parametrize("method", METHODS)
def test_inverse_roots_of_complex_matrices(method, x64):
    b = normal(3, 3) + 1j * normal(3, 3, seed=1)
    a = jnp.asarray(b @ b.conj().T)
    y = method(a, 4)
    np.testing.assert_allclose(y @ y @ y @ y @ a, np.eye(3), atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("a", [np.zeros((3, 3)), 1e-30 * np.eye(3), np.eye(3), np.ones((3, 3))])
def test_inverse_roots_are_finite_in_float32(a, method):
    """With finite derivatives: of nothing, of little, of eigenvalues that meet, of rank one."""
    root = lambda a, eps: jnp.sum(method(a, 4, eps))
    value, slopes = jax.value_and_grad(root, (0, 1))(jnp.asarray(a, jnp.float32), 1e-6)
    assert all(np.isfinite(x).all() for x in (value, *slopes))
    if not a.any():
        assert not value


@pytest.mark.parametrize("method", METHODS)
def test_derivative_of_inverse_roots(method, x64):
    """As differences tell, where eigenvalues meet, with the ridge a part of it."""
    a, _ = with_spectrum(SPECTRUM)
    direction, weights = normal(5, 5, seed=1), normal(5, 5, seed=2)
    direction = 1e-2 * (direction + direction.T)

    def along(t):
        return jnp.sum(weights * method(jnp.asarray(a) + t * direction, 4, 1e-2 + t))

    h = 1e-5
    expected = (along(h) - along(-h)) / (2 * h)
    for found in (jax.grad(along)(0.0), jax.jvp(along, (0.0,), (1.0,))[1]):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_largest_eigenvalue(x64):
    a, _ = with_spectrum(SPECTRUM)
    np.testing.assert_allclose(
        inverse_roots.largest_eigenvalue(jnp.asarray(a)), [[7.0]], rtol=1e-12
    )
    equal = inverse_roots.largest_eigenvalue(jnp.diag(jnp.asarray([1.0, 1.0, 0.999])))
    assert 0.999 <= float(equal[0, 0]) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_inverse_roots_of_nothing(method):
    assert method(jnp.zeros((0, 0)), 4, 1e-6).shape == (0, 0)


def polar(g):
    u, _, vt = np.linalg.svd(g, full_matrices=False)
    return u @ vt


def first_update(tx, g):
    return tx.update(g, tx.init(g), g)[0]


# Without a ridge, what is 0 in exact numbers comes out as 1e-16, and its root as 1e-4.
@pytest.mark.parametrize(("shape", "eps"), [((5, 5), 0.0), ((3, 5), 1e-14), ((5, 3), 1e-14)])
def test_shampoo_without_memory_is_an_orthogonal_factor(shape, eps, x64):
    """Both sides to −1/4, or the short one to −1/2: Muon without momentum, exactly."""
    g = with_spectrum(np.array([4.0, 3.0, 2.0, 1.0, 0.5]))[1][: shape[0], : shape[1]]
    g = jnp.asarray(g * np.linspace(1.0, 2.0, shape[1]))
    both = gd.scale_by_shampoo(0.0, eps)
    muon = gd.scale_by_muon("svd", b1=0.0, nesterov=False)
    for found in (first_update(both, g), first_update(muon, g)):
        np.testing.assert_allclose(found, polar(g), atol=1e-12)
    if shape[0] != shape[1]:
        one = gd.scale_by_shampoo(0.0, eps, max_precond_dim=min(shape))
        np.testing.assert_allclose(first_update(one, g), polar(g), atol=1e-12)
        assert sum(s is not None for s in one.init(g).statistics) == 1


def test_shampoo_of_a_vector_is_of_one_side(x64):
    g = jnp.asarray([3.0, 4.0])
    np.testing.assert_allclose(first_update(gd.scale_by_shampoo(0.0), g), g / 5, rtol=1e-6)
    np.testing.assert_allclose(
        first_update(gd.scale_by_shampoo(0.0), jnp.asarray(-7.0)), -1.0, 1e-6
    )


def test_a_diagonal_side_of_a_vector_is_adagrad(x64):
    tx = gd.scale_by_shampoo(None, 0.0, max_precond_dim=2, long_sides="diagonal", every=1)
    rss = gd.scale_by_rss(eps=0.0)
    state, other = (t.init(jnp.zeros(4)) for t in (tx, rss))
    for seed in range(3):
        g = jnp.asarray(normal(4, seed=seed)).at[0].set(0.0)
        u, state = tx.update(g, state)
        v, other = rss.update(g, other)
        np.testing.assert_allclose(u, v, rtol=1e-12)


@pytest.mark.parametrize(("shape", "size"), [((4, 6), 2), ((5, 7), 3), ((2, 5), 4), ((3, 3), 5)])
def test_blocks_are_matrices_of_their_own(shape, size, x64):
    cut = Cut.of(shape, size)
    a, b = cut.count
    assert max(cut.sides) <= size and (a, b) == tuple(-(-n // size) for n in shape)
    tx = gd.scale_by_shampoo(0.9, 1e-3, block_size=size, every=1)
    alone = gd.scale_by_shampoo(0.9, 1e-3, root=4, every=1)
    slices = [
        (
            slice(i * cut.sides[0], (i + 1) * cut.sides[0]),
            slice(j * cut.sides[1], (j + 1) * cut.sides[1]),
        )
        for i in range(a)
        for j in range(b)
    ]
    state = tx.init(jnp.zeros(shape))
    states = [alone.init(jnp.zeros(shape)[cut]) for cut in slices]
    for seed in range(2):
        g = jnp.asarray(normal(*shape, seed=seed))
        u, state = tx.update(g, state)
        for k, part in enumerate(slices):
            if 1 in g[part].shape:
                continue  # alone it is a vector
            v, states[k] = alone.update(g[part], states[k])
            np.testing.assert_allclose(u[part], v, atol=1e-12)


def test_shampoo_passes_the_gradient_until_it_starts():
    tx = gd.scale_by_shampoo(start_step=2, every=3)
    state, g = tx.init(jnp.zeros((2, 3))), jnp.asarray(normal(2, 3), jnp.float32)
    same, kept = [], []
    for _ in range(7):
        before = state.preconditioners[0]
        u, state = tx.update(g, state)
        same.append(bool(jnp.allclose(u, g, rtol=1e-6)))
        kept.append(bool((state.preconditioners[0] == before).all()))
    assert same == [True, True, *[False] * 5]
    assert kept[:3] == [True, True, False] and kept[3:5] == [True, True]


def test_derivative_by_the_decay_of_shampoo(x64):
    def end(b2):
        tx = gd.scale_by_shampoo(b2, 1e-2, every=1)
        state, total = tx.init(jnp.zeros((2, 3))), 0.0
        for seed in range(3):
            u, state = tx.update(jnp.asarray(normal(2, 3, seed=seed)), state)
            total += jnp.sum(u**3)
        return total

    h = 1e-5
    expected = (end(0.9 + h) - end(0.9 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(end))(0.9), expected, rtol=1e-5)


@pytest.mark.parametrize("skip", [True, False])
def test_the_first_step_of_soap(skip):
    """Moves nothing and is not counted, or is Adam's."""
    tx, g = gd.soap(1.0, skip_first=skip), jnp.asarray(normal(2, 3), jnp.float32)
    u, state = tx.update({"w": g, "b": g[0]}, tx.init({"w": g, "b": g[0]}), {"w": g, "b": g[0]})
    expected = np.zeros((2, 3)) if skip else -np.sign(g)
    np.testing.assert_allclose(u["w"], expected, rtol=1e-5)
    np.testing.assert_allclose(u["b"], expected[0], rtol=1e-5)
    left, right = state[0].basis["w"]
    for q, p in ((left, g @ g.T), (right, g.T @ g)):
        d = q.T @ p @ q
        np.testing.assert_allclose(d, np.diag(np.diag(d)), atol=1e-5)
        assert (np.diff(np.diag(d)) < 1e-5).all()  # the largest first


def test_soap_does_not_see_signs_and_order_of_the_basis(x64):
    """Any signs, any order: one path, over steps that look up the basis and steps that do not."""
    tx = gd.scale_by_soap(every=2)
    grads = [jnp.asarray(normal(3, 4, seed=seed)) for seed in range(7)]
    state = tx.init(grads[0])
    for g in grads[:2]:
        _, state = tx.update(g, state)
    rows, columns = np.array([2, 0, 1]), np.array([1, 3, 0, 2])
    left, right = state.basis
    other = state._replace(
        basis=(
            left[:, rows] * np.array([[1.0, -1.0, -1.0]]),
            right[:, columns] * np.array([[-1.0, 1, 1, -1]]),
        ),
        nu=state.nu[rows][:, columns],
    )
    for g in grads[2:]:
        u, state = tx.update(g, state)
        v, other = tx.update(g, other)
        np.testing.assert_allclose(u, v, atol=1e-12)


@pytest.mark.parametrize("make", [gd.soap, gd.shampoo], ids=["soap", "shampoo"])
def test_stacked_layers_are_separate_layers(make, x64):
    stacked = make(0.1, matrix_axes="n in out")
    alone = make(0.1)
    stack = jnp.zeros((2, 3, 4))
    state, states = stacked.init(stack), [alone.init(stack[0])] * 2
    for seed in range(3):
        g = jnp.asarray(normal(2, 3, 4, seed=seed))
        u, state = stacked.update(g, state, stack)
        for k in range(2):
            v, states[k] = alone.update(g[k], states[k], stack[k])
            np.testing.assert_allclose(u[k], v, atol=1e-12)


def test_graft_takes_a_direction_and_a_length():
    g = jnp.asarray(normal(2, 3, 4), jnp.float32)
    whole = first_update(gd.graft(gd.scale(5.0), gd.scale_by_sign()), {"w": g, "zero": 0 * g})
    np.testing.assert_allclose(whole["w"], g * 24**0.5 / jnp.linalg.norm(g), rtol=1e-5)
    assert not whole["zero"].any()
    tx = gd.graft(gd.scale(5.0), gd.scale_by_sign(), matrix_axes="n in out")
    each = g * 12**0.5 / jnp.sqrt(jnp.sum(g**2, (1, 2), keepdims=True))
    np.testing.assert_allclose(first_update(tx, g), each, rtol=1e-5)


def always_run(program):
    """The text of those computations of a compiled program that no condition decides about."""
    texts, entry = {}, None
    for part in re.split(r"\n(?=(?:ENTRY )?%?[\w.\-]+ \([^\n]*\{\n)", program):
        name = re.match(r"(ENTRY )?%?([\w.\-]+) \(", part)
        if name:
            texts[name[2]] = part
            entry = name[2] if name[1] else entry
    found, todo = {}, [entry]
    while todo:
        name = todo.pop()
        lines = [line for line in texts[name].splitlines() if " conditional(" not in line]
        found[name] = "\n".join(lines)
        called = re.findall(r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)", found[name])
        todo += [c for c in called if c in texts and c not in found]
    return "\n".join(found.values())


@pytest.mark.parametrize("make", [gd.scale_by_soap, gd.scale_by_shampoo], ids=["soap", "shampoo"])
def test_decompositions_are_under_a_condition(make):
    """Steps that refresh nothing run no eigh and no QR, in the compiled program."""
    params = {"a": jnp.ones((4, 6)), "b": jnp.ones((4, 6)), "c": jnp.ones((3, 5))}
    tx = make(every=10)
    step = jax.jit(tx.update).lower(params, tx.init(params)).compile().as_text()
    assert "conditional(" in step and re.search("syevd|geqrf", step)
    assert not re.search("syevd|geqrf", always_run(step))
    alone = jax.jit(jax.vmap(jnp.linalg.eigh)).lower(jnp.ones((2, 3, 3))).compile().as_text()
    assert re.search("syevd", always_run(alone))  # it would be seen


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.scale_by_shampoo(method="qr"), "method"),
        (lambda: gd.scale_by_shampoo(long_sides="cut"), "long_sides"),
        (lambda: gd.scale_by_shampoo(root=0), "root"),
        (lambda: gd.scale_by_shampoo(every=0), "every"),
        (lambda: gd.scale_by_shampoo(block_size=0), "block_size"),
        (lambda: gd.shampoo(0.1, grafting="lion"), "grafting"),
        (lambda: gd.scale_by_soap(every=0), "every"),
    ],
)
def test_what_is_asked_must_exist(make, message):
    with pytest.raises(ValueError, match=message):
        make().init(jnp.ones((2, 3)))


def test_a_transformation_may_be_grafted():
    g = jnp.asarray(normal(2, 3), jnp.float32)
    u = first_update(gd.shampoo(1.0, grafting=gd.scale_by_lion()), g)
    np.testing.assert_allclose(jnp.linalg.norm(u), 6**0.5, rtol=1e-5)


def test_soap_muon_is_a_chain_of_its_parts(x64):
    """Matrices by the parts, embeddings by AdamW."""
    params = {"up": jnp.zeros((2, 4)), "embed": jnp.zeros((5, 2))}
    tx = gd.soap_muon(0.1, backend="polar_express", steps=8)
    by_hand = gd.chain(
        gd.scale_by_soap(),
        gd.orthogonalize("polar_express", 8),
        gd.scale_by_shape(),
        gd.scale(-0.1),
    )
    adamw = gd.adamw(0.1, weight_decay=0.0)
    states = tx.init(params), by_hand.init(params["up"]), adamw.init(params["embed"])
    for seed in range(3):
        g = {k: jnp.asarray(normal(*p.shape, seed=seed)) for k, p in params.items()}
        u, first = tx.update(g, states[0], params)
        v, second = by_hand.update(g["up"], states[1], params["up"])
        w, third = adamw.update(g["embed"], states[2], params["embed"])
        states = first, second, third
        np.testing.assert_allclose(u["up"], v, atol=1e-12)
        np.testing.assert_allclose(u["embed"], w, atol=1e-12)
    # 8 steps of the iteration leave singular values of one, times √(out/in).
    np.testing.assert_allclose(np.linalg.svd(v, compute_uv=False), 0.1 * 2**0.5, rtol=1e-3)
