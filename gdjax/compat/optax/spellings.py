"""optax's names of arguments, where gdjax has others for the same functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from gdjax.core.data.factory import call_text
from gdjax.core.data.renamed import misfit

__all__ = ["SPELLINGS", "spelled"]

_ACCUMULATOR = {"mu_dtype": "accumulator_dtype"}
_GALORE = {
    "every": "update_proj_gap",
    "inner": "base_optimizer",
    "matrix_axes": "weight_dimension_numbers",
}
_INNER = {"inner": "base_optimizer"}

# For each function, optax's name of an argument by gdjax's.
SPELLINGS: dict[str, dict[str, str]] = {
    "adadelta": {"decay": "rho", "mask": "weight_decay_mask"},
    "apply_every": {"every": "k"},
    "dpsgd": {"max_norm": "l2_norm_clip", "key": "seed"},
    "ema": _ACCUMULATOR,
    "galore": _GALORE,
    "hutchinson_estimator_diag_hessian": {"key": "random_seed"},
    "lars": {"mask": "weight_decay_mask"},
    "measure_with_ema": _ACCUMULATOR,
    "mechanize": _INNER,
    "momo": {"b1": "beta"},
    "sam": {"inner": "optimizer", "every": "sync_period"},
    "scale_by_adadelta": {"decay": "rho"},
    "scale_by_distance_over_gradients": {"state_dtype": "param_dtype"},
    "scale_by_factored_rms": {"eps": "epsilon"},
    "scale_by_galore": _GALORE,
    "scale_by_muon": {
        "backend": "ns_coeffs",
        "steps": "ns_steps",
        "b1": "beta",
        "matrix_axes": "weight_dimension_numbers",
    },
    "schedule_free": _INNER,
    "sgd": _ACCUMULATOR,
    "signum": {"b1": "beta", **_ACCUMULATOR},
    "trace": _ACCUMULATOR,
}


@functools.cache
def spelled(name: str, function: Callable[..., Any], module: str) -> Callable[..., Any]:
    """A function of gdjax under optax's names of its arguments; itself, where they are the same.

    Args:
        name: Its name in optax.
        function: The function of gdjax.
        module: Where it is found by that name, which is what `pickle` writes.
    """
    theirs = SPELLINGS.get(name)
    if theirs is None:
        return function
    own = inspect.signature(function)
    parameters = [p.replace(name=theirs.get(n, n)) for n, p in own.parameters.items()]
    signature = own.replace(parameters=parameters)
    ours = {new: old for old, new in theirs.items()}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            where = f"optax.{name}"
            text, names = call_text(where, signature), list(signature.parameters)
            raise misfit(where, text, error, kwargs, names) from None
        return function(**{ours.get(k, k): value for k, value in given.items()})

    call.__module__, call.__qualname__ = module, name
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call
