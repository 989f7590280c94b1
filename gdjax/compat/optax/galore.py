"""GaLore as in optax: projects the longer side of a matrix, with smaller moments.

gdjax's own `galore` projects the shorter side, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax.stages import add_decayed_weights, scale_by_learning_rate
from gdjax.compat.optax.twins import twin
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update
from gdjax.core.matrix.batching import Axes
from gdjax.core.matrix.polar import leading_vectors
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.optimizers.matrix import galore as _galore
from gdjax.optimizers.matrix.galore import GaLoreState

__all__ = ["GaLoreDimensionNumbers", "GaLoreState", "galore", "scale_by_galore"]

HERE = "gdjax.compat.optax.contrib"


class GaLoreDimensionNumbers(NamedTuple):
    """The axes of an array that are rows and columns of a matrix: all of its axes, each once."""

    reduction_axis: int | Sequence[int] = 0
    output_axis: int | Sequence[int] = 1


def _way(x: Any, numbers: Any) -> Axes | None:
    """None for an array that is no matrix."""
    if numbers is None or not tree.differentiable(x) or not jnp.size(x):
        return None
    sides = [(a,) if isinstance(a, int) else tuple(a) for a in numbers]
    if len(sides[0]) + len(sides[1]) != jnp.ndim(x):
        return None
    ins, outs = (tuple(a % jnp.ndim(x) for a in side) for side in sides)
    return Axes(jnp.shape(x), (), ins, outs)


def _ways(params: Any, numbers: Any) -> tuple[list[Any], list[Axes | None], Any]:
    leaves, treedef = jax.tree.flatten(params)
    numbers = numbers(params) if callable(numbers) else numbers
    if numbers is None:
        numbers = GaLoreDimensionNumbers()
    if hasattr(numbers, "reduction_axis"):
        return leaves, [_way(x, numbers) for x in leaves], treedef
    return leaves, list(map(_way, leaves, treedef.flatten_up_to(numbers))), treedef


@twin(_galore.scale_by_galore, module=HERE)
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Any = 1.0,
    base_optimizer: Any = None,
    weight_dimension_numbers: Any = None,
) -> Any:
    """GaLore scaling that projects the longer side: PᵀG for a tall matrix, GP for a wide one."""
    where = "optax.contrib.scale_by_galore"
    errors.check_counts(where, rank=rank, update_proj_gap=update_proj_gap)
    base = scale_by_adam() if base_optimizer is None else base_optimizer
    project = lambda m, p: p.mT.conj() @ m if _tall(m) else m @ p

    def init(params):
        xs, ways, treedef = _ways(params, weight_dimension_numbers)
        projectors, small = [], []
        for x, way in zip(xs, ways):
            if way is None:
                projectors.append(jnp.zeros((0, 0)))
                small.append(x)
                continue
            m, n = way.sides
            r, wide = min(rank, m, n), numerics.wide_dtype(x.dtype)
            projectors.append(jnp.zeros((max(m, n), r), wide))
            small.append(jnp.zeros((r, n) if m >= n else (m, r), x.dtype))
        inner = base.init(treedef.unflatten(small))
        return GaLoreState(zero_count(), inner, treedef.unflatten(projectors))

    def update(updates, state, params=None, **extra):
        xs, ways, treedef = _ways(updates, weight_dimension_numbers)
        old, due = treedef.flatten_up_to(state.projector), state.count % update_proj_gap == 0
        new, small = [], []
        for x, way, p in zip(xs, ways, old):
            if way is not None:
                m = way.stack(numerics.wide(x))
                side = m if _tall(m) else m.mT.conj()
                fresh = lambda side=side, p=p: leading_vectors(side, p.shape[-1]).astype(p.dtype)
                p = refresh_if(due, fresh, p)
                x = project(m, p)
            new.append(p)
            small.append(x)
        small, inner = call_update(
            base, treedef.unflatten(small), state.base_optimizer_state, None, extra
        )
        out = []
        for x, way, p, u in zip(xs, ways, new, treedef.flatten_up_to(small)):
            if way is not None and u is not None:
                back = p @ u if way.sides[0] >= way.sides[1] else u @ p.mT.conj()
                u = way.unstack(scale * back, x)
            out.append(u)
        state = GaLoreState(increment(state.count), inner, treedef.unflatten(new))
        return treedef.unflatten(out), state

    return Rule(init, update, children=(Child("inner", base, at="base_optimizer_state"),))


def _tall(m: jax.Array) -> bool:
    return m.shape[0] >= m.shape[1]


@twin(_galore.galore, module=HERE)
def galore(
    learning_rate: Any,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Any = 1.0,
    base_optimizer: Any = None,
    weight_decay: Any = 0.0,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
) -> Any:
    """GaLore, with projection of the longer side."""
    return chain(
        scale_by_galore(rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
