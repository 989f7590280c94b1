"""Adafactor: RMSProp with second moments factored into rows and columns."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import get_abstract_mesh

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, Positive
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import numerics, tree
from gdjax.core.rule.numerics import abs_sq, ema, increment, safe_divide, safe_sqrt, zero_count
from gdjax.core.rule.roles import Count, Factor, MeanSquare
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import decay_weights
from gdjax.transforms.momentum import ema as average
from gdjax.transforms.norms import scale_by_param_block_rms, shorten

__all__ = ["FactoredState", "adafactor", "power_decay_rate", "scale_by_factored_rms"]


def _names(spec: Any, axis: int) -> tuple[str, ...]:
    """The `shard_map` axes over which an axis of an array is split; none outside `shard_map`."""
    names = spec[axis] if spec is not None and axis < len(spec) else None
    names = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in names if name in get_abstract_mesh().manual_axes)


def _whole(shape: tuple[int, ...], spec: Any) -> tuple[int, ...]:
    """The global shape of an array, from the shape of one device's shard."""
    mesh = get_abstract_mesh()
    split = [[mesh.shape[name] for name in _names(spec, axis)] for axis in range(len(shape))]
    return tuple(n * math.prod(devices) for n, devices in zip(shape, split))


def _total(part: Any, names: tuple[str, ...]) -> Any:
    """The sum over devices."""
    return lax.psum(part, names) if names else part


def longest_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """The two longest of two or more axes, the longest last."""
    *_, second, longest = (int(axis) for axis in np.argsort(shape, kind="stable"))
    return second, longest


def factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The axes that are factored; None if fewer than two are at least `least` long."""
    if len(shape) < 2:
        return None
    second, longest = longest_axes(shape)
    return (second, longest) if shape[second] >= least else None


def mean_over(x: jax.Array, axis: int, spec: Any = None) -> jax.Array:
    """Mean over an axis, which is kept with length 1."""
    total = _total(jnp.sum(x, axis, keepdims=True), _names(spec, axis))
    return total / _whole(x.shape, spec)[axis]


def factors_like(
    params: Any, least: int, factored: bool = True, spec: Any = None
) -> tuple[Any, Any, Any]:
    """Zeros for the row and column means of factored arrays, and for the squares of others."""
    squares = tree.square_like(params)

    def axes_of(p: jax.Array) -> tuple[int, int] | None:
        return factored_axes(_whole(p.shape, spec), least) if factored else None

    def without(p: jax.Array, which: int) -> jax.Array | None:
        axes = axes_of(p)
        return None if axes is None else jnp.sum(p, axes[which])  # zeros, sharded like p

    rows = jax.tree.map(lambda p: without(p, 1), squares)
    columns = jax.tree.map(lambda p: without(p, 0), squares)
    return rows, columns, jax.tree.map(lambda p: p if axes_of(p) is None else None, squares)


def update_means(
    g: jax.Array, r: Any, c: Any, v: Any, decay: Any, eps: Any, spec: Any = None
) -> tuple[Any, ...]:
    """Updates the means with |g|² + ε: row and column means r and c of a matrix, or v.

    Returns the factors of the root of the estimate, r·c / mean(r) or v, and the means. The product
    is not computed, since it underflows where its root does not.
    """
    if v is not None:
        v = ema(v, abs_sq(g) + eps, decay)
        return (safe_sqrt(v),), None, None, v
    row, column = longest_axes(_whole(g.shape, spec))  # rows are indexed by the first
    of_rows, of_columns = abs_sq(g), abs_sq(numerics.read_again(g))
    r = ema(jnp.expand_dims(r, column), mean_over(of_rows, column, spec) + eps, decay)
    c = ema(jnp.expand_dims(c, row), mean_over(of_columns, row, spec) + eps, decay)
    roots = safe_sqrt(safe_divide(r, mean_over(r, row, spec))), safe_sqrt(c)
    return roots, jnp.squeeze(r, column), jnp.squeeze(c, row), None


def divide(g: jax.Array, roots: tuple[jax.Array, ...]) -> jax.Array:
    """Divides g by the product of roots. Where a root is 0, so is g, and the quotient is 0."""
    product = functools.reduce(operator.mul, (jnp.where(root == 0, 1, root) for root in roots))
    return g / product.astype(g.dtype)


def divide_and_clip(
    g: jax.Array, roots: tuple[jax.Array, ...], threshold: Any, spec: Any = None
) -> jax.Array:
    """As `divide`, clipped to a root mean square (RMS) of at most `threshold`."""
    # Dividing twice is cheaper than storing the quotient and reading it for the RMS and the clip.
    again = divide(*numerics.read_again((g, roots)))
    names = [name for axis in range(g.ndim) for name in _names(spec, axis)]
    square = _total(jnp.sum(abs_sq(again)), tuple(names))
    square = square / max(math.prod(_whole(g.shape, spec)), 1)
    return shorten(divide(g, roots), safe_sqrt(square), threshold)


def power_decay_rate(step: Any, exponent: Any) -> Any:
    """Adafactor's decay of the second moment in a step: 1 − (step + 1)^−exponent.

    >>> import gdjax as gd
    >>> [round(gd.power_decay_rate(step, 0.8), 3) for step in (0, 1, 9)]
    [0.0, 0.426, 0.842]
    """
    return 1 - (step + 1) ** -exponent


# The shape of a parameter without its longest axis, and without its second longest one.
RowMeans = Annotated[Any, Factor(lambda shape: longest_axes(shape)[1])]
ColumnMeans = Annotated[Any, Factor(lambda shape: longest_axes(shape)[0])]


class FactoredState(NamedTuple):
    """State of `scale_by_factored_rms`; None in the fields that a leaf does not use."""

    count: Count
    v_row: RowMeans
    v_col: ColumnMeans
    v: MeanSquare  # of arrays that are not factored


@transformation
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: NonNegative = 0.8,
    step_offset: NonNegative = 0,
    min_dim_size_to_factor: int = 128,
    eps: NonNegative = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = power_decay_rate,
    *,
    clipping_threshold: Positive | None = None,
    spec: Any = None,
):
    """Adafactor scaling: gradient over the root of a second moment factored into row and column.

        β = 1 − t^−0.8
        R ← β·R + (1 − β)·mean over columns (|g|² + ε)
        C ← β·C + (1 − β)·mean over rows (|g|² + ε)
        V = R·Cᵀ / mean(R)                        u = g / √V,    û = u / max(1, RMS(u)/d)
        otherwise: V ← β·V + (1 − β)·(|g|² + ε)

    An array of more axes is factored along its two longest ones.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.scale_by_factored_rms().init(jnp.ones([200, 300]))
    >>> jax.tree.map(jnp.shape, state)
    FactoredState(count=(), v_row=(200,), v_col=(300,), v=None)

    Args:
        factored: False keeps the squares of every entry.
        decay_rate: The exponent of t, or another second argument of `decay_rate_fn`.
        step_offset: Number of steps taken before; t counts from there.
        min_dim_size_to_factor: Both axes must be at least this long.
        eps: ε ≥ 0, in the units of the squared gradient. With 0, u is 0 where V is.
        decay_rate_fn: Function of the step, counted from 0, and `decay_rate` that returns β.
        clipping_threshold: d > 0, the largest root mean square of the updates of an array; None
            for no clipping. `clip_by_block_rms` after this rule does the same with more memory
            traffic.
        spec: Inside `shard_map`, the `PartitionSpec` by which arrays are split, as in its
            `in_specs`; arrays of fewer axes use its first entries. Means are then of whole arrays.

    Reference: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost,
        2018, https://arxiv.org/abs/1804.04235
    """

    def init(params):
        return FactoredState(
            zero_count(), *factors_like(params, min_dim_size_to_factor, factored, spec)
        )

    def update(updates, state, params=None, **extra):
        step = jnp.maximum(numerics.weak(state.count.astype(float)) - step_offset, 0)
        decay = numerics.weak(decay_rate_fn(step, decay_rate))

        def leaf(g, r, c, v):
            roots, r, c, v = update_means(g, r, c, v, decay, eps, spec)
            if clipping_threshold is None:
                return divide(g, roots), r, c, v
            return divide_and_clip(g, roots, clipping_threshold, spec), r, c, v

        trees = updates, state.v_row, state.v_col, state.v
        updates, *means = tree.evolve(leaf, trees)
        return updates, FactoredState(increment(state.count), *means)

    return init, update


@transformation(kind="optimizer")
def adafactor(
    learning_rate: LearningRate | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: NonNegative = 0.8,
    decay_offset: NonNegative = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Positive | None = 1.0,
    momentum: Decay | None = None,
    mu_dtype: Any = None,
    weight_decay_rate: NonNegative | None = None,
    eps: NonNegative = 1e-30,
    factored: bool = True,
    mask: Mask = None,
    *,
    spec: Any = None,
):
    """Adafactor: RMSProp with factored second moments and relative step sizes.

        û = u / max(1, RMS(u)/d),    u = g / √(R·Cᵀ / mean(R))
        m ← μ·m + (1 − μ)·η·max(10⁻³, RMS(θ))·û
        θ ← θ − m − ηλθ

    The paper has no weight decay; here it is scaled by the rate, as in AdamW: at zero gradients the
    weights are multiplied by exactly 1 − ηλ. The rate is applied before the momentum.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, w = gd.adafactor(0.1), jnp.array([3.0, -4.0])
    >>> tx.update(jnp.array([7.0, -0.1]), tx.init(w), w)[0].round(4)
    Array([-0.3536,  0.3536], dtype=float32)

    Args:
        learning_rate: η ≥ 0, a fraction of the size of the weights; None for 1. The paper's is
            min(10⁻², 1/√t).
        min_dim_size_to_factor: Both axes of a matrix must be at least this long.
        decay_rate: Exponent a of the decay 1 − t^−a of the second moment.
        decay_offset: Number of steps taken before; t counts from there.
        multiply_by_parameter_scale: False makes η absolute, in the units of the parameters.
        clipping_threshold: d > 0; None does not clip.
        momentum: μ in [0, 1); None keeps no average.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay_rate: λ ≥ 0; None for no decay.
        eps: Added to the squared gradient.
        factored: False keeps the squares of every entry.
        mask: Which parameters decay; see `add_decayed_weights`.
        spec: How arrays are split inside `shard_map`; see `scale_by_factored_rms`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost,
        2018, https://arxiv.org/abs/1804.04235
    """
    rate = 1.0 if learning_rate is None else learning_rate
    parts = [
        scale_by_factored_rms(
            factored,
            decay_rate,
            decay_offset,
            min_dim_size_to_factor,
            eps,
            clipping_threshold=clipping_threshold,
            spec=spec,
        )
    ]
    if multiply_by_parameter_scale:
        over = None if spec is None else tuple(jax.tree.leaves(tuple(spec)))
        parts.append(scale_by_param_block_rms(axis_name=over))
    parts.append(scale_by_learning_rate(rate))
    if momentum is not None:
        parts.append(average(momentum, debias=False, mu_dtype=mu_dtype))
    if weight_decay_rate is not None:
        parts.append(decay_weights(rate * weight_decay_rate, mask))
    return chain(*parts)
