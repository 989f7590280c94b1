"""Former names of arguments and public names, and names in other libraries, for error messages."""

from __future__ import annotations

from collections.abc import Iterable

from gdjax.core.rule import errors

# Former names of arguments, and their present names.
ARGUMENTS: dict[str, str] = {
    "accumulator_dtype": "mu_dtype",
    "alpha": "decay",
    "base": "inner",
    "base_optimizer": "inner",
    "beta": "b1",
    "clip_threshold": "clipping_threshold",
    "dtype_momentum": "mu_dtype",
    "epsilon": "eps",
    "fast_optimizer": "inner",
    "k": "every",
    "l2_norm_clip": "max_norm",
    "muon_weight_dimension_numbers": "matrix_axes",
    "ns_coeffs": "backend",
    "ns_steps": "steps",
    "optimizer": "inner",
    "param_dtype": "state_dtype",
    "param_labels": "rules",
    "precondition_frequency": "every",
    "random_seed": "key",
    "rho": "decay",
    "seed": "key",
    "sync_period": "every",
    "update_interval": "every",
    "update_proj_gap": "every",
    "weight_decay_mask": "mask",
    "weight_dimension_numbers": "matrix_axes",
    "z_thresh": "threshold",
}

# Names of arguments in other libraries. A hint for factories that have all names on the right.
ELSEWHERE: dict[str, str] = {
    "lr": "learning_rate",
    "beta1": "b1",
    "beta2": "b2",
    "beta_1": "b1",
    "beta_2": "b2",
    "betas": "b1, b2",
    "epsilon": "eps",
    "wd": "weight_decay",
}

# Former public names of `gdjax`, and where to find them now.
NAMES: dict[str, str] = {
    "GaLoreDimensionNumbers": "gdjax.compat.optax.contrib.GaLoreDimensionNumbers",
    "MuonDimensionNumbers": "gdjax.compat.optax.contrib.MuonDimensionNumbers",
    "Pair": "gdjax.Rule",
}

# Public names in other libraries, and what to write here.
ABROAD: dict[str, str] = {
    "AveragedModel": "with_swa or with_ema",
    "CosineAnnealingLR": "cosine_decay_schedule, given as the learning rate",
    "EMA": "with_ema",
    "ExponentialMovingAverage": "with_ema",
    "GradScaler": "loss_scale",
    "GradientTransformationExtraArgs": "GradientTransformation",
    "MultiSteps": "accumulate",
    "OneCycleLR": "cosine_onecycle_schedule, given as the learning rate",
    "ReduceLROnPlateau": "reduce_on_plateau, in a chain",
    "SWA": "with_swa",
    "StepLR": "exponential_decay(staircase=True), given as the learning rate",
    "additive_weight_decay": "add_decayed_weights",
    "clip_grad_norm": "clip_by_global_norm",
    "clip_grad_norm_": "clip_by_global_norm",
    "clip_grad_value_": "clip",
    "contrib": "the name in gdjax itself: gdjax.muon, gdjax.prodigy and the others",
    "inject_hyperparams": "live, for a number that is set between steps, or a schedule",
    "inject_stateful_hyperparams": "live, for a number that is set between steps, or a schedule",
    "lr_scheduler": "a schedule given as the learning rate, or gdjax.compat.torch.lr_scheduler",
    "microbatch": "accumulate_gradients",
    "multi_transform": "partition",
    "named_chain": "chain(name=...)",
    "no_decay": "by_bias_or_norm(): write mask=~gd.by_bias_or_norm() for what does decay",
    "no_weight_decay": "by_bias_or_norm(): write mask=~gd.by_bias_or_norm() for what does decay",
    "optim": "an optimizer of gdjax itself, or gdjax.compat.torch",
    "tree_utils": "jax.tree, or gdjax.compat.optax.tree_utils",
}


def argument(old: str, names: Iterable[str]) -> str:
    """A hint with the present name of a former argument, if it is one of `names`; else "".

    >>> argument("weight_decay_mask", ["learning_rate", "mask"])
    'It is now called mask.'
    """
    new = ARGUMENTS.get(old)
    return f"It is now called {new}." if new is not None and new in names else ""


def former(new: str) -> list[str]:
    """The former names of an argument; saved states may contain them."""
    return [old for old, name in ARGUMENTS.items() if name == new]


def misfit(
    where: str, call: str, error: TypeError, given: Iterable[str], names: list[str]
) -> TypeError:
    """The error for a call that does not fit a signature, with a hint for a wrong name.

    Args:
        where: The factory that was called.
        call: The call with its defaults, as one would type it.
        error: Python's error for the call.
        given: The names of the given keyword arguments.
        names: The names of the factory's arguments.
    """
    wrong = next((name for name in given if name not in names), None)
    if wrong is None:
        return TypeError(f"{where}: {error}. Write {call}.")
    hint = argument(wrong, names)
    ours = ELSEWHERE.get(wrong, wrong).split(", ")
    if all(name in names for name in ours):
        pair = f"Write {', '.join(f'{name}=...' for name in ours)}."
        hint = pair if len(ours) > 1 else f"Did you mean {ours[0]}?"
    hint = hint or errors.nearest(wrong, names) or f"Write {call}."
    return TypeError(f"{where}: got an unexpected keyword argument {wrong!r}. {hint}")
