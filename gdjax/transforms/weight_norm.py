"""Control of weight norms and relative step sizes, matrix by matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import LearningRate, NonNegative
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, numerics
from gdjax.core.rule.roles import Scalars
from gdjax.transforms.matrix_norms import SIZES, in_place, length, unit

__all__ = ["HyperballState", "hyperball", "radial_brake", "update_floor"]


class HyperballState(NamedTuple):
    """State of `hyperball`."""

    radius: Scalars  # for each matrix its norm at the start


@transformation
def hyperball(learning_rate: LearningRate, *, matrix_axes: Any = None):
    """Hyperball: fixes each matrix to its initial norm, with steps of fixed relative size.

        R = ‖θ₀‖        p = θ − η·R·g/‖g‖        θ ← R·p/‖p‖

    θ is one matrix, and x/‖x‖ is 0 where x is. The last stage of a chain, instead of
    `scale_by_learning_rate`. It replaces weight decay. η is about the angle of a step in radians.
    Weights that are zero at the start stay zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    >>> tx = gd.chain(gd.scale_by_adam(), gd.hyperball(0.1))
    >>> grads = jnp.array([[1.0, 5.0], [-1.0, 0.0]])
    >>> after, _ = tx.step(grads, tx.init(params), params)
    >>> round(float(jnp.linalg.norm(after)), 5)
    5.0

    Args:
        learning_rate: η ≥ 0, relative to the norm of the weights.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            matrices of one column.

    Raises:
        ValueError: `update` was called without params; an array of more than two axes without
            `matrix_axes`.

    Reference: Wen, Dang, Lyu, Ma and Liang, Fantastic pretraining optimizers and where to find
        them II: hyperball optimization, 2026, https://arxiv.org/abs/2606.16899
    """
    where = "hyperball"

    def leaf(g, radius, p):
        r = radius[..., None, None]
        moved = p - learning_rate * r.astype(p.dtype) * unit(g, length(g))
        return r.astype(p.dtype) * unit(moved, length(moved)) - p, radius

    def init(params):
        norm = lambda p: jnp.squeeze(length(p), (-2, -1))
        return HyperballState(matrices.per_matrix(norm, params, axes=matrix_axes, where=where))

    def update(updates, state, params=None, **extra):
        errors.need_params(where, params)
        trees = (updates, state.radius)
        updates, radius = in_place(leaf, trees, params, axes=matrix_axes, where=where)
        return updates, HyperballState(radius)

    return init, update


@transformation
def radial_brake(outward: NonNegative = 0.5, inward: NonNegative = 1.0, *, matrix_axes: Any = None):
    """Radial brake: damps the change of each matrix's norm in a step.

        p = θ + g                    s = outward if ‖p‖ > ‖θ‖, else inward
        l = ‖θ‖ + s·(‖p‖ − ‖θ‖)      θ ← l·p/‖p‖

    θ is one matrix. Put it after the learning rate. If both fractions s are 0, norms stay constant;
    `outward=0` is about AdamP.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params, step = jnp.array([[4.0]]), jnp.array([[1.0]])
    >>> gd.radial_brake().update(step, gd.EmptyState(), params)[0]
    Array([[0.5]], dtype=float32)

    Args:
        outward: In [0, ∞), the fraction of an increase of the norm that remains.
        inward: In [0, ∞), the fraction of a decrease.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            matrices of one column.

    Raises:
        ValueError: `update` was called without params; an array of more than two axes without
            `matrix_axes`.

    Reference: nilin, Radial brake, 2026, https://nilin.github.io/radial-brake/
    """
    where = "radial_brake"

    def leaf(g, p):
        before, moved = length(p), p + g
        change = length(moved) - before
        share = jnp.where(change > 0, outward, inward)
        wanted = before + share.astype(change.dtype) * change
        # What is kept of the step is added to what the brake does, so that no step is no step.
        return g + moved * _less(wanted, length(moved)).astype(g.dtype)

    def update(updates, state, params=None, **extra):
        errors.need_params(where, params)
        return in_place(leaf, (updates,), params, axes=matrix_axes, where=where)[0], state

    return lambda params: EmptyState(), update


def _less(wanted: Any, found: Any) -> Any:
    """wanted/found − 1, 0 where found is 0."""
    return numerics.safe_divide(wanted - found, found)


@transformation
def update_floor(ratio: NonNegative = 0.35, *, norm: str = "frobenius", matrix_axes: Any = None):
    """Lower bound of the update norm, relative to the weight norm of each matrix or neuron.

        u = g · max(1, r·‖θ‖ / ‖g‖)

    θ is one matrix, or one of its columns or rows. Put it before the learning rate, after a stage
    whose updates have a known norm, such as the orthogonalized updates of Muon: the relative size
    of a step is then at least r times the learning rate.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.update_floor(0.5)
    >>> tx.update(jnp.array([0.6, 0.8]), gd.EmptyState(), jnp.array([0.0, 4.0]))[0].round(6)
    Array([1.2, 1.6], dtype=float32)

    Args:
        ratio: r ≥ 0, relative to the norm of the weights.
        norm: Of what the norms are: "frobenius", of matrices; "columns", of the weights of each
            output of a matrix [in, out]; or "rows", of those of each input.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            matrices of one column.

    Raises:
        ValueError: Unknown norm; `update` was called without params; an array of more than two
            axes without `matrix_axes`.

    Reference: kumarkrishna, Skylight: NorMuon with a floor under ‖u‖/‖w‖, 2026,
        https://github.com/KellerJordan/modded-nanogpt/pull/274
    """
    where = "update_floor"
    known = ("frobenius", "columns", "rows")
    if norm not in known:
        errors.fail(where, f"norm must be one of {', '.join(known)}", norm)
    size = SIZES[norm]

    def leaf(g, p):
        found, least = size(g), ratio * size(p)
        return jnp.where(found < least, least.astype(g.dtype) * unit(g, found), g)

    def update(updates, state, params=None, **extra):
        errors.need_params(where, params)
        return in_place(leaf, (updates,), params, axes=matrix_axes, where=where)[0], state

    return lambda params: EmptyState(), update
