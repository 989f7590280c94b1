"""The public names of gdjax, and the files that define them.

Written by `python -m tests.update` from the `__all__` of the files. Do not edit.
"""

from gdjax.core.data.hyperparams import (
    Decay, Hyperparam, LearningRate, Mask, NonNegative, Number, Positive, WeightDecay,
)
from gdjax.core.data.schedule import Live, Schedule, live, schedule
from gdjax.core.data.spec import build, spec
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, EmptyState, Rule
from gdjax.core.engine.transformation import GradientTransformation, apply_updates, transformation
from gdjax.core.matrix.matrices import matrix_axes
from gdjax.losses.binary import (
    hinge_loss, perceptron_loss, sigmoid_binary_cross_entropy, sigmoid_focal_loss, sparsemax_loss,
)
from gdjax.losses.classification import (
    poly_loss_cross_entropy, safe_softmax_cross_entropy, smooth_labels, softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
)
from gdjax.losses.contrastive import ntxent, triplet_margin_loss
from gdjax.losses.divergences import (
    convex_kl_divergence, generalized_kl_divergence, kl_divergence, kl_divergence_with_log_targets,
)
from gdjax.losses.fenchel_young import make_fenchel_young_loss
from gdjax.losses.margins import (
    multiclass_hinge_loss, multiclass_perceptron_loss, multiclass_sparsemax_loss,
)
from gdjax.losses.ranking import ranking_softmax_loss
from gdjax.losses.regression import (
    cosine_distance, cosine_similarity, huber_loss, l2_loss, log_cosh, squared_error,
)
from gdjax.losses.segmentation import binary_dice_loss, dice_loss, multiclass_generalized_dice_loss
from gdjax.losses.sequence import ctc_loss, ctc_loss_with_forward_probs
from gdjax.optimizers.adam.acprop import acprop, scale_by_acprop
from gdjax.optimizers.adam.adabelief import adabelief, scale_by_belief
from gdjax.optimizers.adam.adam import adam, adamw, scale_by_adam
from gdjax.optimizers.adam.adam_mini import adam_mini, scale_by_adam_mini
from gdjax.optimizers.adam.adamax import adamax, adamaxw, scale_by_adamax
from gdjax.optimizers.adam.adamc import adamc
from gdjax.optimizers.adam.adan import adan, proximal_decay, scale_by_adan
from gdjax.optimizers.adam.ademamix import (
    ademamix, scale_by_ademamix, scale_by_simplified_ademamix, simplified_ademamix,
)
from gdjax.optimizers.adam.adopt import adopt, scale_by_adopt
from gdjax.optimizers.adam.amsgrad import amsgrad, scale_by_amsgrad
from gdjax.optimizers.adam.grams import grams, scale_by_grams
from gdjax.optimizers.adam.laprop import laprop, scale_by_laprop
from gdjax.optimizers.adam.nadam import nadam, nadamw, scale_by_nadam
from gdjax.optimizers.adam.radam import radam, scale_by_radam
from gdjax.optimizers.adam.sophia import scale_by_sophia, sophia
from gdjax.optimizers.adam.stable_adamw import scale_by_stable_adam, stable_adamw
from gdjax.optimizers.adam.yogi import scale_by_yogi, yogi
from gdjax.optimizers.adaptive.adadelta import adadelta, scale_by_adadelta
from gdjax.optimizers.adaptive.adagrad import adagrad, scale_by_rss
from gdjax.optimizers.adaptive.madgrad import madgrad, scale_by_madgrad
from gdjax.optimizers.adaptive.rmsprop import rmsprop, scale_by_rms, scale_by_stddev
from gdjax.optimizers.adaptive.rprop import rprop, scale_by_rprop
from gdjax.optimizers.factored.adafactor import adafactor, power_decay_rate, scale_by_factored_rms
from gdjax.optimizers.factored.came import came, scale_by_came
from gdjax.optimizers.factored.sm3 import scale_by_sm3, sm3
from gdjax.optimizers.layerwise.fromage import fromage
from gdjax.optimizers.layerwise.novograd import novograd, scale_by_novograd
from gdjax.optimizers.layerwise.trust_ratio import lamb, lars, scale_by_lars, scale_by_trust_ratio
from gdjax.optimizers.line_search.backtracking_linesearch import scale_by_backtracking_linesearch
from gdjax.optimizers.line_search.lbfgs import lbfgs, scale_by_lbfgs
from gdjax.optimizers.line_search.value_and_grad import value_and_grad_from_state
from gdjax.optimizers.line_search.zoom_linesearch import scale_by_zoom_linesearch
from gdjax.optimizers.matrix.dion2 import dion2, scale_by_dion2
from gdjax.optimizers.matrix.galore import galore, scale_by_galore
from gdjax.optimizers.matrix.hyperball import adam_hyperball, muon_hyperball
from gdjax.optimizers.matrix.kl_shampoo import kl_shampoo, scale_by_kl_shampoo
from gdjax.optimizers.matrix.kron import kron, scale_by_kron
from gdjax.optimizers.matrix.muon import muon, scale_by_muon, scale_by_shape
from gdjax.optimizers.matrix.muon_clip import muon_clip, qk_clip
from gdjax.optimizers.matrix.normuon import normuon, scale_by_neurons
from gdjax.optimizers.matrix.scion import scale_by_lmo, scion, unconstrained_scion
from gdjax.optimizers.matrix.shampoo import scale_by_shampoo, shampoo
from gdjax.optimizers.matrix.soap import scale_by_soap, soap
from gdjax.optimizers.matrix.soap_muon import soap_muon
from gdjax.optimizers.parameter_free.cocob import cocob, scale_by_cocob
from gdjax.optimizers.parameter_free.dadaptation import dadapt_adamw
from gdjax.optimizers.parameter_free.dog import (
    dog, dowg, scale_by_distance_over_gradients, scale_by_dog, scale_by_dowg,
)
from gdjax.optimizers.parameter_free.momo import momo, momo_adam
from gdjax.optimizers.parameter_free.polyak import polyak_sgd, scale_by_polyak
from gdjax.optimizers.parameter_free.prodigy import prodigy
from gdjax.optimizers.schedule_free.schedule_free import schedule_free_adamw, schedule_free_sgd
from gdjax.optimizers.sgd.dpsgd import dpsgd
from gdjax.optimizers.sgd.noisy_sgd import noisy_sgd
from gdjax.optimizers.sgd.optimistic import (
    optimistic_adam, optimistic_adam_v2, optimistic_gradient_descent, scale_by_optimistic_gradient,
)
from gdjax.optimizers.sgd.sgd import momentum, sgd
from gdjax.optimizers.sign.lion import lion, scale_by_lion
from gdjax.optimizers.sign.signum import scale_by_sign, sign_sgd, signum
from gdjax.optimizers.sign.tiger import tiger
from gdjax.params.rules import (
    ParamRule, by_all, by_any, by_function, by_label, by_not, by_path, by_rank, label, select,
)
from gdjax.run.explain import Explanation, explain
from gdjax.run.microbatches import accumulate_gradients
from gdjax.run.minimize import History, MinimizeResult, Status, minimize
from gdjax.schedules.basic import (
    constant_schedule, linear_schedule, linear_to_zero, polynomial_schedule,
)
from gdjax.schedules.cosine import cosine_decay_schedule, cosine_restarts_schedule, sgdr_schedule
from gdjax.schedules.cycles import (
    cosine_cycle_schedule, cosine_onecycle_schedule, linear_onecycle_schedule, triangular_schedule,
)
from gdjax.schedules.decays import exponential_decay, inverse_sqrt_schedule
from gdjax.schedules.join import join_schedules, warmup
from gdjax.schedules.piecewise import piecewise_constant_schedule, piecewise_interpolate_schedule
from gdjax.schedules.scaled import scaled_schedule
from gdjax.schedules.warmup import (
    warmup_constant_schedule, warmup_cosine_decay_schedule, warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)
