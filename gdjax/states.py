"""The classes of the states of all transformations.

Written by `python -m tests.update` from the `__all__` of the files. Do not edit.
"""

from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.engine.rule import EmptyState
from gdjax.optimizers.adam.adabelief import ScaleByBeliefState
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.optimizers.adam.adam_mini import ScaleByAdamMiniState
from gdjax.optimizers.adam.adan import ScaleByAdanState
from gdjax.optimizers.adam.ademamix import ScaleByAdemamixState, ScaleBySimplifiedAdEMAMixState
from gdjax.optimizers.adam.amsgrad import ScaleByAmsgradState
from gdjax.optimizers.adam.nadam import ScaleByNadamState
from gdjax.optimizers.adam.sophia import SophiaState
from gdjax.optimizers.adaptive.adadelta import ScaleByAdaDeltaState
from gdjax.optimizers.adaptive.adagrad import ScaleByRssState
from gdjax.optimizers.adaptive.madgrad import MadgradState
from gdjax.optimizers.adaptive.rmsprop import ScaleByRmsState, ScaleByStdDevState
from gdjax.optimizers.adaptive.rprop import ScaleByRpropState
from gdjax.optimizers.factored.adafactor import FactoredState
from gdjax.optimizers.factored.came import ScaleByCameState
from gdjax.optimizers.factored.sm3 import ScaleBySM3State
from gdjax.optimizers.layerwise.novograd import ScaleByNovogradState
from gdjax.optimizers.line_search.backtracking_linesearch import (
    BacktrackingLinesearchInfo, ScaleByBacktrackingLinesearchState,
)
from gdjax.optimizers.line_search.lbfgs import ScaleByLBFGSState
from gdjax.optimizers.line_search.zoom_linesearch import (
    ScaleByZoomLinesearchState, ZoomLinesearchInfo,
)
from gdjax.optimizers.matrix.dion2 import ScaleByDion2State
from gdjax.optimizers.matrix.galore import GaLoreState
from gdjax.optimizers.matrix.kl_shampoo import KLShampooState
from gdjax.optimizers.matrix.kron import KronState
from gdjax.optimizers.matrix.muon import MuonState
from gdjax.optimizers.matrix.normuon import ScaleByNeuronsState
from gdjax.optimizers.matrix.shampoo import ScaleByShampooState
from gdjax.optimizers.matrix.soap import ScaleBySoapState
from gdjax.optimizers.parameter_free.cocob import COCOBState
from gdjax.optimizers.parameter_free.dadaptation import DAdaptAdamWState
from gdjax.optimizers.parameter_free.dog import (
    DoGState, DoWGState, ScaleByDistanceOverGradientsState,
)
from gdjax.optimizers.parameter_free.momo import MomoAdamState, MomoState
from gdjax.optimizers.parameter_free.prodigy import ProdigyState
from gdjax.optimizers.sgd.optimistic import ScaleByOptimisticGradientState
from gdjax.optimizers.sign.lion import ScaleByLionState
from gdjax.sharding.zero import ZeroState
from gdjax.transforms.adaptive_clipping import ZClipState
from gdjax.transforms.apply_every import ApplyEvery
from gdjax.transforms.clipping import ClipByGlobalNormState
from gdjax.transforms.curvature import HutchinsonState
from gdjax.transforms.differential_privacy import DifferentiallyPrivateAggregateState
from gdjax.transforms.momentum import EmaState, TraceState
from gdjax.transforms.monitor import MeasureWithEmaState, MonitorState, SnapshotState
from gdjax.transforms.noise import AddNoiseState
from gdjax.transforms.norms import NormalizeState
from gdjax.transforms.plateau import ReduceLROnPlateauState
from gdjax.transforms.update_ratio import MeasureUpdateRatioState
from gdjax.transforms.weight_norm import HyperballState
from gdjax.transforms.zero_nans import NonNegativeParamsState, ZeroNansState
from gdjax.wrappers.averaging.averages import AverageState
from gdjax.wrappers.averaging.lookahead import LookaheadState
from gdjax.wrappers.averaging.primal_averaging import GeneralizedPrimalAveragingState
from gdjax.wrappers.averaging.schedule_free import ScheduleFreeState
from gdjax.wrappers.flatten import SplitRealAndImaginaryArrays, SplitRealAndImaginaryState
from gdjax.wrappers.graft import GraftState
from gdjax.wrappers.guards.accumulate import MultiStepsState, SkipState
from gdjax.wrappers.guards.apply_if_finite import ApplyIfFiniteState
from gdjax.wrappers.guards.conditionally import ConditionallyMaskState, ConditionallyTransformState
from gdjax.wrappers.guards.loss_scale import LossScaleState
from gdjax.wrappers.guards.skip_spikes import SkipSpikesState
from gdjax.wrappers.mars import MarsState
from gdjax.wrappers.mechanize import MechanicState
from gdjax.wrappers.memory.compensated import CompensatedState, SplitWeightsState
from gdjax.wrappers.memory.master_weights import MasterWeightsState
from gdjax.wrappers.memory.offload import OffloadState
from gdjax.wrappers.memory.stochastic_rounding import StochasticRoundingState
from gdjax.wrappers.memory.store import StoreState
from gdjax.wrappers.sam import SAMState
from gdjax.wrappers.select.masked import MaskedState, PartitionState

__all__ = [
    "AddNoiseState", "ApplyEvery", "ApplyIfFiniteState", "AverageState",
    "BacktrackingLinesearchInfo", "COCOBState", "ClipByGlobalNormState", "CompensatedState",
    "ConditionallyMaskState", "ConditionallyTransformState", "DAdaptAdamWState",
    "DifferentiallyPrivateAggregateState", "DoGState", "DoWGState", "EmaState", "EmptyState",
    "FactoredState", "GaLoreState", "GeneralizedPrimalAveragingState", "GraftState",
    "HutchinsonState", "HyperballState", "InjectHyperparamsState", "KLShampooState", "KronState",
    "LookaheadState", "LossScaleState", "MadgradState", "MarsState", "MaskedState",
    "MasterWeightsState", "MeasureUpdateRatioState", "MeasureWithEmaState", "MechanicState",
    "MomoAdamState", "MomoState", "MonitorState", "MultiStepsState", "MuonState",
    "NonNegativeParamsState", "NormalizeState", "OffloadState", "PartitionState", "ProdigyState",
    "ReduceLROnPlateauState", "SAMState", "ScaleByAdaDeltaState", "ScaleByAdamMiniState",
    "ScaleByAdamState", "ScaleByAdanState", "ScaleByAdemamixState", "ScaleByAmsgradState",
    "ScaleByBacktrackingLinesearchState", "ScaleByBeliefState", "ScaleByCameState",
    "ScaleByDion2State", "ScaleByDistanceOverGradientsState", "ScaleByLBFGSState",
    "ScaleByLionState", "ScaleByNadamState", "ScaleByNeuronsState", "ScaleByNovogradState",
    "ScaleByOptimisticGradientState", "ScaleByRmsState", "ScaleByRpropState", "ScaleByRssState",
    "ScaleBySM3State", "ScaleByShampooState", "ScaleBySimplifiedAdEMAMixState", "ScaleBySoapState",
    "ScaleByStdDevState", "ScaleByZoomLinesearchState", "ScheduleFreeState", "SkipSpikesState",
    "SkipState", "SnapshotState", "SophiaState", "SplitRealAndImaginaryArrays",
    "SplitRealAndImaginaryState", "SplitWeightsState", "StochasticRoundingState", "StoreState",
    "TraceState", "ZClipState", "ZeroNansState", "ZeroState", "ZoomLinesearchInfo",
]
