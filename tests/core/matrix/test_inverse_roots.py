"""Inverse roots of positive matrices: by eigenvalues and by Newton iterations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.matrix import inverse_roots
from tests.helpers import normal, other_eigh

ANY_ROOT = [inverse_roots.inverse_root, inverse_roots.inverse_root_by_newton]
METHODS = [*ANY_ROOT, inverse_roots.inverse_root_by_cans]
CASES = [(method, p) for method in ANY_ROOT for p in (1, 2, 3, 4, 6)]
CASES += [(inverse_roots.inverse_root_by_cans, p) for p in (2, 4, 8)]
SPECTRUM = 7.0 * np.array([1.0, 0.3, 0.3, 1e-2, 1e-5])  # one eigenvalue comes twice


def with_spectrum(values):
    q = np.linalg.qr(normal(len(values), len(values)))[0]
    return q * values @ q.T, q


@pytest.mark.parametrize("method, p", CASES)
def test_inverse_roots(method, p, x64):
    """All ways are NumPy's, with a ridge and without; digits are lost as the condition says."""
    a, q = with_spectrum(SPECTRUM)
    for eps in (0.0, 1e-3):
        values = SPECTRUM + eps * SPECTRUM[0]
        expected = q * values ** (-1 / p) @ q.T
        found = method(jnp.stack([a, 2 * a]), p, eps)
        for scale, one in zip((1, 2), found):
            accuracy = 100 * np.finfo(float).eps * values[0] / values[-1]
            off = np.abs(one * scale ** (1 / p) - expected).max()
            assert off <= accuracy * np.abs(expected).max()


@pytest.mark.parametrize("root", [1, 3, 6])
def test_roots_by_cans_are_powers_of_two(root):
    must = f"inverse_root_by_cans: root must be a power of two, 2 or more, got {root}"
    with pytest.raises(ValueError, match=must):
        inverse_roots.inverse_root_by_cans(jnp.eye(2), root)


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


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("eps", "slope", "size"), [(1e-2, 1.0, 1e-2), (0.3, 0.0, 1.0)])
def test_derivative_of_inverse_roots(method, eps, slope, size, x64):
    """As differences tell, where eigenvalues meet, with the ridge a part of it."""
    a, _ = with_spectrum(SPECTRUM)
    direction, weights = normal(5, 5, seed=1), normal(5, 5, seed=2)
    direction = size * (direction + direction.T)

    def along(t):
        return jnp.sum(weights * method(jnp.asarray(a) + t * direction, 4, eps + slope * t))

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


# Matrices [n, r] whose products with their own transposes have null spaces of n − r directions.
THIN = {
    "normal": normal(9, 4),
    "one direction": normal(9, 1),
    "symmetric": np.kron(np.eye(4), np.ones((2, 1))),  # its null space: differences of pairs
    "dead rows": normal(9, 4) * (np.arange(9) % 3 > 0)[:, None],
    "complex": normal(9, 4) + 1j * normal(9, 4, seed=1),
    "nothing": np.zeros((9, 4)),
    "full": normal(9, 9),
}


@pytest.mark.parametrize("name", THIN)
def test_the_basis_of_a_null_space_is_always_the_same(name, monkeypatch, x64):
    """Eigenvectors, orthonormal, the largest first; the same of any eigh but for their signs."""
    a = jnp.asarray(THIN[name] @ THIN[name].conj().T)
    q = inverse_roots.eigenbasis(a)
    seen = q.conj().T @ a @ q
    np.testing.assert_allclose(q.conj().T @ q, np.eye(len(a)), atol=1e-13)
    np.testing.assert_allclose(seen, np.diag(np.diag(seen)), atol=1e-13 * (1 + np.abs(seen).max()))
    assert (np.diff(np.real(np.diag(seen))) <= 1e-13 * (1 + np.abs(seen).max())).all()
    eigh = jnp.linalg.eigh
    monkeypatch.setattr(jnp.linalg, "eigh", lambda a: other_eigh(a, eigh))
    other = inverse_roots.eigenbasis(a)
    rank = np.linalg.matrix_rank(THIN[name])
    if name != "symmetric":  # of which all other eigenvalues meet
        np.testing.assert_allclose(np.abs(q.conj().T @ other), np.eye(len(a)), atol=1e-11)
    np.testing.assert_allclose(
        np.abs(q.conj().T @ other)[rank:, rank:], np.eye(len(a) - rank), atol=1e-11
    )
    plain = np.abs(eigh(a)[1].conj().T @ other_eigh(a, eigh)[1])
    assert rank >= len(a) - 1 or np.abs(plain - np.eye(len(a))).max() > 0.1  # it would be seen


def test_bases_of_a_batch_are_those_of_each(x64):
    """Where some have a null space and some do not."""
    stack = jnp.stack(
        [jnp.asarray(b @ b.T) for b in (normal(6, 2), normal(6, 6), np.zeros((6, 6)))]
    )
    alone = [inverse_roots.eigenbasis(a) for a in stack]
    for q in (inverse_roots.eigenbasis(stack), jax.vmap(inverse_roots.eigenbasis)(stack)):
        np.testing.assert_allclose(q, jnp.stack(alone), atol=1e-12)
