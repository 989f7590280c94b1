"""Muon: momentum whose singular values are all made one, for matrices; AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core import errors, linalg, numerics, tree
from gdjax.core.base import EmptyState, transformation
from gdjax.core.chain import chain
from gdjax.core.numerics import debias, ema, increment, zero_count
from gdjax.core.polar import POLYNOMIALS, STANDARD, polynomials
from gdjax.core.ranges import Decay, NonNegative
from gdjax.optimizers.adam import adamw
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.wrappers.masking import partition

if TYPE_CHECKING:
    import chex

__all__ = ["MuonDimensionNumbers", "MuonState", "muon", "scale_by_muon", "scale_by_shape"]


class MuonDimensionNumbers(NamedTuple):
    """Which axes of an array are the two sides of a matrix; the other axes number matrices."""

    reduction_axis: int | Sequence[int] = 0  # summed over with the inputs
    output_axis: int | Sequence[int] = 1


class MuonState(NamedTuple):
    """State of `scale_by_muon`."""

    count: chex.Array  # [] int32
    mu: chex.ArrayTree  # like params, float32 or wider: mean of the gradients


def numbers_of(numbers: Any, params: Any) -> tuple[list[Any], list[Any], Any]:
    """The leaves, for each the dimension numbers or None, and the structure.

    `numbers` are such numbers for all, a tree of them like the parameters, a function that makes
    one of the parameters, or None: then what has two axes is a matrix.
    """
    leaves, treedef = jax.tree.flatten(params, is_leaf=lambda x: x is None)
    if callable(numbers):
        numbers = numbers(params)
    if numbers is None:
        matrix = lambda x: x is not None and jnp.ndim(x) == 2
        found = [MuonDimensionNumbers() if matrix(x) else None for x in leaves]
    elif hasattr(numbers, "reduction_axis"):
        found = [numbers] * len(leaves)
    else:
        found = treedef.flatten_up_to(numbers)
    fitting = [n if tree.differentiable(x) else None for x, n in zip(leaves, found)]
    return leaves, fitting, treedef


def _by_matrix(leaf: Callable[..., Any], updates: Any, params: Any, numbers: Any) -> Any:
    """Applies a rule of an array and its dimension numbers; a vector is a matrix of one column."""
    found = numbers_of(numbers, updates if params is None else params)[1]
    leaves, treedef = jax.tree.flatten(updates, is_leaf=lambda x: x is None)

    def one(g: Any, n: Any) -> Any:
        if not tree.differentiable(g):
            return g
        g = numerics.wide(g)
        if n is None and g.ndim > 1:
            must = "an array of more than two axes must have dimension numbers"
            errors.fail("scale_by_muon", must, f"shape {g.shape}")
        if n is None:
            return leaf(g.reshape(-1, 1), MuonDimensionNumbers()).reshape(g.shape)
        return leaf(g, n)

    return treedef.unflatten([one(g, n) for g, n in zip(leaves, found)])


@transformation
def scale_by_muon(
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
):
    """Puts an orthogonal matrix in the place of each: nearly U·Vᵀ of its mean, U·S·Vᵀ.

        m ← β·m + (1 − β)·g
        m̂ = m / (1 − βᵗ)    with nesterov: m̂ = (β·m + (1 − β)·g) / (1 − βᵗ⁺¹)
        X₀ = m̂ / (‖m̂‖ + eps),    X ← a·X + (b·XXᵀ + c·(XXᵀ)²)·X,    u = X₅
        adaptive: u = ⟨m̂, X₅⟩·X₅

    Vectors and scalars are matrices of one column: u is about m̂/‖m̂‖.

    Args:
        ns_coeffs: (a, b, c); or a triple for each step, then `ns_steps` is not used; or the name
            of some: "standard", which leaves singular values between 0.7 and 1.2, "dion" (five
            steps), "classical", "polar_express" (8 steps leave nothing to wish), "deepseek" (10).
        ns_steps: Number of steps.
        beta: β in [0, 1).
        eps: In the units of the gradient.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Looks one step of momentum ahead.
        adaptive: Scales u by the nuclear norm of m̂, so that it is as long as gradients are.
        preconditioning: How X₀ is scaled: by its "frobenius", "spectral" or "schatten" (4) norm,
            or its rows by "aol".
        weight_dimension_numbers: `MuonDimensionNumbers` of all, a tree of them, or a function
            that makes one of the parameters; None for matrices of two axes.

    Raises:
        ValueError: No such coefficients or preconditioning; an array of more than two axes
            without dimension numbers.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/
    """
    steps = _coefficients(ns_coeffs, ns_steps)
    if preconditioning not in linalg.SCALINGS:
        must = f"preconditioning must be one of {', '.join(linalg.SCALINGS)}"
        errors.fail("scale_by_muon", must, preconditioning)

    def orthogonal(m, numbers):
        x, restore = linalg.wide_stack(m, *numbers)
        u = linalg.polar_factor(x, steps, eps, preconditioning)
        if adaptive:
            dual = jnp.sum(jnp.real(jnp.conj(x) * u), (-2, -1), keepdims=True)
            u = u * dual.astype(u.dtype)
        return restore(u)

    def init(params):
        return MuonState(zero_count(), tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = debias(beta, increment(t) if nesterov else t)

        def leaf(g, m):
            m = ema(m, g, beta)
            return (ema(m, g, beta) if nesterov else m) / c, m

        means, mu = tree.evolve(leaf, (updates, state.mu))
        updates = _by_matrix(orthogonal, means, params, weight_dimension_numbers)
        return updates, MuonState(t, mu)

    return init, update


def _coefficients(given: Any, steps: int) -> list[tuple[float, ...]]:
    if isinstance(given, str):
        if given not in POLYNOMIALS:
            must = f"ns_coeffs must be numbers or one of {', '.join(POLYNOMIALS)}"
            errors.fail("scale_by_muon", must, given)
        given = polynomials(given, steps)
    triples = list(given) if isinstance(given[0], Sequence) else [given] * steps
    if not all(len(triple) == 3 for triple in triples):
        errors.fail("scale_by_muon", "ns_coeffs must be triples (a, b, c)", given)
    return [tuple(map(float, triple)) for triple in triples]


@transformation
def scale_by_shape(weight_dimension_numbers: Any = None, consistent_rms: NonNegative | None = None):
    """Scales orthogonal updates of matrices [in, out] to change outputs, or entries, alike.

        u = g · √max(1, out/in)           outputs change alike: the default
        u = g · r·√max(in, out)           entries of root mean square r, as with AdamW for r = 0.2

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones((1, 4))
    >>> gd.scale_by_shape().update(params, gd.EmptyState(), params)[0]
    Array([[2., 2., 2., 2.]], dtype=float32)

    Args:
        weight_dimension_numbers: As in `scale_by_muon`.
        consistent_rms: r ≥ 0.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/; Liu et al., Muon is scalable for LLM training,
        2025, https://arxiv.org/abs/2502.16982
    """

    def leaf(g, numbers):
        rows, columns = linalg.shape_of(g.shape, *numbers)
        if consistent_rms is None:
            return g * max(1, columns / max(rows, 1)) ** 0.5
        return consistent_rms * g * max(rows, columns) ** 0.5

    def update(updates, state, params=None, **extra):
        return _by_matrix(leaf, updates, params, weight_dimension_numbers), state

    return lambda params: EmptyState(), update


@transformation
def muon(
    learning_rate: NonNegative,
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: NonNegative = 0.0,
    adam_learning_rate: NonNegative | None = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: NonNegative | None = None,
):
    """Moves matrices along the orthogonal factor of their momentum, all else by AdamW.

        W ← W − η·(√max(1, out/in)·U·Vᵀ + λW),    U·S·Vᵀ = mean gradient

    Embeddings and the last layer, matrices too, do better with AdamW: leave them out by
    `muon_weight_dimension_numbers`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.muon(1.0, "dion")
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(1) + 0.0
    Array([[-1.,  0.],
           [ 0., -1.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        ns_coeffs: See `scale_by_muon`.
        ns_steps: Steps of the iteration.
        beta: Decay of the mean gradient, in [0, 1).
        eps: In the units of the gradient; AdamW's too.
        weight_decay: λ ≥ 0, of the matrices.
        weight_decay_mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        nesterov: Looks one step of momentum ahead.
        adaptive: Scales the step by the nuclear norm of the mean gradient.
        preconditioning: See `scale_by_muon`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_eps_root: Added under AdamW's root.
        adam_weight_decay: Decay of the other weights.
        adam_learning_rate: AdamW's rate; None for the same.
        muon_weight_dimension_numbers: `MuonDimensionNumbers` of each matrix, None for what is
            left to AdamW: a tree like the parameters, or a function that makes it of them. None
            for what has two axes.
        consistent_rms: Root mean square of the entries of U·Vᵀ; see `scale_by_shape`.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_muon`.

    Reference: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024,
        https://kellerjordan.github.io/posts/muon/
    """
    numbers = muon_weight_dimension_numbers
    matrices = chain(
        scale_by_muon(
            ns_coeffs,
            ns_steps,
            beta,
            eps,
            mu_dtype,
            nesterov=nesterov,
            adaptive=adaptive,
            preconditioning=preconditioning,
            weight_dimension_numbers=numbers,
        ),
        scale_by_shape(numbers, consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    others = adamw(
        learning_rate if adam_learning_rate is None else adam_learning_rate,
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        weight_decay_mask,
    )

    def label(params):
        _, found, treedef = numbers_of(numbers, params)
        return treedef.unflatten(["adam" if n is None else "muon" for n in found])

    return partition(label, muon=matrices, adam=others)
