"""Inverse roots of symmetric positive semidefinite matrices, and their eigenvectors."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.matrix.in_turn import in_turn
from gdjax.core.matrix.polar_coefficients import cans
from gdjax.core.rule import errors, numerics

# Eigenvalues that are rounding errors are at most 5 eps of the largest, for sides up to 1024.
NOISE = 16


def inverse_root(a: jax.Array, root: int, eps: Any = 0.0) -> jax.Array:
    """(A + eps·λ₁·I) to the power −1/root by its eigenvalues λ, the largest λ₁; 0 where they are 0.

    Its derivative is exact, and finite for equal eigenvalues, unlike those of eigenvectors. Small
    negative eigenvalues, caused by rounding, are treated as 0.

    Args:
        a: [..., m, m], symmetric or Hermitian, positive semidefinite.
        root: An integer, 1 or more.
        eps: The ridge, relative to the largest eigenvalue.
    """
    return _inverse_root(a, jnp.asarray(eps, jnp.finfo(a.dtype).dtype), root)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _inverse_root(a: jax.Array, eps: jax.Array, root: int) -> jax.Array:
    return _by_eigenvalues(a, eps, root)[0]


def _by_eigenvalues(a: jax.Array, eps: jax.Array, root: int) -> tuple[jax.Array, ...]:
    """The inverse root, the eigenvectors, the eigenvalues, and the roots of those and the ridge."""
    values, vectors = _eigh(a)
    values = jnp.maximum(values, 0)
    roots = (values + eps * values[..., -1:]) ** (1 / root)  # 0 stays 0
    inverse = numerics.safe_divide(jnp.ones_like(roots), roots)
    return _with_values(vectors, inverse), vectors, values, roots


@in_turn
def _eigh(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, vectors = jnp.linalg.eigh(a)
    return values, vectors


def _with_values(vectors: jax.Array, values: jax.Array) -> jax.Array:
    return (vectors * values[..., None, :].astype(vectors.dtype)) @ vectors.mT.conj()


def _eye(a: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)


@_inverse_root.defjvp
def _inverse_root_jvp(root: int, primals: tuple, tangents: tuple) -> tuple:
    """In the eigenbasis, entries of dA times (f(λᵢ) − f(λⱼ)) / (λᵢ − λⱼ), f the inverse root.

    With x = λ^(1/root) that is −1 / (xᵢ·xⱼ·Σₖ xᵢᵏ·xⱼ^(root−1−k)), without cancellation.
    """
    (a, eps), (da, deps) = primals, tangents
    y, vectors, values, x = _by_eigenvalues(a, eps, root)
    d = vectors.mT.conj() @ da @ vectors
    top = values[..., -1:]
    ridge = deps * top + eps * jnp.real(d[..., -1:, -1])
    d = d + ridge[..., None].astype(d.dtype) * _eye(d)
    rows, columns = x[..., :, None], x[..., None, :]
    weights = rows * columns * sum(rows**k * columns ** (root - 1 - k) for k in range(root))
    d = -numerics.safe_divide(d, weights.astype(d.dtype))
    return y, vectors @ d @ vectors.mT.conj()


def _ridged(a: jax.Array, eps: Any) -> tuple[jax.Array, jax.Array]:
    """A + eps·λ·I, λ an estimate of the largest eigenvalue of A, and its norm [..., 1, 1].

    The root of a matrix is that of the matrix over s times s^(−1/p), for any s: the norm is a
    constant for derivatives.
    """
    a = a + (eps * largest_eigenvalue(a)).astype(a.dtype) * _eye(a)
    return a, jax.lax.stop_gradient(numerics.norm(a, (-2, -1), keepdims=True))


def inverse_root_by_newton(a: jax.Array, root: int, eps: Any = 0.0, steps: int = 30) -> jax.Array:
    """(A + eps·λ·I) to the power −1/root by products of matrices alone, λ an estimate of λ₁.

    The coupled iteration, from X = z^(1/p)·I and M = z·A with z = (1 + p) / (2·‖A‖),

        T = ((1 + p)·I − M) / p,    X ← X·T,    M ← Tᵖ·M

    converges to M = I and X the root. A step multiplies a small eigenvalue of M by about
    (1 + 1/p)ᵖ: 30 steps are enough for eigenvalues of 10⁻⁹.

    Args:
        a: [..., m, m], symmetric or Hermitian, positive semidefinite.
        root: p, an integer, 1 or more.
        eps: The ridge, relative to the largest eigenvalue, estimated by six steps of power
            iteration.
        steps: Number of iterations.

    Reference: Guo and Higham, A Schur-Newton method for the matrix pth root and its inverse, 2006,
        https://doi.org/10.1137/050643374
    """
    if not a.size:
        return a
    eye = _eye(a)
    a, size = _ridged(a, eps)
    m = numerics.safe_divide(a, size.astype(a.dtype)) * ((1 + root) / 2)
    scale = numerics.safe_divide((1 + root) / 2 * jnp.ones_like(size), size) ** (1 / root)

    def step(carry: tuple[jax.Array, jax.Array], _: Any) -> tuple[Any, None]:
        x, m = carry
        t = ((1 + root) * eye - m) / root
        return (x @ t, jnp.linalg.matrix_power(t, root) @ m), None

    return jax.lax.scan(step, (eye, m), length=steps)[0][0] * scale.astype(a.dtype)


def inverse_root_by_cans(a: jax.Array, root: int, eps: Any = 0.0, steps: int = 14) -> jax.Array:
    """(A + eps·λ·I) to the power −1/root by CANS polynomials, λ an estimate of λ₁; products alone.

    The coupled iteration, from Y = A / ‖A‖ and Z = I with the cubic polynomials of `cans`,

        P = a·I + b·Z·Y,    Y ← Y·P,    Z ← P·Z

    maps the roots σ of the eigenvalues of Z·Y to a·σ + b·σ³, so they converge to 1, Y to the square
    root of the first Y and Z to the inverse of that. For a 4th root it is repeated with that Y.
    A square root has 3 products a step, less than half of those of Newton's iteration.

    Args:
        a: [..., m, m], symmetric or Hermitian, positive semidefinite.
        root: p, a power of two, 2 or more.
        eps: The ridge, as in `inverse_root_by_newton`.
        steps: Number of polynomials; 14 are accurate for eigenvalues of 10⁻⁸ of ‖A‖ and more.

    Raises:
        ValueError: The root is not a power of two.

    Reference: Grishina, Smirnov and Rakhuba, Accelerating Newton-Schulz iteration for
        orthogonalization via Chebyshev-type polynomials, 2025, https://arxiv.org/abs/2506.10935;
        Higham, Stable iterations for the matrix square root, 1997,
        https://doi.org/10.1023/A:1019150005407
    """
    if root < 2 or root & (root - 1):
        errors.fail("inverse_root_by_cans", "root must be a power of two, 2 or more", root)
    if not a.size:
        return a
    eye = _eye(a)
    a, size = _ridged(a, eps)
    scale = numerics.safe_divide(jnp.ones_like(size), size) ** (1 / root)
    pairs = jnp.asarray([triple[:2] for triple in cans(steps, lower=1e-4)], a.dtype)

    def step(carry: tuple[jax.Array, jax.Array], pair: Any) -> tuple[Any, None]:
        y, z = carry
        p = pair[0] * eye + pair[1] * (z @ y)
        return (y @ p, p @ z), None

    y, z = numerics.safe_divide(a, size.astype(a.dtype)), eye
    for _ in range(root.bit_length() - 1):
        y, z = jax.lax.scan(step, (y, eye), pairs)[0]
    return z * scale.astype(a.dtype)


def largest_eigenvalue(a: jax.Array, steps: int = 20) -> jax.Array:
    """A lower bound on λ₁ of a, [..., 1, 1], by power iteration from the largest column.

    It is at least λ₁·m^(−1/(2·steps + 1)), and has the derivative of an eigenvalue.
    """
    fixed = jax.lax.stop_gradient(a)
    sizes = jnp.real(jnp.diagonal(fixed, axis1=-2, axis2=-1))
    first = jnp.argmax(sizes, -1)[..., None, None]

    def step(v: jax.Array, _: Any) -> tuple[jax.Array, None]:
        size = numerics.norm(v, (-2, -1), keepdims=True)
        return fixed @ numerics.safe_divide(v, size.astype(v.dtype)), None

    v = jax.lax.scan(step, jnp.take_along_axis(fixed, first, -1), length=steps)[0]
    v = numerics.safe_divide(v, numerics.norm(v, (-2, -1), keepdims=True).astype(v.dtype))
    return jnp.real(v.mT.conj() @ a @ v)


@in_turn
def eigenbasis(a: jax.Array) -> jax.Array:
    """The eigenvectors as columns, largest eigenvalue first; constants for derivatives.

    Their derivatives do not exist for equal eigenvalues. Any orthonormal basis of the null space
    consists of eigenvectors, and which one LAPACK returns depends on rounding. Here it is given by
    the eigenvectors of a fixed diagonal matrix, projected onto the null space.

    Args:
        a: [..., m, m], symmetric or Hermitian, positive semidefinite.
    """
    a = jax.lax.stop_gradient(a)
    real = jnp.finfo(a.dtype).dtype
    product = functools.partial(jnp.matmul, precision="highest")
    entries = jnp.exp(jnp.linspace(0, 1, a.shape[-1], dtype=real))  # all sums of two differ
    entries = jnp.broadcast_to(entries.astype(a.dtype), a.shape[:-1])

    def look(state: tuple[Any, ...]) -> tuple[Any, ...]:
        seen, basis, null = state
        values, vectors = jnp.linalg.eigh(seen)
        basis = jnp.where(null[..., None, :], product(basis, vectors), basis)
        null = null & (values <= NOISE * jnp.finfo(real).eps * values[..., -1:])
        fixed = product(basis.mT.conj(), entries[..., :, None] * basis)
        both = null[..., :, None] & null[..., None, :]
        return jnp.where(both, fixed, 3 * _eye(a)), basis, null  # e < 3: `both` comes first

    # A loop, so that the decomposition is compiled once; one round where the null space has a
    # single direction or none, else two.
    several = lambda state: jnp.any(jnp.sum(state[2], -1) > 1)
    start = a, _eye(a), jnp.ones(a.shape[:-1], bool)
    return jax.lax.while_loop(several, look, start)[1][..., ::-1]


def next_basis(a: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A step of power iteration from a basis, with QR, and the permutation of its columns.

    Columns are sorted by decreasing eigenvalue first, since QR changes the first ones least. Both
    results are constants for derivatives.

    Args:
        a: [..., m, m], symmetric or Hermitian.
        basis: [..., m, m], orthonormal columns, approximate eigenvectors.

    Returns:
        The new basis, and for each of its columns which column of the old one it comes from,
        [..., m].
    """
    a, basis = jax.lax.stop_gradient((a, basis))
    moved = a @ basis
    order = jnp.argsort(-jnp.sum(jnp.real(jnp.conj(basis) * moved), -2), -1, stable=True)
    moved = jnp.take_along_axis(moved, order[..., None, :], -1)
    return _orthonormal(moved), order


@in_turn
def _orthonormal(a: jax.Array) -> jax.Array:
    return jnp.linalg.qr(a)[0]