from gdjax.transforms.adaptive_clipping import (
    adaptive_grad_clip, unitwise_clip, unitwise_norm, zclip,
)
from gdjax.transforms.apply_every import apply_every
from gdjax.transforms.basic import (
    identity, scale, scale_by_learning_rate, scale_by_schedule, set_to_zero, stateless,
)
from gdjax.transforms.cautious_decay import add_cautious_weight_decay
from gdjax.transforms.centralize import centralize
from gdjax.transforms.clipping import clip, clip_by_global_norm, global_norm
from gdjax.transforms.curvature import hutchinson_estimator_diag_hessian
from gdjax.transforms.decay import add_decayed_weights, decay_weights
from gdjax.transforms.differential_privacy import differentially_private_aggregate
from gdjax.transforms.matrix_norms import normalize_matrices
from gdjax.transforms.momentum import ema, trace
from gdjax.transforms.monitor import measure_with_ema, monitor, snapshot
from gdjax.transforms.noise import add_noise
from gdjax.transforms.norms import (
    clip_by_block_rms, normalize, normalize_by_update_norm, scale_by_param_block_norm,
    scale_by_param_block_rms,
)
from gdjax.transforms.orthogonalize import orthogonalize
from gdjax.transforms.per_example import per_example_global_norm_clip, per_example_layer_norm_clip
from gdjax.transforms.plateau import reduce_on_plateau
from gdjax.transforms.target_network import incremental_update, periodic_update
from gdjax.transforms.update_ratio import measure_update_ratio
from gdjax.transforms.weight_norm import hyperball, radial_brake, update_floor
from gdjax.transforms.zero_nans import keep_params_nonnegative, stateless_with_tree_map, zero_nans
from gdjax.wrappers.averaging.averages import with_ema, with_polynomial_averaging, with_swa
from gdjax.wrappers.averaging.lookahead import lookahead
from gdjax.wrappers.averaging.primal_averaging import generalized_primal_averaging
from gdjax.wrappers.averaging.schedule_free import schedule_free, schedule_free_eval_params
from gdjax.wrappers.cautious import cautious
from gdjax.wrappers.flatten import flatten, split_real_and_imaginary
from gdjax.wrappers.graft import graft
from gdjax.wrappers.guards.accumulate import (
    accumulate, did_step, skip_large_updates, skip_not_finite,
)
from gdjax.wrappers.guards.apply_if_finite import all_finite, apply_if_finite
from gdjax.wrappers.guards.conditionally import conditionally_mask, conditionally_transform
from gdjax.wrappers.guards.loss_scale import loss_scale, loss_scale_of
from gdjax.wrappers.guards.skip_spikes import skip_spikes
from gdjax.wrappers.mars import mars
from gdjax.wrappers.mechanize import mechanize
from gdjax.wrappers.memory.compensated import compensated, with_split_weights
from gdjax.wrappers.memory.master_weights import with_master_weights
from gdjax.wrappers.memory.offload import offload
from gdjax.wrappers.memory.stochastic_rounding import stochastic_rounding
from gdjax.wrappers.memory.store import store
from gdjax.wrappers.sam import normalize_adaptively, sam
from gdjax.wrappers.select.edit_chain import Times, times
from gdjax.wrappers.select.groups import groups
from gdjax.wrappers.select.masked import freeze, frozen, masked, partition, selective_transform
from gdjax.wrappers.select.widths import depth_groups, width_groups

