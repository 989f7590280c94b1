"""Orthogonalization of matrices, as in Muon: Newton–Schulz, Polar Express, SVD, QDWH."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps

__all__ = ["orthogonalize"]


@transformation
def orthogonalize(
    backend: Any = "standard",
    steps: int = 5,
    eps: NonNegative = 1e-8,
    *,
    gram: bool = False,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Orthogonalizes each matrix (Newton–Schulz): G = U·S·Vᵀ becomes approximately U·Vᵀ.

        X₀ = G / (‖G‖ + eps),    X ← a·X + b·(XXᵀ)·X + c·(XXᵀ)²·X,    u = X after all steps

    After momentum this is Muon.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.1]])
    >>> gd.orthogonalize("svd").update(g, gd.EmptyState())[0]
    Array([[ 1.,  0.],
           [ 0., -1.]], dtype=float32)
    >>> muon = gd.chain(gd.ema(0.95), gd.orthogonalize("polar_express", 6), gd.scale_by_shape())

    Args:
        backend: The iteration: "standard" gives singular values between 0.7 and 1.2; "dion" (five
            steps), "classical", "polar_express" (accurate in 8 steps), "cans" (cubic, with 2/3 of
            the work of other steps: 7 give values between 0.7 and 1.3, 10 are accurate),
            "deepseek" (10); (a, b, c) or a triple for each step; or exact: "svd", "qdwh".
        steps: Steps of the iteration, if the backend does not set them.
        eps: In the units of the gradient.
        gram: Whether to iterate on XXᵀ alone, for matrices at least twice as long as wide. For
            matrices four times as long as wide that is about half the work; singular values below
            about 10⁻³ of the largest are less accurate.
        dtype: Dtype of X and of its products, such as `jnp.bfloat16`; norms, sums and u stay
            float32. The polynomials of "polar_express" and "cans" are then for singular values up
            to 1.01, not 1. None for the dtype of the gradient, float32 or wider. Not for exact
            backends.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: Unknown backend; an array of more than two axes without `matrix_axes`; a dtype
            with an exact backend, or a real dtype for complex matrices.
        TypeError: The dtype is not a floating-point dtype.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/; Amsel et al., The Polar Express, 2025,
        https://arxiv.org/abs/2505.16932; Grishina, Smirnov and Rakhuba, Accelerating Newton-Schulz
        iteration for orthogonalization via Chebyshev-type polynomials, 2025,
        https://arxiv.org/abs/2506.10935
    """
    how = polar_steps("orthogonalize", "backend", backend, steps, dtype)

    def leaf(g):
        return polar.polar_factor(g, how, eps, gram=gram, dtype=dtype)

    def update(updates, state, params=None, **extra):
        return matrices.map(leaf, updates, axes=matrix_axes, where="orthogonalize"), state

    return lambda params: EmptyState(), update
