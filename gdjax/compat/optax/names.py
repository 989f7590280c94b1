"""The names of optax 0.2.8, by namespace, and their lazy loading."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from gdjax.compat.optax.installed import ELSEWHERE, from_optax
from gdjax.compat.optax.twins import twin_of
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors

__all__ = ["NAMES", "namespace"]

_HERE = "gdjax.compat.optax"

NAMES: dict[str, list[str]] = {
    space: names.split()
    for space, names in {
        "": """
            AdaptiveGradClipState AddDecayedWeightsState AddNoiseState ApplyEvery ApplyIfFiniteState
            ArrayTree
            ClipByGlobalNormState ClipState ConditionallyMaskState ConditionallyTransformState
            EmaState EmptyState FactoredState GradientTransformation GradientTransformationExtraArgs
            InjectHyperparamsState InjectStatefulHyperparamsState LookaheadParams LookaheadState
            MaskOrFn MaskedNode MaskedState MonitorState MultiSteps MultiStepsState
            MultiTransformState NonNegativeParamsState OptState Params PartitionState
            ScalarOrSchedule ScaleByAdaDeltaState ScaleByAdamState ScaleByAdanState
            ScaleByAmsgradState ScaleByBacktrackingLinesearchState ScaleByBeliefState
            ScaleByLBFGSState ScaleByLionState ScaleByNovogradState ScaleByRStdDevState
            ScaleByRmsState ScaleByRpropState ScaleByRssState ScaleBySM3State ScaleByScheduleState
            ScaleByTrustRatioState ScaleByZoomLinesearchState ScaleState Schedule
            ShouldSkipUpdateFunction SnapshotState TraceState TransformInitFn
            TransformUpdateExtraArgsFn TransformUpdateFn Updates WrappedSchedule ZeroNansState
            ZoomLinesearchInfo adabelief adadelta adafactor adagrad adam adamax adamaxw adamw adan
            adaptive_grad_clip add_decayed_weights add_noise amsgrad apply_every apply_if_finite
            apply_updates assignment bias_correction centralize chain clip clip_by_block_rms
            clip_by_global_norm conditionally_mask conditionally_transform constant_schedule contrib
            convex_kl_divergence cosine_decay_schedule cosine_distance cosine_onecycle_schedule
            cosine_similarity ctc_loss ctc_loss_with_forward_probs ema
            exponential_decay flatten freeze fromage generalized_kl_divergence global_norm
            hinge_loss huber_loss identity incremental_update init_empty_state inject_hyperparams
            inject_stateful_hyperparams join_schedules keep_params_nonnegative kl_divergence l2_loss
            lamb lars lbfgs linear_onecycle_schedule linear_schedule lion log_cosh lookahead losses
            masked matrix_inverse_pth_root measure_with_ema microbatch microbatching monitor
            multi_normal multi_transform nadam nadamw named_chain nnls noisy_sgd
            normalize_by_update_norm novograd ntxent optimistic_adam optimistic_adam_v2
            optimistic_gradient_descent partition per_example_global_norm_clip
            per_example_layer_norm_clip periodic_update perturbations piecewise_constant_schedule
            piecewise_interpolate_schedule polyak_sgd polynomial_schedule power_iteration
            projections radam rmsprop rprop safe_increment safe_int32_increment safe_norm
            safe_root_mean_squares safe_softmax_cross_entropy scale scale_by_adadelta scale_by_adam
            scale_by_adamax scale_by_adan scale_by_amsgrad scale_by_backtracking_linesearch
            scale_by_belief scale_by_distance_over_gradients scale_by_factored_rms scale_by_lbfgs
            scale_by_learning_rate scale_by_lion scale_by_novograd scale_by_optimistic_gradient
            scale_by_param_block_norm scale_by_param_block_rms scale_by_polyak scale_by_radam
            scale_by_rms scale_by_rprop scale_by_rss scale_by_schedule scale_by_sign scale_by_sm3
            scale_by_stddev scale_by_trust_ratio scale_by_yogi scale_by_zoom_linesearch
            scale_gradient schedules second_order selective_transform set_to_zero sgd sgdr_schedule
            sigmoid_binary_cross_entropy sigmoid_focal_loss sign_sgd signum skip_large_updates
            skip_not_finite sm3 smooth_labels snapshot softmax_cross_entropy
            softmax_cross_entropy_with_integer_labels squared_error stateless
            stateless_with_tree_map trace transforms tree tree_map_params tree_utils
            update_infinity_moment update_moment update_moment_per_elem_norm
            value_and_grad_from_state warmup_constant_schedule warmup_cosine_decay_schedule
            warmup_exponential_decay_schedule with_extra_args_support yogi zero_nans
        """,
        "contrib": """
            COCOBState DAdaptAdamWState DifferentiallyPrivateAggregateState DoGState DoWGState
            GaLoreDimensionNumbers GaLoreState HutchinsonState MadgradState MechanicState
            MomoAdamState MomoState MuonDimensionNumbers MuonState NormalizeState ProdigyState
            ReduceLROnPlateauState SAMState ScaleByAdemamixState ScaleBySimplifiedAdEMAMixState
            ScheduleFreeState SophiaState SplitRealAndImaginaryState acprop ademamix adopt cocob
            dadapt_adamw differentially_private_aggregate dog dowg dpsgd galore
            hutchinson_estimator_diag_hessian madgrad mechanize momo momo_adam muon normalize
            prodigy reduce_on_plateau sam scale_by_acprop scale_by_ademamix scale_by_adopt
            scale_by_cocob scale_by_galore scale_by_madgrad scale_by_muon
            scale_by_simplified_ademamix schedule_free schedule_free_adamw schedule_free_eval_params
            schedule_free_sgd simplified_ademamix sophia split_real_and_imaginary
        """,
        "transforms": """
            AddNoiseState ApplyIfFiniteState ConditionFn ConditionallyMaskState
            ConditionallyTransformState EmaState MaskedNode MaskedState MonitorState MultiSteps
            MultiStepsState NonNegativeParamsState PartitionState ShouldSkipUpdateFunction
            SnapshotState TraceState ZeroNansState adaptive_grad_clip add_decayed_weights add_noise
            apply_if_finite chain clip clip_by_block_rms clip_by_global_norm conditionally_mask
            conditionally_transform ema flatten freeze keep_params_nonnegative masked
            measure_with_ema monitor named_chain partition per_example_global_norm_clip
            per_example_layer_norm_clip selective_transform skip_large_updates skip_not_finite
            snapshot trace unitwise_clip unitwise_norm zero_nans
        """,
        "schedules": """
            InjectHyperparamsState InjectStatefulHyperparamsState Schedule StatefulSchedule
            WrappedSchedule constant_schedule cosine_decay_schedule cosine_onecycle_schedule
            exponential_decay inject_hyperparams inject_stateful_hyperparams join_schedules
            linear_onecycle_schedule linear_schedule piecewise_constant_schedule
            piecewise_interpolate_schedule polynomial_schedule sgdr_schedule
            warmup_constant_schedule warmup_cosine_decay_schedule warmup_exponential_decay_schedule
        """,
        "losses": """
            binary_dice_loss convex_kl_divergence cosine_distance cosine_similarity ctc_loss
            ctc_loss_with_forward_probs dice_loss generalized_kl_divergence hinge_loss huber_loss
            kl_divergence kl_divergence_with_log_targets l2_loss log_cosh make_fenchel_young_loss
            multiclass_generalized_dice_loss multiclass_hinge_loss multiclass_perceptron_loss
            multiclass_sparsemax_loss ntxent perceptron_loss poly_loss_cross_entropy
            ranking_softmax_loss safe_softmax_cross_entropy sigmoid_binary_cross_entropy
            sigmoid_focal_loss smooth_labels softmax_cross_entropy
            softmax_cross_entropy_with_integer_labels sparsemax_loss squared_error
            triplet_margin_loss
        """,
        "projections": """
            projection_box projection_halfspace projection_hypercube projection_hyperplane
            projection_l1_ball projection_l1_sphere projection_l2_ball projection_l2_sphere
            projection_linf_ball projection_non_negative projection_simplex projection_vector
        """,
    }.items()
}


def namespace(
    space: str, sources: tuple[str, ...]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Makes `__getattr__` and `__dir__` of a module with all names of a module of optax.

    Args:
        space: Key of `NAMES`, the module's name after `optax.`.
        sources: The modules in which a name is looked up, in this order.
    """
    module, here = f"optax.{space}".rstrip("."), f"{_HERE}.{space}".rstrip(".")

    def look(name: str) -> Any:
        if name in ("__path__", "__all__") or name not in NAMES[space]:
            hint = "" if name.startswith("_") else errors.nearest(name, NAMES[space])
            raise AttributeError(f"module {module!r} has no attribute {name!r}. {hint}".rstrip())
        if name in ELSEWHERE:
            return from_optax(name)
        if not space and importlib.util.find_spec(f"{_HERE}.{name}"):
            return importlib.import_module(f"{_HERE}.{name}")
        for source in filter(importlib.util.find_spec, (*sources, "gdjax.states")):
            if (found := getattr(importlib.import_module(source), name, None)) is not None:
                if source != "gdjax":
                    return found
                kind = getattr(getattr(found, "factory", None), "make", None)
                return twin_of(name, found, here) if kind is GradientTransformation else found
        raise AttributeError(f"gdjax has no counterpart of {module}.{name}.")

    def listed() -> list[str]:
        found = importlib.import_module(here)
        return sorted(name for name in NAMES[space] if hasattr(found, name))

    return look, listed
