"""The namespace `optax.contrib`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from gdjax.compat.optax.names import NAMES, namespace
from gdjax.compat.optax.overrides import key_or_seed as _key_or_seed
from gdjax.core.engine.chain import chain as _chain
from gdjax.core.matrix.matrices import axes_of as _axes_of
from gdjax.core.matrix.polar_coefficients import STANDARD as _STANDARD
from gdjax.optimizers.adam import adam as _adam
from gdjax.optimizers.adam import ademamix as _ademamix
from gdjax.optimizers.adam import sophia as _sophia
from gdjax.optimizers.matrix import muon as _rules
from gdjax.transforms import basic as _basic
from gdjax.transforms import decay as _decay
from gdjax.transforms import differential_privacy as _private
from gdjax.transforms import plateau as _plateau
from gdjax.wrappers.select import masked as _masking

__all__ = NAMES["contrib"]

__getattr__, __dir__ = namespace("contrib", ("gdjax",))


class MuonDimensionNumbers(NamedTuple):
    """Which axes of an array are the two sides of a matrix; the other axes number matrices."""

    reduction_axis: int | Sequence[int] = 0  # summed over with the inputs
    output_axis: int | Sequence[int] = 1


class GaLoreDimensionNumbers(NamedTuple):
    """As `MuonDimensionNumbers`, for GaLore."""

    reduction_axis: int | Sequence[int] = 0
    output_axis: int | Sequence[int] = 1


def scale_by_ademamix(
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 6.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
) -> Any:
    """AdEMAMix's rule with a greater weight of the slow average than the optimizer's."""
    return _ademamix.scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)


def differentially_private_aggregate(
    l2_norm_clip: Any, noise_multiplier: Any, key: Any = None, *, seed: int | None = None
) -> Any:
    """Averages the clipped gradients of single examples, with noise."""
    key = _key_or_seed("optax.contrib.differentially_private_aggregate", key, seed)
    return _private.differentially_private_aggregate(l2_norm_clip, noise_multiplier, key)


def reduce_on_plateau(
    factor: Any = 0.1,
    patience: Any = 10,
    rtol: Any = 1e-4,
    atol: Any = 0.0,
    cooldown: Any = 0,
    accumulation_size: Any = 1,
    min_scale: Any = 0.0,
) -> Any:
    """Lowers the scale after `patience` metrics no better; gdjax and torch wait for one more."""
    more = patience - 1 if patience > 0 else 0
    numbers = (rtol, atol, cooldown, accumulation_size, min_scale)
    return _plateau.reduce_on_plateau(factor, more, *numbers)


def sophia(
    learning_rate: Any,
    b1: Any = 0.965,
    b2: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    weight_decay_mask: Any = None,
    gamma: Any = 0.01,
    clip_threshold: Any = 1.0,
    update_interval: Any = 10,
    hessian_diagonal_fn: Any = None,
    mu_dtype: Any = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: Any = 0,
) -> Any:
    """Sophia; nothing is printed."""
    numbers = (learning_rate, b1, b2, eps, weight_decay, weight_decay_mask, gamma)
    return _sophia.sophia(*numbers, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype)


def _labels(numbers: Any, params: Any) -> Any:
    _, found, treedef = _axes_of(params, numbers, "optax.contrib.muon")
    return treedef.unflatten(["adam" if a is None else "muon" for a in found])


def muon(
    learning_rate: Any,
    ns_coeffs: Any = _STANDARD,
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
    """Muon, whose AdamW for the other leaves has Nesterov's momentum too."""
    numbers = muon_weight_dimension_numbers
    rule = _rules.scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        matrix_axes=numbers,
    )
    matrices = _chain(
        rule,
        _rules.scale_by_shape(numbers, consistent_rms),
        _decay.add_decayed_weights(weight_decay, weight_decay_mask),
        _basic.scale_by_learning_rate(learning_rate),
    )
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    moments = (adam_b1, adam_b2, eps, adam_eps_root, mu_dtype)
    others = _adam.adamw(rate, *moments, adam_weight_decay, weight_decay_mask, nesterov=nesterov)
    labels = functools.partial(_labels, numbers)
    return _masking.partition(labels, muon=matrices, adam=others)
