"""Scion: stochastic Frank-Wolfe steps in layer-wise norm balls, by linear minimization oracles."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import safe_divide
from gdjax.params.rules import label
from gdjax.transforms import momentum
from gdjax.transforms.basic import scale, scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import in_place, length, rms, unit
from gdjax.wrappers.select.masked import partition

__all__ = ["scale_by_lmo", "scion", "unconstrained_scion"]

NORMS = ("spectral", "sign", "rows", "columns", "rms")
EMBEDDINGS = r"(?i).*embed.*|emb|wte|wpe|vocab.*"


def _rule(norm: str, how: Any, eps: Any, dtype: Any) -> Any:
    """The linear minimization oracle for a stack [..., in, out]."""
    side = lambda x, axis: max(x.shape[axis], 1) ** 0.5
    orthogonal = lambda x: polar.polar_factor(x, how, eps, dtype=dtype)
    return {
        "spectral": lambda x: side(x, -1) / side(x, -2) * orthogonal(x),
        "sign": lambda x: safe_divide(x, jnp.abs(x).astype(x.dtype)) / side(x, -2) ** 2,
        "rows": lambda x: side(x, -1) * unit(x, length(x, -1)),
        "columns": lambda x: unit(x, length(x, -2)) / side(x, -2),
        "rms": lambda x: unit(x, rms(x)),
    }[norm]


@transformation
def scale_by_lmo(
    norm: str = "spectral",
    backend: Any = "standard",
    steps: int = 5,
    eps: NonNegative = 1e-8,
    *,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Linear minimization oracle (LMO) of a unit norm ball, applied to each matrix [in, out].

        u = argmax ⟨g, u⟩ of ‖u‖ ≤ 1
        "spectral":  u = √(out/in)·U·Vᵀ of g = U·S·Vᵀ    maps between layers of rms 1
        "sign":      u = sign(g) / in                    the last layer, for the largest output
        "columns":   u_j = g_j / (√in·‖g_j‖)             of each column: the last layer too
        "rows":      u_i = √out·g_i / ‖g_i‖              of each row: a table of embeddings
        "rms":       u = g / RMS(g)                      vectors

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, -0.1], [4.0, 0.0]])
    >>> gd.scale_by_lmo("sign").update(g, gd.EmptyState())[0]
    Array([[ 0.5, -0.5],
           [ 0.5,  0. ]], dtype=float32)

    Args:
        norm: One of the names above.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        eps: In the units of the updates; for "spectral".
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: Unknown norm or backend; an array of more than two axes without `matrix_axes`.

    Reference: Pethick et al., Training deep learning models with norm-constrained LMOs, 2025,
        https://arxiv.org/abs/2502.07529
    """
    where = "scale_by_lmo"
    if norm not in NORMS:
        errors.fail(where, f"norm must be one of {', '.join(NORMS)}", norm)
    leaf = _rule(norm, polar_steps(where, "backend", backend, steps, dtype), eps, dtype)

    def update(updates, state, params=None, **extra):
        evolve = matrices.evolve if norm == "spectral" else in_place
        return evolve(leaf, (updates,), axes=matrix_axes, where=where)[0], state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def scion(
    learning_rate: LearningRate,
    decay: Decay = 0.9,
    radius: NonNegative = 50.0,
    head_radius: NonNegative = 3000.0,
    norms: Any = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    eps: NonNegative = 1e-8,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Scion: stochastic Frank-Wolfe steps in a norm ball for each layer.

        d ← β·d + (1 − β)·g
        W ← (1 − η)·W − η·ρ·lmo(d)

    where lmo is `scale_by_lmo`. The weights never leave the ball of radius ρ. It is a chain of
    momentum, the lmo, the factor ρ, and weight decay equal to the learning rate.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.array([1.0, -7.0])}
    >>> tx = gd.scion(1.0, radius=2.0, backend="svd")
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> gd.apply_updates(params, updates)["w"].round(4) + 0.0
    Array([[-2.,  0.],
           [ 0., -2.]], dtype=float32)

    Args:
        learning_rate: η in [0, 1]. The paper has 2⁻¹² for a language model, and lets it sink to 0.
        decay: β in [0, 1); 1 − β is the paper's momentum.
        radius: ρ ≥ 0 of all parameters but heads.
        head_radius: ρ ≥ 0 of parameters with the norm "sign" or "columns".
        norms: The norm of each parameter, in the form of labels of `gdjax.label`:
            `by_label(sign="head", rows="embed", spectral="matrices", rms=True)`. By default
            "spectral" for matrices, "rows" for embeddings and "sign" for heads, recognized by name
            (`embed`, `wte`, `head`, `lm_head`), and "rms" for vectors. Treat an embedding that is
            also the head as a head.
        mu_dtype: Dtype in which d is kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        eps: In the units of the gradient.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_lmo`.

    A stochastic Frank–Wolfe method.

    Reference: Pethick et al., Training deep learning models with norm-constrained LMOs, 2025,
        https://arxiv.org/abs/2502.07529
    """
    mean = momentum.ema(decay, False, mu_dtype)
    oracles = _oracles(radius, head_radius, norms, (backend, steps, eps), dtype, matrix_axes)
    return chain(mean, oracles, add_decayed_weights(1.0), scale_by_learning_rate(learning_rate))


@transformation(kind="optimizer")
def unconstrained_scion(
    learning_rate: LearningRate,
    decay: Decay = 0.9,
    radius: NonNegative = 50.0,
    head_radius: NonNegative = 3000.0,
    norms: Any = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    eps: NonNegative = 1e-8,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Unconstrained Scion: steepest descent in a norm for each layer, without a ball.

        d ← β·d + (1 − β)·g
        W ← W − η·ρ·lmo(d)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"head": jnp.array([[3.0, -1.0], [2.0, 0.1]])}
    >>> tx = gd.unconstrained_scion(1.0, head_radius=2.0)
    >>> tx.update(params, tx.init(params), params)[0]["head"]
    Array([[-1.,  1.],
           [-1., -1.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        decay: β in [0, 1).
        radius: ρ ≥ 0 of all parameters but heads.
        head_radius: ρ ≥ 0 of parameters with the norm "sign" or "columns".
        norms: The norm of each parameter, see `scion`.
        mu_dtype: Dtype in which d is kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        eps: In the units of the gradient.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: See `scale_by_lmo`.

    Reference: Pethick et al., Training deep learning models with norm-constrained LMOs, 2025,
        https://arxiv.org/abs/2502.07529
    """
    mean = momentum.ema(decay, False, mu_dtype)
    oracles = _oracles(radius, head_radius, norms, (backend, steps, eps), dtype, matrix_axes)
    return chain(mean, oracles, scale_by_learning_rate(learning_rate))


def _oracles(
    radius: Any, head_radius: Any, norms: Any, how: tuple, dtype: Any, matrix_axes: Any
) -> Any:
    """A partition of the parameters: for each the oracle of its norm."""

    def chosen(params):
        return _by_name(params, matrix_axes) if norms is None else label(params, norms, "scion")

    radii = {norm: head_radius if norm in ("sign", "columns") else radius for norm in NORMS}
    lmo = lambda norm: scale_by_lmo(norm, *how, dtype=dtype, matrix_axes=matrix_axes)
    parts: dict[str, Any] = {norm: chain(lmo(norm), scale(rho)) for norm, rho in radii.items()}
    return partition(chosen, **parts)


def _by_name(params: Any, matrix_axes: Any) -> Any:
    """Norms by name and shape: hidden matrices, embeddings, heads, vectors."""
    hidden = jax.tree.leaves(matrices.is_matrix(params, matrix_axes, "scion"))
    leaves, treedef = jax.tree.flatten(params)
    labels = []
    for x, is_hidden, path in zip(leaves, hidden, tree.paths(params)):
        table = any(re.fullmatch(EMBEDDINGS, word) for word in path.split("/"))
        other = "rows" if table else "sign"
        labels.append("spectral" if is_hidden else other if jnp.ndim(x) > 1 else "rms")
    return treedef.unflatten(labels)
