"""The public names of gdjax, and the files that define them.

Written by `python -m tests.update` from the `__all__` of the files. Do not edit.
"""

from gdjax.core.data.build import build as build
from gdjax.core.data.hyperparams import Decay as Decay, Hyperparam as Hyperparam, LearningRate as LearningRate, Mask as Mask, NonNegative as NonNegative, Number as Number, Positive as Positive, WeightDecay as WeightDecay
from gdjax.core.data.schedule import Live as Live, Schedule as Schedule, live as live, schedule as schedule
from gdjax.core.data.spec import spec as spec
from gdjax.core.engine.chain import chain as chain
from gdjax.core.engine.rule import Child as Child, EmptyState as EmptyState, Rule as Rule
from gdjax.core.engine.transformation import GradientTransformation as GradientTransformation, apply_updates as apply_updates, transformation as transformation
from gdjax.core.matrix.matrices import matrix_axes as matrix_axes
from gdjax.losses.binary import hinge_loss as hinge_loss, perceptron_loss as perceptron_loss, sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy, sigmoid_focal_loss as sigmoid_focal_loss, sparsemax_loss as sparsemax_loss
from gdjax.losses.classification import poly_loss_cross_entropy as poly_loss_cross_entropy, safe_softmax_cross_entropy as safe_softmax_cross_entropy, smooth_labels as smooth_labels, softmax_cross_entropy as softmax_cross_entropy, softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels
from gdjax.losses.contrastive import ntxent as ntxent, triplet_margin_loss as triplet_margin_loss
from gdjax.losses.divergences import convex_kl_divergence as convex_kl_divergence, generalized_kl_divergence as generalized_kl_divergence, kl_divergence as kl_divergence, kl_divergence_with_log_targets as kl_divergence_with_log_targets
from gdjax.losses.fenchel_young import make_fenchel_young_loss as make_fenchel_young_loss
from gdjax.losses.margins import multiclass_hinge_loss as multiclass_hinge_loss, multiclass_perceptron_loss as multiclass_perceptron_loss, multiclass_sparsemax_loss as multiclass_sparsemax_loss
from gdjax.losses.ranking import ranking_softmax_loss as ranking_softmax_loss
from gdjax.losses.regression import cosine_distance as cosine_distance, cosine_similarity as cosine_similarity, huber_loss as huber_loss, l2_loss as l2_loss, log_cosh as log_cosh, squared_error as squared_error
from gdjax.losses.segmentation import binary_dice_loss as binary_dice_loss, dice_loss as dice_loss, multiclass_generalized_dice_loss as multiclass_generalized_dice_loss
from gdjax.losses.sequence import ctc_loss as ctc_loss, ctc_loss_with_forward_probs as ctc_loss_with_forward_probs
from gdjax.optimizers.adam.acprop import acprop as acprop, scale_by_acprop as scale_by_acprop
from gdjax.optimizers.adam.adabelief import adabelief as adabelief, scale_by_belief as scale_by_belief
from gdjax.optimizers.adam.adam import adam as adam, adamw as adamw, scale_by_adam as scale_by_adam
from gdjax.optimizers.adam.adam_mini import adam_mini as adam_mini, scale_by_adam_mini as scale_by_adam_mini
from gdjax.optimizers.adam.adamax import adamax as adamax, adamaxw as adamaxw, scale_by_adamax as scale_by_adamax
from gdjax.optimizers.adam.adamc import adamc as adamc
from gdjax.optimizers.adam.adan import adan as adan, proximal_decay as proximal_decay, scale_by_adan as scale_by_adan
from gdjax.optimizers.adam.ademamix import ademamix as ademamix, scale_by_ademamix as scale_by_ademamix, scale_by_simplified_ademamix as scale_by_simplified_ademamix, simplified_ademamix as simplified_ademamix
from gdjax.optimizers.adam.adopt import adopt as adopt, scale_by_adopt as scale_by_adopt
from gdjax.optimizers.adam.amsgrad import amsgrad as amsgrad, scale_by_amsgrad as scale_by_amsgrad
from gdjax.optimizers.adam.grams import grams as grams, scale_by_grams as scale_by_grams
from gdjax.optimizers.adam.laprop import laprop as laprop, scale_by_laprop as scale_by_laprop
from gdjax.optimizers.adam.nadam import nadam as nadam, nadamw as nadamw, scale_by_nadam as scale_by_nadam
from gdjax.optimizers.adam.radam import radam as radam, scale_by_radam as scale_by_radam
from gdjax.optimizers.adam.sophia import scale_by_sophia as scale_by_sophia, sophia as sophia
from gdjax.optimizers.adam.stable_adamw import scale_by_stable_adam as scale_by_stable_adam, stable_adamw as stable_adamw
from gdjax.optimizers.adam.yogi import scale_by_yogi as scale_by_yogi, yogi as yogi
from gdjax.optimizers.adaptive.adadelta import adadelta as adadelta, scale_by_adadelta as scale_by_adadelta
from gdjax.optimizers.adaptive.adagrad import adagrad as adagrad, scale_by_rss as scale_by_rss
from gdjax.optimizers.adaptive.madgrad import madgrad as madgrad, scale_by_madgrad as scale_by_madgrad
from gdjax.optimizers.adaptive.rmsprop import rmsprop as rmsprop, scale_by_rms as scale_by_rms, scale_by_stddev as scale_by_stddev
from gdjax.optimizers.adaptive.rprop import rprop as rprop, scale_by_rprop as scale_by_rprop
from gdjax.optimizers.factored.adafactor import adafactor as adafactor, power_decay_rate as power_decay_rate, scale_by_factored_rms as scale_by_factored_rms
from gdjax.optimizers.factored.came import came as came, scale_by_came as scale_by_came
from gdjax.optimizers.factored.sm3 import scale_by_sm3 as scale_by_sm3, sm3 as sm3
from gdjax.optimizers.layerwise.fromage import fromage as fromage
from gdjax.optimizers.layerwise.novograd import novograd as novograd, scale_by_novograd as scale_by_novograd
from gdjax.optimizers.layerwise.trust_ratio import lamb as lamb, lars as lars, scale_by_lars as scale_by_lars, scale_by_trust_ratio as scale_by_trust_ratio
from gdjax.optimizers.line_search.backtracking_linesearch import scale_by_backtracking_linesearch as scale_by_backtracking_linesearch
from gdjax.optimizers.line_search.lbfgs import lbfgs as lbfgs, scale_by_lbfgs as scale_by_lbfgs
from gdjax.optimizers.line_search.value_and_grad import value_and_grad_from_state as value_and_grad_from_state
from gdjax.optimizers.line_search.zoom_linesearch import scale_by_zoom_linesearch as scale_by_zoom_linesearch
from gdjax.optimizers.matrix.apollo import apollo as apollo, apollo_mini as apollo_mini, scale_by_apollo as scale_by_apollo, scale_by_apollo_mini as scale_by_apollo_mini
from gdjax.optimizers.matrix.aurora import aurora as aurora, orthogonalize_uniformly as orthogonalize_uniformly
from gdjax.optimizers.matrix.dion2 import dion2 as dion2, scale_by_dion2 as scale_by_dion2
from gdjax.optimizers.matrix.dion3 import dion3 as dion3, scale_by_dion3 as scale_by_dion3
from gdjax.optimizers.matrix.fira import fira as fira, scale_by_fira as scale_by_fira
from gdjax.optimizers.matrix.galore import galore as galore, scale_by_galore as scale_by_galore
from gdjax.optimizers.matrix.hyperball import adam_hyperball as adam_hyperball, muon_hyperball as muon_hyperball
from gdjax.optimizers.matrix.kl_shampoo import kl_shampoo as kl_shampoo, scale_by_kl_shampoo as scale_by_kl_shampoo
from gdjax.optimizers.matrix.kl_soap import kl_soap as kl_soap, scale_by_kl_soap as scale_by_kl_soap
from gdjax.optimizers.matrix.kron import kron as kron, scale_by_kron as scale_by_kron
from gdjax.optimizers.matrix.muon import muon as muon, scale_by_muon as scale_by_muon, scale_by_shape as scale_by_shape
from gdjax.optimizers.matrix.muon_clip import muon_clip as muon_clip, qk_clip as qk_clip
from gdjax.optimizers.matrix.muonbp import muonbp as muonbp, orthogonalize_blocks as orthogonalize_blocks
from gdjax.optimizers.matrix.muown import muown as muown
from gdjax.optimizers.matrix.namo import namo as namo, scale_by_namo as scale_by_namo
from gdjax.optimizers.matrix.normuon import normuon as normuon, scale_by_neurons as scale_by_neurons
from gdjax.optimizers.matrix.scion import scale_by_lmo as scale_by_lmo, scion as scion, unconstrained_scion as unconstrained_scion
from gdjax.optimizers.matrix.shampoo import scale_by_shampoo as scale_by_shampoo, shampoo as shampoo
from gdjax.optimizers.matrix.soap import scale_by_soap as scale_by_soap, soap as soap
from gdjax.optimizers.matrix.soap_muon import soap_muon as soap_muon
from gdjax.optimizers.parameter_free.auto import auto as auto
from gdjax.optimizers.parameter_free.cocob import cocob as cocob, scale_by_cocob as scale_by_cocob
from gdjax.optimizers.parameter_free.dadaptation import dadapt_adamw as dadapt_adamw
from gdjax.optimizers.parameter_free.dog import dog as dog, dowg as dowg, scale_by_distance_over_gradients as scale_by_distance_over_gradients, scale_by_dog as scale_by_dog, scale_by_dowg as scale_by_dowg
from gdjax.optimizers.parameter_free.momo import momo as momo, momo_adam as momo_adam
from gdjax.optimizers.parameter_free.polyak import polyak_sgd as polyak_sgd, scale_by_polyak as scale_by_polyak
from gdjax.optimizers.parameter_free.prodigy import prodigy as prodigy
from gdjax.optimizers.schedule_free.schedule_free import schedule_free_adamw as schedule_free_adamw, schedule_free_sgd as schedule_free_sgd
from gdjax.optimizers.schedule_free.schedule_free_plus import schedule_free_plus_adamc as schedule_free_plus_adamc
from gdjax.optimizers.sgd.dpsgd import dpsgd as dpsgd
from gdjax.optimizers.sgd.noisy_sgd import noisy_sgd as noisy_sgd
from gdjax.optimizers.sgd.optimistic import optimistic_adam as optimistic_adam, optimistic_adam_v2 as optimistic_adam_v2, optimistic_gradient_descent as optimistic_gradient_descent, scale_by_optimistic_gradient as scale_by_optimistic_gradient
from gdjax.optimizers.sgd.sgd import momentum as momentum, sgd as sgd
from gdjax.optimizers.sign.lion import lion as lion, scale_by_lion as scale_by_lion
from gdjax.optimizers.sign.signum import scale_by_sign as scale_by_sign, sign_sgd as sign_sgd, signum as signum
from gdjax.optimizers.sign.tiger import tiger as tiger
from gdjax.params.bias_or_norm import by_bias_or_norm as by_bias_or_norm
from gdjax.params.rules import ParamRule as ParamRule, by_all as by_all, by_any as by_any, by_function as by_function, by_label as by_label, by_not as by_not, by_path as by_path, by_rank as by_rank, label as label, select as select
from gdjax.run.explain import Explanation as Explanation, explain as explain
from gdjax.run.microbatches import accumulate_gradients as accumulate_gradients
from gdjax.run.minimize import History as History, MinimizeResult as MinimizeResult, Status as Status, minimize as minimize
from gdjax.run.release import ReleasedGradients as ReleasedGradients, release_gradients as release_gradients
from gdjax.schedules.basic import constant_schedule as constant_schedule, linear_schedule as linear_schedule, linear_to_zero as linear_to_zero, polynomial_schedule as polynomial_schedule
from gdjax.schedules.cosine import cosine_decay_schedule as cosine_decay_schedule, cosine_restarts_schedule as cosine_restarts_schedule, sgdr_schedule as sgdr_schedule
from gdjax.schedules.cycles import cosine_cycle_schedule as cosine_cycle_schedule, cosine_onecycle_schedule as cosine_onecycle_schedule, linear_onecycle_schedule as linear_onecycle_schedule, triangular_schedule as triangular_schedule
from gdjax.schedules.decays import exponential_decay as exponential_decay, inverse_sqrt_schedule as inverse_sqrt_schedule
from gdjax.schedules.join import join_schedules as join_schedules, warmup as warmup
from gdjax.schedules.piecewise import piecewise_constant_schedule as piecewise_constant_schedule, piecewise_interpolate_schedule as piecewise_interpolate_schedule
from gdjax.schedules.scaled import scaled_schedule as scaled_schedule
from gdjax.schedules.warmup import warmup_constant_schedule as warmup_constant_schedule, warmup_cosine_decay_schedule as warmup_cosine_decay_schedule, warmup_exponential_decay_schedule as warmup_exponential_decay_schedule, warmup_stable_decay_schedule as warmup_stable_decay_schedule
from gdjax.transforms.adaptive_clipping import adaptive_grad_clip as adaptive_grad_clip, unitwise_clip as unitwise_clip, unitwise_norm as unitwise_norm, zclip as zclip
from gdjax.transforms.apply_every import apply_every as apply_every
from gdjax.transforms.basic import identity as identity, scale as scale, scale_by_learning_rate as scale_by_learning_rate, scale_by_schedule as scale_by_schedule, set_to_zero as set_to_zero, stateless as stateless
from gdjax.transforms.cautious_decay import add_cautious_weight_decay as add_cautious_weight_decay
from gdjax.transforms.centralize import centralize as centralize
from gdjax.transforms.clipping import clip as clip, clip_by_global_norm as clip_by_global_norm, global_norm as global_norm
from gdjax.transforms.curvature import hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian
from gdjax.transforms.decay import add_decayed_weights as add_decayed_weights, decay_weights as decay_weights
from gdjax.transforms.differential_privacy import differentially_private_aggregate as differentially_private_aggregate
from gdjax.transforms.matrix_norms import normalize_matrices as normalize_matrices, scale_to_rms as scale_to_rms
from gdjax.transforms.momentum import ema as ema, trace as trace
from gdjax.transforms.monitor import measure_with_ema as measure_with_ema, monitor as monitor, snapshot as snapshot
from gdjax.transforms.noise import add_noise as add_noise
from gdjax.transforms.norms import clip_by_block_rms as clip_by_block_rms, normalize as normalize, normalize_by_update_norm as normalize_by_update_norm, scale_by_param_block_norm as scale_by_param_block_norm, scale_by_param_block_rms as scale_by_param_block_rms
from gdjax.transforms.orthogonalize import orthogonalize as orthogonalize
from gdjax.transforms.per_example import per_example_global_norm_clip as per_example_global_norm_clip, per_example_layer_norm_clip as per_example_layer_norm_clip
from gdjax.transforms.plateau import reduce_on_plateau as reduce_on_plateau
from gdjax.transforms.target_network import incremental_update as incremental_update, periodic_update as periodic_update
from gdjax.transforms.update_ratio import measure_update_ratio as measure_update_ratio
from gdjax.transforms.weight_norm import hyperball as hyperball, radial_brake as radial_brake, update_floor as update_floor
from gdjax.transforms.zero_nans import keep_params_nonnegative as keep_params_nonnegative, stateless_with_tree_map as stateless_with_tree_map, zero_nans as zero_nans
from gdjax.wrappers.averaging.averages import with_ema as with_ema, with_polynomial_averaging as with_polynomial_averaging, with_swa as with_swa
from gdjax.wrappers.averaging.diloco import diloco as diloco
from gdjax.wrappers.averaging.ema_nesterov import ema_nesterov as ema_nesterov
from gdjax.wrappers.averaging.lookahead import lookahead as lookahead
from gdjax.wrappers.averaging.primal_averaging import generalized_primal_averaging as generalized_primal_averaging
from gdjax.wrappers.averaging.schedule_free import schedule_free as schedule_free, schedule_free_eval_params as schedule_free_eval_params
from gdjax.wrappers.averaging.schedule_free_plus import schedule_free_plus as schedule_free_plus
from gdjax.wrappers.cautious import cautious as cautious
from gdjax.wrappers.flatten import flatten as flatten, split_real_and_imaginary as split_real_and_imaginary
from gdjax.wrappers.graft import graft as graft
from gdjax.wrappers.guards.accumulate import accumulate as accumulate, did_step as did_step, flush as flush, skip_large_updates as skip_large_updates, skip_not_finite as skip_not_finite
from gdjax.wrappers.guards.apply_if_finite import all_finite as all_finite, apply_if_finite as apply_if_finite
from gdjax.wrappers.guards.conditionally import conditionally_mask as conditionally_mask, conditionally_transform as conditionally_transform
from gdjax.wrappers.guards.loss_scale import loss_scale as loss_scale, loss_scale_of as loss_scale_of
from gdjax.wrappers.guards.skip_spikes import skip_spikes as skip_spikes
from gdjax.wrappers.mars import mars as mars
from gdjax.wrappers.mechanize import mechanize as mechanize
from gdjax.wrappers.memory.compensated import compensated as compensated, with_split_weights as with_split_weights
from gdjax.wrappers.memory.master_weights import with_master_weights as with_master_weights
from gdjax.wrappers.memory.offload import offload as offload
from gdjax.wrappers.memory.stochastic_rounding import stochastic_rounding as stochastic_rounding
from gdjax.wrappers.memory.store import store as store
from gdjax.wrappers.sam import normalize_adaptively as normalize_adaptively, sam as sam
from gdjax.wrappers.select.edit_chain import Times as Times, times as times
from gdjax.wrappers.select.groups import groups as groups
from gdjax.wrappers.select.masked import freeze as freeze, frozen as frozen, masked as masked, partition as partition, selective_transform as selective_transform
from gdjax.wrappers.select.rescaled import rescaled as rescaled
from gdjax.wrappers.select.widths import depth_groups as depth_groups, width_groups as width_groups
from gdjax.wrappers.weight_normalized import weight_normalized as weight_normalized
from gdjax import compat as compat
from gdjax import contract as contract
from gdjax import lab as lab
from gdjax import losses as losses
from gdjax import params as params
from gdjax import plots as plots
from gdjax import programs as programs
from gdjax import projections as projections
from gdjax import recipes as recipes
from gdjax import sharding as sharding
from gdjax import state as state
from gdjax import states as states

__version__: str
