"""Matrices become orthogonal: the part that makes Muon of a momentum."""

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
    """Puts the nearest orthogonal matrix in the place of each: about U·Vᵀ of G = U·S·Vᵀ.

        X₀ = G / (‖G‖ + eps),    X ← a·X + b·(XXᵀ)·X + c·(XXᵀ)²·X,    u = X after all steps

    Behind a momentum it makes Muon, behind a preconditioner what is better conditioned.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 0.0], [0.0, -0.1]])
    >>> gd.orthogonalize("svd").update(g, gd.EmptyState())[0]
    Array([[ 1.,  0.],
           [ 0., -1.]], dtype=float32)
    >>> muon = gd.chain(gd.ema(0.95), gd.orthogonalize("polar_express", 6), gd.scale_by_shape())

    Args:
        backend: "standard" leaves singular values between 0.7 and 1.2; "dion" (five steps),
            "classical", "polar_express" (8 steps leave nothing to wish), "deepseek" (10); (a, b, c)
            or a triple for each step; or exact: "svd", "qdwh".
        steps: Steps of the iteration, if the backend does not say it.
        eps: In the units of the gradient.
        gram: Whether to form the polynomials of XXᵀ alone, for matrices at least twice as long as
            wide. That is about half the work for four times as long; singular values below about
            10⁻³ of the largest come out less exactly.
        dtype: Dtype of X and of its products, as `jnp.bfloat16`; norms, sums and u stay float32.
            The polynomials of "polar_express" are then for singular values up to 1.01, not 1.
            None for the dtype of the gradient, float32 or wider. Not for exact backends.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: No such backend; an array of more than two axes without axes; a dtype with an
            exact backend, or a real one for complex matrices.
        TypeError: The dtype is not one of floating-point numbers.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/; Amsel et al., The Polar Express, 2025,
        https://arxiv.org/abs/2505.16932
    """
    how = polar_steps("orthogonalize", "backend", backend, steps, dtype)

    def leaf(g):
        return polar.polar_factor(g, how, eps, gram=gram, dtype=dtype)

    def update(updates, state, params=None, **extra):
        return matrices.map(leaf, updates, axes=matrix_axes, where="orthogonalize"), state

    return lambda params: EmptyState(), update
