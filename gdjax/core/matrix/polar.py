"""Polar factors of matrices [..., m, n] (Newton-Schulz or exact); leading singular vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics


def newton_schulz(x: jax.Array, coefficients: Sequence[Sequence[float]]) -> jax.Array:
    """Newton-Schulz iteration: odd polynomials a·σ + b·σ³ + c·σ⁵ of the singular values, in turn.

        x ← (a·I + b·R + c·R²)·x,    R = x·xᴴ

    Args:
        x: [..., m, n], best with m ≤ n; singular values at most about 1. Products are in its dtype.
        coefficients: A triple (a, b, c) for each step. With the number 0 for c a step has two
            products of matrices, else three.
    """

    def step(x: jax.Array, triple: Any) -> tuple[jax.Array, None]:
        return _polynomial(x @ x.mT.conj(), triple) @ x, None

    def unrolled(x: jax.Array) -> jax.Array:
        for triple in coefficients:
            x, _ = step(x, triple)
        return x

    # A loop is slower, except on CPU, where it is as fast and compiles faster.
    if all(map(_is_cubic, coefficients)):
        coefficients = [triple[:2] for triple in coefficients]
    numbers = jnp.asarray(coefficients, jnp.finfo(numerics.wide_dtype(x.dtype)).dtype)
    rolled = lambda x: jax.lax.scan(step, x, numbers)[0]
    return jax.lax.platform_dependent(x, cpu=rolled, default=unrolled)


def _is_cubic(triple: Any) -> bool:
    """Whether c is known to be 0, or left out."""
    return len(triple) == 2 or (isinstance(triple[2], float) and triple[2] == 0)


def _polynomial(gram: jax.Array, triple: Any, precision: Any = None) -> jax.Array:
    """a·I + b·R + c·R², summed in float32 or wider, in the dtype of R."""
    a, b = triple[:2]
    r = numerics.wide(gram)
    one = jnp.broadcast_to(jnp.eye(r.shape[-1], dtype=r.dtype), r.shape)
    p = a * one + b * r
    if not _is_cubic(triple):
        p = p + triple[2] * numerics.wide(jnp.matmul(gram, gram, precision=precision))
    return p.astype(gram.dtype)


def _by_frobenius(x: jax.Array) -> jax.Array:
    return x  # every matrix has Frobenius norm 1 here


def _by_spectral(x: jax.Array) -> jax.Array:
    largest = jnp.linalg.eigvalsh(x @ x.mT.conj())[..., -1:, None]
    return numerics.safe_divide(x, numerics.safe_sqrt(jnp.maximum(largest, 0)).astype(x.dtype))


def _by_schatten(x: jax.Array) -> jax.Array:
    fourth = numerics.norm(x @ x.mT.conj(), (-2, -1), keepdims=True)
    return numerics.safe_divide(x, numerics.safe_sqrt(fourth).astype(x.dtype))


def _by_aol(x: jax.Array) -> jax.Array:
    sums = jnp.sum(jnp.abs(x @ x.mT.conj()), -1, keepdims=True)
    return numerics.safe_divide(x, numerics.safe_sqrt(sums).astype(x.dtype))


# Scalings of matrices of Frobenius norm 1 before the iteration, to spectral norm at most 1.
SCALINGS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "frobenius": _by_frobenius,
    "spectral": _by_spectral,
    "schatten": _by_schatten,
    "aol": _by_aol,
}


def polar_factor(
    x: jax.Array,
    how: Any,
    eps: float = 0.0,
    scaling: str = "frobenius",
    gram: bool = False,
    dtype: Any = None,
) -> jax.Array:
    """The orthogonal polar factor U·Vᵀ of x = U·S·Vᵀ, the nearest orthogonal matrix; 0 for x = 0.

    Args:
        x: [..., m, n].
        how: Triples of a polynomial for each step, see `newton_schulz`; or `svd`, `qdwh`: exact.
        eps: Added to the Frobenius norm by which x is divided first; not for exact methods.
        scaling: One of `SCALINGS`; all but the first need one more matrix product.
        gram: Whether the polynomials are of x·xᵀ alone where that is less work.
        dtype: Dtype of x and of the products in the iteration; None for the dtype of x.

    Raises:
        ValueError: x is complex and the dtype is not.
    """
    m, n = x.shape[-2:]
    if m > n:
        return polar_factor(x.mT.conj(), how, eps, scaling, gram, dtype).mT.conj()
    if dtype is not None and jnp.iscomplexobj(x) and not jnp.issubdtype(dtype, jnp.complexfloating):
        must = f"dtype must be None or complex for a matrix of {x.dtype}"
        errors.fail("polar_factor", must, jnp.dtype(dtype).name)
    size = numerics.norm(x, (-2, -1), keepdims=True)
    if isinstance(how, str):  # of a matrix of norm 1, against overflow
        return _exact(numerics.safe_divide(x, size.astype(x.dtype)), how)
    x = numerics.safe_divide(x, (size + eps).astype(x.dtype))
    run = gram_newton_schulz if gram and n >= 2 * m else newton_schulz
    scaled = SCALINGS[scaling](x)
    return run(scaled if dtype is None else scaled.astype(dtype), how).astype(x.dtype)


def gram_newton_schulz(x: jax.Array, coefficients: Sequence[Sequence[float]]) -> jax.Array:
    """Newton-Schulz iteration on the Gram matrix R = x·xᴴ: x ← p(R)·x, R ← p(R)·R·p(R).

    R is recomputed after every three steps, because its rounding errors grow with x. In 16 bits
    they would grow without bound, so R is float32 or wider for all dtypes of x, and its products
    have at least the precision of TF32, unless JAX is configured otherwise.
    """
    wide = numerics.wide_dtype(x.dtype)
    precision = getattr(jax.config, "jax_default_matmul_precision", None) or "high"
    times = functools.partial(jnp.matmul, precision=precision)
    for start in range(0, len(coefficients), 3):
        steps = coefficients[start : start + 3]
        gram = jnp.matmul(x, x.mT.conj(), preferred_element_type=wide)
        product = _polynomial(gram, steps[0], precision)
        p = product
        for triple in steps[1:]:
            gram = times(times(p, gram), p)
            p = _polynomial(gram, triple, precision)
            product = times(p, product)
        x = product.astype(x.dtype) @ x
    return x


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _exact(x: jax.Array, how: str) -> jax.Array:
    if how == "svd":
        u, s, vt = _svd(x)
        return jnp.where((s > 0)[..., None, :], u, 0) @ vt
    one = lambda y: jax.lax.linalg.qdwh(y, is_hermitian=False)[0]
    for _ in x.shape[:-2]:
        one = jax.vmap(one)
    nothing = jnp.all(x == 0, (-2, -1), keepdims=True)
    tall = jnp.where(nothing, jnp.eye(*x.shape[-2:], dtype=x.dtype), x).mT.conj()
    return jnp.where(nothing, 0, one(tall).mT.conj())


def _svd(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The SVD, with singular values that are rounding errors set to 0."""
    u, s, vt = jnp.linalg.svd(x, full_matrices=False)
    least = s[..., :1] * max(x.shape[-2:]) * jnp.finfo(s.dtype).eps
    return u, jnp.where(s > least, s, 0), vt


@_exact.defjvp
def _exact_jvp(how: str, primals: tuple, tangents: tuple) -> tuple:
    """The derivative, 0 in directions of singular value 0."""
    (x,), (dx,) = primals, tangents
    u, s, vt = _svd(x)
    turned = u.mT.conj() @ dx
    inner = turned @ vt.mT.conj()
    sums = s[..., :, None] + s[..., None, :]
    both = (s[..., :, None] > 0) & (s[..., None, :] > 0)
    spin = jnp.where(both, numerics.safe_divide(inner - inner.mT.conj(), sums.astype(x.dtype)), 0)
    beyond = numerics.safe_divide(turned - inner @ vt, s[..., None].astype(x.dtype))
    return _exact(x, how), u @ (spin @ vt + beyond)


def leading_vectors(x: jax.Array, rank: int) -> jax.Array:
    """The left singular vectors of the largest singular values, [..., m, rank].

    The largest entry of each is positive, so that they do not depend on the backend. They are
    constants for derivatives, which do not exist for equal singular values.
    """
    u = jnp.linalg.svd(jax.lax.stop_gradient(x), full_matrices=False)[0][..., :rank]
    top = jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), -2, keepdims=True), -2)
    return u * jnp.conj(jnp.sign(top))
