"""The classes of the states of all transformations.

Written by `python -m tests.update` from the `__all__` of the files. Do not edit.
"""

from gdjax.core.engine.numbers import InjectHyperparamsState as InjectHyperparamsState
from gdjax.core.engine.rule import EmptyState as EmptyState
from gdjax.optimizers.adam.adabelief import ScaleByBeliefState as ScaleByBeliefState
from gdjax.optimizers.adam.adam import ScaleByAdamState as ScaleByAdamState
from gdjax.optimizers.adam.adam_mini import ScaleByAdamMiniState as ScaleByAdamMiniState
from gdjax.optimizers.adam.adan import ScaleByAdanState as ScaleByAdanState
from gdjax.optimizers.adam.ademamix import ScaleByAdemamixState as ScaleByAdemamixState, ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState
from gdjax.optimizers.adam.amsgrad import ScaleByAmsgradState as ScaleByAmsgradState
from gdjax.optimizers.adam.nadam import ScaleByNadamState as ScaleByNadamState
from gdjax.optimizers.adam.sophia import SophiaState as SophiaState
from gdjax.optimizers.adaptive.adadelta import ScaleByAdaDeltaState as ScaleByAdaDeltaState
from gdjax.optimizers.adaptive.adagrad import ScaleByRssState as ScaleByRssState
from gdjax.optimizers.adaptive.madgrad import MadgradState as MadgradState
from gdjax.optimizers.adaptive.rmsprop import ScaleByRmsState as ScaleByRmsState, ScaleByStdDevState as ScaleByStdDevState
from gdjax.optimizers.adaptive.rprop import ScaleByRpropState as ScaleByRpropState
from gdjax.optimizers.factored.adafactor import FactoredState as FactoredState
from gdjax.optimizers.factored.came import ScaleByCameState as ScaleByCameState
from gdjax.optimizers.factored.sm3 import ScaleBySM3State as ScaleBySM3State
from gdjax.optimizers.layerwise.novograd import ScaleByNovogradState as ScaleByNovogradState
from gdjax.optimizers.line_search.backtracking_linesearch import BacktrackingLinesearchInfo as BacktrackingLinesearchInfo, ScaleByBacktrackingLinesearchState as ScaleByBacktrackingLinesearchState
from gdjax.optimizers.line_search.lbfgs import ScaleByLBFGSState as ScaleByLBFGSState
from gdjax.optimizers.line_search.zoom_linesearch import ScaleByZoomLinesearchState as ScaleByZoomLinesearchState, ZoomLinesearchInfo as ZoomLinesearchInfo
from gdjax.optimizers.matrix.apollo import ApolloState as ApolloState
from gdjax.optimizers.matrix.dion2 import ScaleByDion2State as ScaleByDion2State
from gdjax.optimizers.matrix.dion3 import ScaleByDion3State as ScaleByDion3State
from gdjax.optimizers.matrix.fira import FiraState as FiraState
from gdjax.optimizers.matrix.galore import GaLoreState as GaLoreState
from gdjax.optimizers.matrix.kl_shampoo import KLShampooState as KLShampooState
from gdjax.optimizers.matrix.kl_soap import KLSoapState as KLSoapState
from gdjax.optimizers.matrix.kron import KronState as KronState
from gdjax.optimizers.matrix.muon import MuonState as MuonState
from gdjax.optimizers.matrix.muonbp import OrthogonalizeBlocksState as OrthogonalizeBlocksState
from gdjax.optimizers.matrix.namo import ScaleByNamoState as ScaleByNamoState
from gdjax.optimizers.matrix.normuon import ScaleByNeuronsState as ScaleByNeuronsState
from gdjax.optimizers.matrix.shampoo import ScaleByShampooState as ScaleByShampooState
from gdjax.optimizers.matrix.soap import ScaleBySoapState as ScaleBySoapState
from gdjax.optimizers.parameter_free.cocob import COCOBState as COCOBState
from gdjax.optimizers.parameter_free.dadaptation import DAdaptAdamWState as DAdaptAdamWState
from gdjax.optimizers.parameter_free.dog import DoGState as DoGState, DoWGState as DoWGState, ScaleByDistanceOverGradientsState as ScaleByDistanceOverGradientsState
from gdjax.optimizers.parameter_free.momo import MomoAdamState as MomoAdamState, MomoState as MomoState
from gdjax.optimizers.parameter_free.prodigy import ProdigyState as ProdigyState
from gdjax.optimizers.sgd.optimistic import ScaleByOptimisticGradientState as ScaleByOptimisticGradientState
from gdjax.optimizers.sign.lion import ScaleByLionState as ScaleByLionState
from gdjax.run.release import ReleasedState as ReleasedState
from gdjax.sharding.zero import ZeroState as ZeroState
from gdjax.transforms.adaptive_clipping import ZClipState as ZClipState
from gdjax.transforms.apply_every import ApplyEvery as ApplyEvery
from gdjax.transforms.clipping import ClipByGlobalNormState as ClipByGlobalNormState
from gdjax.transforms.curvature import HutchinsonState as HutchinsonState
from gdjax.transforms.differential_privacy import DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState
from gdjax.transforms.momentum import EmaState as EmaState, TraceState as TraceState
from gdjax.transforms.monitor import MeasureWithEmaState as MeasureWithEmaState, MonitorState as MonitorState, SnapshotState as SnapshotState
from gdjax.transforms.noise import AddNoiseState as AddNoiseState
from gdjax.transforms.plateau import ReduceLROnPlateauState as ReduceLROnPlateauState
from gdjax.transforms.update_ratio import MeasureUpdateRatioState as MeasureUpdateRatioState
from gdjax.transforms.weight_norm import HyperballState as HyperballState
from gdjax.transforms.zero_nans import ZeroNansState as ZeroNansState
from gdjax.wrappers.averaging.averages import AverageState as AverageState
from gdjax.wrappers.averaging.diloco import DilocoState as DilocoState
from gdjax.wrappers.averaging.ema_nesterov import EmaNesterovState as EmaNesterovState
from gdjax.wrappers.averaging.lookahead import LookaheadState as LookaheadState
from gdjax.wrappers.averaging.primal_averaging import GeneralizedPrimalAveragingState as GeneralizedPrimalAveragingState
from gdjax.wrappers.averaging.schedule_free import ScheduleFreeState as ScheduleFreeState
from gdjax.wrappers.averaging.schedule_free_plus import ScheduleFreePlusState as ScheduleFreePlusState
from gdjax.wrappers.flatten import SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays, SplitRealAndImaginaryState as SplitRealAndImaginaryState
from gdjax.wrappers.graft import GraftState as GraftState
from gdjax.wrappers.guards.accumulate import MultiStepsState as MultiStepsState, SkipState as SkipState
from gdjax.wrappers.guards.apply_if_finite import ApplyIfFiniteState as ApplyIfFiniteState
from gdjax.wrappers.guards.conditionally import ConditionallyMaskState as ConditionallyMaskState, ConditionallyTransformState as ConditionallyTransformState
from gdjax.wrappers.guards.loss_scale import LossScaleState as LossScaleState
from gdjax.wrappers.guards.skip_spikes import SkipSpikesState as SkipSpikesState
from gdjax.wrappers.mars import MarsState as MarsState
from gdjax.wrappers.mechanize import MechanicState as MechanicState
from gdjax.wrappers.memory.compensated import CompensatedState as CompensatedState, SplitWeightsState as SplitWeightsState
from gdjax.wrappers.memory.master_weights import MasterWeightsState as MasterWeightsState
from gdjax.wrappers.memory.offload import OffloadState as OffloadState
from gdjax.wrappers.memory.stochastic_rounding import StochasticRoundingState as StochasticRoundingState
from gdjax.wrappers.memory.store import StoreState as StoreState
from gdjax.wrappers.sam import SAMState as SAMState
from gdjax.wrappers.select.masked import MaskedState as MaskedState, PartitionState as PartitionState
from gdjax.wrappers.weight_normalized import WeightNormalizedState as WeightNormalizedState
