"""optax's names of arguments, where gdjax has others for the same functions."""

from __future__ import annotations

__all__ = ["SPELLINGS"]

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
