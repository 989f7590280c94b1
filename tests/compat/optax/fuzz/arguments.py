"""The kinds of the arguments of optax's factories, by name.

What a factory takes is read from optax's signature: an argument without an entry here fails a test.
"""

from __future__ import annotations

__all__ = ["ARGUMENTS", "ARGUMENTS_OF", "ELSEWHERE"]

# Kinds of arguments that mean the same wherever they stand.
ARGUMENTS = {
    "learning_rate": "scheduled",
    **dict.fromkeys("b1 b2 b3 beta rho decay momentum adam_b1 adam_b2".split(), "decay"),
    "beta3": "decay|None",
    **dict.fromkeys("eps eps_root adam_eps_root reps_rel estim_lr0 epsilon".split(), "eps"),
    **dict.fromkeys("weight_decay adam_weight_decay".split(), "weights"),
    **dict.fromkeys("mask weight_decay_mask".split(), "mask"),
    **dict.fromkeys("mu_dtype accumulator_dtype".split(), "dtype"),
    **dict.fromkeys(
        """nesterov debias factored multiply_by_parameter_scale eps_in_sqrt centered bias_correction
        bias_correction_mu bias_correction_nu flip_sign use_clipping adaptive adapt_lower_bound
        safeguard_warmup reset_state scale_init_precond forward_extra_args staircase""".split(),
        "flag",
    ),
    **dict.fromkeys("betas".split(), "pair"),
    **dict.fromkeys(
        "alpha scaling scale scale_factor global_scale trust_coefficient step_size".split(),
        "factor",
    ),
    **dict.fromkeys(
        """max_delta threshold max_norm clipping clip_threshold gamma initial_accumulator_value
        initial_scale min_scale min_norm estim_lr_coef l2_norm_clip max_learning_rate""".split(),
        "positive",
    ),
    **dict.fromkeys("f_min lower_bound".split(), "0.0|factor"),
    **dict.fromkeys("inner optimizer base_optimizer adv_optimizer fast_optimizer".split(), "inner"),
    **dict.fromkeys(
        "sync_period update_period k every_k_schedule update_interval".split(), "1|2|3|5"
    ),
    "mask_compatible_extra_args": "flag",
    "should_transform_fn": "condition",
    "measure": "measure",
    "key": "1",
    "seed": "1",
    "state_dtype": "None|jnp.float32|jnp.float64",
    "weight_lr_power": "0.0|1.0|2.0|0.5",
    "update_proj_gap": "1|3|10",
    "rank": "1|2|128",
    "weight_dimension_numbers": "None",
    "verbose": "False",
    "axis": "-1|0|None",
    "where": "W|None",
    "warmup_steps": "None|0|1|5",
    **dict.fromkeys("init_value end_value peak_value".split(), "rate|0.0"),
    "transition_steps": "1|4|10|30|0|-2|2.5",
    "transition_begin": "0|2|5|-3",
    "decay_steps": "1|10|25|7.5",
    "decay_rate": "unit",
    "power": "1|2|0.5|0|positive",
    "exponent": "1.0|2.0|0.5",
    "div_factor": "positive",
    "final_div_factor": "positive",
    "ns_steps": "1|2|5",
    "preconditioning": "'frobenius'|'spectral'|'aol'|'schatten'",
    "ns_coeffs": "(3.4445, -4.775, 2.0315)|'muon'|'dion'|((3.0, -3.2, 1.2), (2.0, -1.5, 0.5))",
    "eta_minus": "0.5|unit",
    "eta_plus": "1.2|positive",
    "min_step_size": "1e-06|eps",
    "max_step_size": "50.0|positive",
}
# Where the same name means something else.
ARGUMENTS_OF = {
    "adadelta": {"learning_rate": "scheduled|None", "weight_decay": "weight"},
    "adafactor": {
        "learning_rate": "scheduled|None",
        "min_dim_size_to_factor": "1|2|3|128",
        "decay_rate": "0.8|unit",
        "decay_offset": "0|1|5",
        "clipping_threshold": "1.0|None|positive",
        "momentum": "None|decay",
        "dtype_momentum": "jnp.float32|jnp.float64",
        "weight_decay_rate": "None|weight",
    },
    "adan": {"weight_decay": "weight", "b2": "0.5|decay"},
    "scale_by_adan": {"b2": "0.5|decay"},
    "adaptive_grad_clip": {"eps": "eps", "axis": "None|0"},
    "add_noise": {"eta": "0.0|positive", "gamma": "unit"},
    "apply_if_finite": {"max_consecutive_errors": "0|1|3"},
    "contrib.adopt": {"clip_value_fn": "lambda t: 1.0 + t"},
    "contrib.dadapt_adamw": {"estim_lr0": "1e-6|0.01|positive", "weight_decay": "weight"},
    "contrib.differentially_private_aggregate": {"noise_multiplier": "0.0|unit"},
    "contrib.dog": {
        "init_step": "('distance', 0.1)|('learning_rate', 0.01)|('heuristic', 0.001)",
        "weight_decay": "None|weight",
    },
    "contrib.dowg": {"init_estim_sq_dist": "None|positive", "weight_decay": "None|weight"},
    "contrib.dpsgd": {"noise_multiplier": "0.0|unit", "momentum": "None|decay"},
    "contrib.galore": {
        "base_optimizer": "None|o.scale_by_adam(b2=0.9)|o.trace(0.9)|o.scale_by_rms()"
    },
    "contrib.hutchinson_estimator_diag_hessian": {"random_seed": "jax.random.key(3)|None"},
    "contrib.madgrad": {"weight_decay": "weight", "eps": "0.0|eps"},
    "contrib.scale_by_madgrad": {"eps": "0.0|eps"},
    "contrib.mechanize": {
        "s_init": "1e-6|0.01|positive",
        "num_betas": "1|3|6",
        "weight_decay": "0.01|unit",
    },
    "contrib.momo": {"weight_decay": "weight"},
    "contrib.momo_adam": {"weight_decay": "weight"},
    "contrib.muon": {
        "adam_learning_rate": "None|scheduled",
        "muon_weight_dimension_numbers": "None|lambda p: jax.tree.map("
        "lambda x: o.contrib.MuonDimensionNumbers() if x.ndim == 2 else None, p)",
        "consistent_rms": "None|0.2|positive",
        "weight_decay": "weights",
    },
    "contrib.prodigy": {
        "eps": "0.0|eps",
        "weight_decay": "weight",
        "estim_lr0": "1e-6|0.01|positive",
    },
    "contrib.reduce_on_plateau": {
        "factor": "0.1|0.5|0.9",
        "patience": "0|1|2|10",
        "rtol": "0.0001|0.0|0.1",
        "atol": "0.0|0.1",
        "cooldown": "0|1|3",
        "accumulation_size": "1|2|4",
        "min_scale": "0.0|unit",
    },
    "contrib.sam": {"opaque_mode": "False|True", "batch_axis_name": "None"},
    "contrib.scale_by_adopt": {"clip_value_fn": "lambda t: 1.0 + t"},
    "contrib.scale_by_galore": {"base_optimizer": "None|o.scale_by_adam(b2=0.9)|o.trace(0.9)"},
    "contrib.schedule_free": {"base_optimizer": "o.sgd(0.1)|o.adam(0.1, b1=0.0)|inner"},
    "contrib.schedule_free_sgd": {"weight_decay": "None|weight"},
    "contrib.schedule_free_adamw": {"weight_decay": "weight"},
    "contrib.sophia": {
        "hessian_diagonal_fn": "o.contrib.hutchinson_estimator_diag_hessian()|"
        "o.stateless(lambda u, p: jax.tree.map(lambda g: g * g, u))",
        "print_win_rate_every_n_steps": "0",
        "mu_dtype": "dtype",
    },
    "freeze": {"mask": "MASK|lambda p: MASK|True|False"},
    "lars": {
        "weight_decay_mask": "mask|True",
        "trust_ratio_mask": "MASK|True|False|lambda p: MASK",
    },
    "lbfgs": {
        "learning_rate": "None|scheduled",
        "memory_size": "1|2|10",
        "linesearch": "None|o.scale_by_zoom_linesearch(5)|o.scale_by_backtracking_linesearch(5)",
    },
    "lookahead": {"slow_step_size": "unit"},
    "masked": {"mask": "MASK|lambda p: MASK|True|False"},
    "monitor": {
        "measures": "{'a': o.global_norm, 'b': o.measure_with_ema(o.tree.max, 0.9)}|"
        "{'a': o.tree.sum}|{}"
    },
    "multi_transform": {"transforms": "both", "param_labels": "LABELS|lambda p: LABELS"},
    "partition": {"transforms": "both", "param_labels": "LABELS|lambda p: LABELS"},
    "noisy_sgd": {"eta": "0.0|positive", "gamma": "unit"},
    "optimistic_adam": {"optimism": "None|rate", "learning_rate": "rate"},
    "optimistic_adam_v2": {"alpha": "scheduled", "beta": "scheduled"},
    "optimistic_gradient_descent": {"alpha": "factor", "beta": "factor"},
    "polyak_sgd": {"variant": "'sps'|'sps+'", "scaling": "factor|schedule"},
    "rprop": {"learning_rate": "rate"},
    "radam": {"threshold": "5.0|4.0|2.0|0.5"},
    "rmsprop": {"momentum": "None|decay"},
    "sgd": {"momentum": "None|decay|schedule"},
    "scale_by_backtracking_linesearch": {
        "max_backtracking_steps": "1|3|10",
        "slope_rtol": "0.0001|unit",
        "decrease_factor": "0.8|0.5",
        "increase_factor": "1.5|2.0|1.0|jnp.inf",
        "atol": "0.0|0.1",
        "rtol": "0.0|0.1",
        "store_grad": "flag",
        "max_learning_rate": "1.0|positive|None",
    },
    "scale_by_distance_over_gradients": {"param_dtype": "jnp.float32|jnp.float64"},
    "scale_by_factored_rms": {
        "decay_rate": "0.8|unit",
        "step_offset": "0|1|5",
        "min_dim_size_to_factor": "1|2|3|128",
        "decay_rate_fn": "lambda t, rate: jnp.minimum(rate, 1.0 - (t + 1.0) ** -0.8)",
    },
    "scale_by_lbfgs": {"memory_size": "1|2|10"},
    "scale_by_learning_rate": {"learning_rate": "scheduled|None"},
    "scale_by_lion": {"mode": "'hard'|'smooth'|'refined'", "smooth_beta": "1.0|0.5|3.0"},
    "scale_by_polyak": {"variant": "'sps'|'sps+'"},
    "scale_by_radam": {"threshold": "5.0|4.0|2.0|0.5"},
    "scale_by_schedule": {"step_size_fn": "schedule"},
    "scale_by_trust_ratio": {"min_norm": "0.0|positive", "trust_coefficient": "positive"},
    "scale_by_zoom_linesearch": {
        "max_linesearch_steps": "1|5|20",
        "tol": "0.0|0.1",
        "max_learning_rate": "None|positive",
        "increase_factor": "2.0|1.5",
        "slope_rtol": "0.0001",
        "curv_rtol": "0.9|0.5|jnp.inf",
        "approx_dec_rtol": "1e-6|None",
        "stepsize_precision": "1e-5",
        "initial_guess_strategy": "'keep'|'one'",
    },
    "selective_transform": {"freeze_mask": "MASK|lambda p: MASK|True|False"},
    "snapshot": {"measure_name": "'a'"},
    "stateless": {"f": "lambda u, p: jax.tree.map(lambda g, x: g - x, u, p)"},
    "stateless_with_tree_map": {"f": "lambda g, p: g * p"},
    # schedules
    "constant_schedule": {"value": "rate"},
    "cosine_decay_schedule": {"alpha": "unit"},
    "exponential_decay": {"end_value": "None|rate"},
    "cosine_onecycle_schedule": {"transition_steps": "4|10|30|1", "pct_start": "0.3|0.5|unit"},
    "linear_onecycle_schedule": {
        "transition_steps": "4|10|30|1",
        "pct_start": "0.3|0.5|0.1",
        "pct_final": "0.85|0.6|0.9",
    },
    "piecewise_constant_schedule": {
        "boundaries_and_scales": "None|{3: 0.5, 7: 2.0}|{0: 0.5}|{5: 0.0}"
    },
    "piecewise_interpolate_schedule": {
        "interpolate_type": "'linear'|'cosine'",
        "boundaries_and_scales": "None|{3: 0.5, 7: 2.0}|{5: 0.0}|{1: 0.1}",
    },
    "warmup_constant_schedule": {"warmup_steps": "0|1|5"},
    "warmup_cosine_decay_schedule": {
        "warmup_steps": "0|1|5",
        "decay_steps": "6|10|25",
        "end_value": "0.0|rate",
    },
    "warmup_exponential_decay_schedule": {"warmup_steps": "0|1|5", "end_value": "None|rate"},
}

# What is optax's own in `compat` (nothing to compare), or no function of numbers.
ELSEWHERE = {
    **dict.fromkeys(
        "matrix_inverse_pth_root microbatch multi_normal nnls power_iteration".split(),
        "optax's own",
    ),
    **dict.fromkeys(
        "value_and_grad_from_state with_extra_args_support tree_map_params".split(),
        "takes functions",
    ),
    **dict.fromkeys(
        "tree.dtype tree.get_all_with_path tree.set tree.map_params".split(), "no numbers"
    ),
    "contrib.schedule_free_eval_params": "compared in every call of schedule_free",
    "safe_int32_increment": "deprecated, raises in optax",
    "tree.get": "no numbers",
}
