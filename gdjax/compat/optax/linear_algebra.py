"""Eigenvalues, roots of matrices, and least squares, as optax's root has them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.compat.optax import tree
from gdjax.core.rule import errors, numerics

__all__ = ["matrix_inverse_pth_root", "nnls", "power_iteration"]

HIGHEST = jax.lax.Precision.HIGHEST


def power_iteration(
    matrix: Any,
    *,
    v0: Any = None,
    num_iters: int = 100,
    error_tolerance: Any = 1e-6,
    precision: Any = HIGHEST,
    key: Any = None,
) -> tuple[jax.Array, Any]:
    """Finds the eigenvalue of largest absolute value, and its eigenvector.

        v ← A·v / ‖A·v‖,   λ = ⟨v, A·v⟩,   until |λ − λ_before| ≤ tol·|λ|

    >>> import jax.numpy as jnp
    >>> f"{power_iteration(jnp.diag(jnp.array([1.0, -3.0])))[0]:.3f}"
    '-3.000'

    Args:
        matrix: A, [n, n], or a function v → A·v.
        v0: The vector to start from, a tree if `matrix` is a function; random by default.
        num_iters: The most steps to take.
        error_tolerance: tol ≥ 0.
        precision: Of the product with a matrix.
        key: For the random start; `jax.random.PRNGKey(0)` by default.

    Returns:
        λ, [], and v, of norm 1.

    Raises:
        ValueError: `matrix` is a function, and there is no `v0`.
    """
    if callable(matrix):
        if v0 is None:
            errors.fail("power_iteration", "a function needs v0 to start from", v0)
        product = matrix
    else:
        a = numerics.wide(matrix)
        product = lambda v: jnp.matmul(a, v, precision=precision)
        if v0 is None:
            key = jax.random.PRNGKey(0) if key is None else key
            v0 = jax.random.uniform(key, a.shape[-1:], a.dtype, -1, 1)

    def unit(v):
        length = tree.norm(v)
        return jax.tree.map(lambda x: numerics.safe_divide(x, length.astype(x.dtype)), v)

    def step(search):
        i, v, image, value, _ = search
        v = unit(image)
        image = product(v)
        return i + 1, v, image, tree.vdot(v, image), value

    def going(search):
        i, _, _, value, before = search
        return (i < num_iters) & ~(jnp.abs(value - before) <= error_tolerance * jnp.abs(value))

    v = unit(v0)
    image = product(v)
    value = tree.vdot(v, image)
    start = jnp.int32(0), v, image, value, jnp.full_like(value, jnp.inf)
    _, v, _, value, _ = jax.lax.while_loop(going, step, start)
    return value, v


def matrix_inverse_pth_root(
    matrix: Any,
    p: int,
    num_iters: int = 100,
    ridge_epsilon: Any = 1e-6,
    error_tolerance: Any = 1e-6,
    precision: Any = HIGHEST,
) -> tuple[jax.Array, jax.Array]:
    """Takes the root A^(−1/p) of a symmetric matrix by coupled Newton iterations.

        A ← A + ridge_epsilon·λ_max·I,   z = (1 + p) / (2‖A‖),   M = z·A,   H = z^(1/p)·I
        T = ((1 + p)·I − M) / p,   M ← Tᵖ·M,   H ← H·T,   until |M − I| is small or grows

    >>> import jax.numpy as jnp
    >>> root, error = matrix_inverse_pth_root(jnp.diag(jnp.array([16.0, 81.0])), 4)
    >>> print(jnp.array_str(root, precision=3))
    [[0.5   0.   ]
     [0.    0.333]]

    Args:
        matrix: A, [n, n], symmetric, no eigenvalue < 0.
        p: An integer > 0.
        num_iters: The most steps to take.
        ridge_epsilon: What is added to the eigenvalues, relative to the largest.
        error_tolerance: The largest entry of |M − I| to stop at.
        precision: Of the products.

    Returns:
        The root, [n, n], 0 for a matrix of zeros; and the error, [].

    Reference: Higham, Functions of matrices: theory and computation, 2008,
        https://doi.org/10.1137/1.9780898717778
    """
    a = numerics.wide(matrix)
    eye = jnp.eye(a.shape[0], dtype=a.dtype)
    top, _ = power_iteration(a, num_iters=100, error_tolerance=1e-6, precision=precision)
    a = a + numerics.weak(ridge_epsilon) * jnp.maximum(top, 0) * eye
    z = numerics.safe_divide(jnp.asarray((1 + p) / 2, a.dtype), numerics.norm(a))

    def times(x, y):
        return jnp.matmul(x, y, precision=precision)

    def error_of(m):
        return jnp.max(jnp.abs(m - eye))

    def step(state):
        i, m, h, error, _ = state
        t = ((1 + p) * eye - m) / p
        power = t
        for _ in range(p - 1):
            power = times(power, t)
        m = times(power, m)
        return i + 1, m, times(h, t), error_of(m), error

    def going(state):
        i, _, _, error, before = state
        return (i < num_iters) & (error > error_tolerance) & (error < 1.2 * before)

    m, h = z * a, jnp.where(z > 0, jnp.where(z > 0, z, 1) ** (1.0 / p), 0) * eye
    error = error_of(m)
    start = jnp.int32(0), m, h, error, jnp.full_like(error, jnp.inf)
    _, _, h, error, _ = jax.lax.while_loop(going, step, start)
    return h, error


def nnls(A: Any, b: Any, iters: int, unroll: int | bool = 1, L: Any = None) -> jax.Array:  # noqa: N803
    """Solves least squares without negative unknowns by accelerated projected gradients.

        min ‖A·x − b‖²,   x ≥ 0
        x⁺ = max(y − Aᵀ(A·y − b) / L, 0),   y = x⁺ + (t − 1) / t⁺·(x⁺ − x),   t⁺ = ½(1 + √(1 + 4t²))

    >>> import jax.numpy as jnp
    >>> x = nnls(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([5.0, 6.0]), 1000)
    >>> print(jnp.array_str(x, precision=2))
    [0.  1.7]

    Args:
        A: [m, n].
        b: [m] or [m, k].
        iters: The number of steps.
        unroll: As in `jax.lax.scan`.
        L: A bound on the largest eigenvalue of AᵀA; computed by default.

    Returns:
        x, [n] or [n, k].

    Reference: Polyak, Projected gradient method for non-negative least square, 2015,
        https://doi.org/10.1090/conm/636
    """
    a, b = numerics.wide(A), numerics.wide(b)
    gram = jnp.matmul(a.T, a, precision=HIGHEST)
    right = jnp.matmul(a.T, b, precision=HIGHEST)
    bound = jnp.linalg.eigvalsh(gram)[-1] if L is None else jnp.asarray(L, a.dtype)

    def step(state, _):
        x, y, t = state
        slope = jnp.matmul(gram, y, precision=HIGHEST) - right
        after = jnp.maximum(y - numerics.safe_divide(slope, bound), 0)
        t_after = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
        return (after, after + (t - 1) / t_after * (after - x), t_after), None

    x = jnp.zeros_like(right)
    (x, _, _), _ = jax.lax.scan(step, (x, x, jnp.ones([], a.dtype)), length=iters, unroll=unroll)
    return x