__all__ = [
    "Child", "Decay", "EmptyState", "Explanation", "GradientTransformation", "History",
    "Hyperparam", "LearningRate", "Live", "Mask", "MinimizeResult", "NonNegative", "Number",
    "ParamRule", "Positive", "Rule", "Schedule", "Status", "Times", "WeightDecay", "accumulate",
    "accumulate_gradients", "acprop", "adabelief", "adadelta", "adafactor", "adagrad", "adam",
    "adam_hyperball", "adam_mini", "adamax", "adamaxw", "adamc", "adamw", "adan",
    "adaptive_grad_clip", "add_cautious_weight_decay", "add_decayed_weights", "add_noise",
    "ademamix", "adopt", "all_finite", "amsgrad", "apply_every", "apply_if_finite", "apply_updates",
    "binary_dice_loss", "build", "by_all", "by_any", "by_function", "by_label", "by_not", "by_path",
    "by_rank", "came", "cautious", "centralize", "chain", "clip", "clip_by_block_rms",
    "clip_by_global_norm", "cocob", "compensated", "conditionally_mask", "conditionally_transform",
    "constant_schedule", "convex_kl_divergence", "cosine_cycle_schedule", "cosine_decay_schedule",
    "cosine_distance", "cosine_onecycle_schedule", "cosine_restarts_schedule", "cosine_similarity",
    "ctc_loss", "ctc_loss_with_forward_probs", "dadapt_adamw", "decay_weights", "depth_groups",
    "dice_loss", "did_step", "differentially_private_aggregate", "dion2", "dog", "dowg", "dpsgd",
    "ema", "explain", "exponential_decay", "flatten", "freeze", "fromage", "frozen", "galore",
    "generalized_kl_divergence", "generalized_primal_averaging", "global_norm", "graft", "grams",
    "groups", "hinge_loss", "huber_loss", "hutchinson_estimator_diag_hessian", "hyperball",
    "identity", "incremental_update", "inverse_sqrt_schedule", "join_schedules",
    "keep_params_nonnegative", "kl_divergence", "kl_divergence_with_log_targets", "kl_shampoo",
    "kron", "l2_loss", "label", "lamb", "laprop", "lars", "lbfgs", "linear_onecycle_schedule",
    "linear_schedule", "linear_to_zero", "lion", "live", "log_cosh", "lookahead", "loss_scale",
    "loss_scale_of", "madgrad", "make_fenchel_young_loss", "mars", "masked", "matrix_axes",
    "measure_update_ratio", "measure_with_ema", "mechanize", "minimize", "momentum", "momo",
    "momo_adam", "monitor", "multiclass_generalized_dice_loss", "multiclass_hinge_loss",
    "multiclass_perceptron_loss", "multiclass_sparsemax_loss", "muon", "muon_clip",
    "muon_hyperball", "nadam", "nadamw", "noisy_sgd", "normalize", "normalize_adaptively",
    "normalize_by_update_norm", "normalize_matrices", "normuon", "novograd", "ntxent", "offload",
    "optimistic_adam", "optimistic_adam_v2", "optimistic_gradient_descent", "orthogonalize",
    "partition", "per_example_global_norm_clip", "per_example_layer_norm_clip", "perceptron_loss",
    "periodic_update", "piecewise_constant_schedule", "piecewise_interpolate_schedule",
    "poly_loss_cross_entropy", "polyak_sgd", "polynomial_schedule", "power_decay_rate", "prodigy",
    "proximal_decay", "qk_clip", "radam", "radial_brake", "ranking_softmax_loss",
    "reduce_on_plateau", "rmsprop", "rprop", "safe_softmax_cross_entropy", "sam", "scale",
    "scale_by_acprop", "scale_by_adadelta", "scale_by_adam", "scale_by_adam_mini",
    "scale_by_adamax", "scale_by_adan", "scale_by_ademamix", "scale_by_adopt", "scale_by_amsgrad",
    "scale_by_backtracking_linesearch", "scale_by_belief", "scale_by_came", "scale_by_cocob",
    "scale_by_dion2", "scale_by_distance_over_gradients", "scale_by_dog", "scale_by_dowg",
    "scale_by_factored_rms", "scale_by_galore", "scale_by_grams", "scale_by_kl_shampoo",
    "scale_by_kron", "scale_by_laprop", "scale_by_lars", "scale_by_lbfgs", "scale_by_learning_rate",
    "scale_by_lion", "scale_by_lmo", "scale_by_madgrad", "scale_by_muon", "scale_by_nadam",
    "scale_by_neurons", "scale_by_novograd", "scale_by_optimistic_gradient",
    "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak", "scale_by_radam",
    "scale_by_rms", "scale_by_rprop", "scale_by_rss", "scale_by_schedule", "scale_by_shampoo",
    "scale_by_shape", "scale_by_sign", "scale_by_simplified_ademamix", "scale_by_sm3",
    "scale_by_soap", "scale_by_sophia", "scale_by_stable_adam", "scale_by_stddev",
    "scale_by_trust_ratio", "scale_by_yogi", "scale_by_zoom_linesearch", "scaled_schedule",
    "schedule", "schedule_free", "schedule_free_adamw", "schedule_free_eval_params",
    "schedule_free_sgd", "scion", "select", "selective_transform", "set_to_zero", "sgd",
    "sgdr_schedule", "shampoo", "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "sign_sgd",
    "signum", "simplified_ademamix", "skip_large_updates", "skip_not_finite", "skip_spikes", "sm3",
    "smooth_labels", "snapshot", "soap", "soap_muon", "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels", "sophia", "sparsemax_loss", "spec",
    "split_real_and_imaginary", "squared_error", "stable_adamw", "stateless",
    "stateless_with_tree_map", "stochastic_rounding", "store", "tiger", "times", "trace",
    "transformation", "triangular_schedule", "triplet_margin_loss", "unconstrained_scion",
    "unitwise_clip", "unitwise_norm", "update_floor", "value_and_grad_from_state", "warmup",
    "warmup_constant_schedule", "warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule",
    "warmup_stable_decay_schedule", "width_groups", "with_ema", "with_master_weights",
    "with_polynomial_averaging", "with_split_weights", "with_swa", "yogi", "zclip", "zero_nans",
]
