"""Muon as in optax: axes by dimension numbers, two bias corrections of the momentum."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax.masking import partition
from gdjax.compat.optax.stages import add_decayed_weights, scale_by_learning_rate
from gdjax.compat.optax.twins import invoke, twin
from gdjax.compat.optax.types import MaskedNode
from gdjax.core.engine.chain import chain
from gdjax.core.matrix.matrices import axes_of
from gdjax.core.matrix.polar_coefficients import STANDARD
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import debias, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, Scalars
from gdjax.optimizers.adam import adam as _adam
from gdjax.optimizers.matrix import muon as _rules

__all__ = ["MuonDimensionNumbers", "MuonState", "muon", "scale_by_muon"]

_override = functools.partial(twin, module="gdjax.compat.optax.contrib")


class MuonDimensionNumbers(NamedTuple):
    """The axes of an array that are rows and columns of matrices; the others are batch axes."""

    reduction_axis: int | Sequence[int] = 0  # summed over with the inputs
    output_axis: int | Sequence[int] = 1


class MuonState(NamedTuple):
    """State of `scale_by_muon`."""

    count: Count
    mu: Mean
    ns_coeffs: Scalars  # as they were given


def _labels(numbers: Any, params: Any) -> Any:
    xs, found, treedef = axes_of(params, _of_leaves(numbers), "optax.contrib.muon")
    label = lambda x, axes: None if x is None else "adam" if axes is None else "muon"
    return treedef.unflatten(map(label, xs, found))


def _of_leaves(numbers: Any) -> Any:
    """Dimension numbers of all leaves, from those of a prefix of the tree."""
    if numbers is None:
        return None
    says = lambda x: x is None or hasattr(x, "reduction_axis")
    hidden = lambda x: x is None or isinstance(x, MaskedNode)

    def of(params: Any) -> Any:
        said = numbers(params) if callable(numbers) else numbers
        each = lambda axes, part: jax.tree.map(
            lambda x: x if hidden(x) else axes, part, is_leaf=hidden
        )
        return jax.tree.map(each, said, params, is_leaf=says)

    return of


@_override(_rules.scale_by_muon)
def scale_by_muon(
    ns_coeffs: Any = STANDARD,
    ns_steps: Any = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
) -> Any:
    """Muon scaling, with a bias correction for each of the two terms of Nesterov momentum."""
    how = {"eps": eps, "adaptive": adaptive, "preconditioning": preconditioning}
    how |= {"steps": ns_steps, "backend": ns_coeffs, "b1": 0.0, "nesterov": False}
    axes = _of_leaves(weight_dimension_numbers)
    orthogonal = invoke(_rules.scale_by_muon, {**how, "matrix_axes": axes})[1]
    kept = () if isinstance(ns_coeffs, str) else jnp.asarray(ns_coeffs, float)

    def init(params):
        return MuonState(zero_count(), tree.moment_like(params, mu_dtype), jnp.array(kept))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        now, next_ = debias(beta, t), debias(beta, increment(t))

        def leaf(g, m):
            m = ema(m, g, beta)
            return (beta * m / next_ + (1 - beta) * g / now if nesterov else m / now), m

        means, mu = tree.evolve(leaf, (updates, state.mu))
        updates, _ = orthogonal(means, _rules.MuonState(state.count, means), params)
        return updates, MuonState(t, mu, state.ns_coeffs)

    return init, update


@_override(_rules.muon)
def muon(
    learning_rate: Any,
    ns_coeffs: Any = STANDARD,
    ns_steps: Any = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Any = 0.9,
    adam_b2: Any = 0.999,
    adam_eps_root: Any = 0.0,
    adam_weight_decay: Any = 0.0,
    adam_learning_rate: Any = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: Any = None,
) -> Any:
    """Muon for matrices, AdamW with Nesterov momentum for all other parameters."""
    numbers = muon_weight_dimension_numbers
    rule = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        weight_dimension_numbers=numbers,
    )
    matrices = chain(
        rule,
        _rules.scale_by_shape(_of_leaves(numbers), consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    moments = (adam_b1, adam_b2, eps, adam_eps_root, mu_dtype)
    others = chain(
        _adam.scale_by_adam(*moments, nesterov=nesterov),
        add_decayed_weights(adam_weight_decay),  # optax has no mask here
        scale_by_learning_rate(rate),
    )
    labels = functools.partial(_labels, numbers)
    return partition({"muon": matrices, "adam": others}, labels)
