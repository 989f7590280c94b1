"""Gradient transformations for JAX: optimizers that are data, right numbers, state with names."""

__version__ = "0.1.0"

from gdjax import losses, projections, sharding, state
from gdjax.core.data.hyperparams import Decay, Hyperparam, NonNegative, Number, Positive
from gdjax.core.data.schedule import Live, Schedule, live, schedule
from gdjax.core.data.spec import build, spec
from gdjax.core.engine.chain import chain
from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.engine.rule import Child, EmptyState, Rule
from gdjax.core.engine.transformation import (
    GradientTransformation,
    apply_updates,
    transformation,
)
from gdjax.core.matrix.matrices import *
from gdjax.losses.binary import *
from gdjax.losses.classification import *
from gdjax.losses.contrastive import *
from gdjax.losses.divergences import *
from gdjax.losses.fenchel_young import *
from gdjax.losses.margins import *
from gdjax.losses.ranking import *
from gdjax.losses.regression import *
from gdjax.losses.segmentation import *
from gdjax.losses.sequence import *
from gdjax.optimizers.adam.acprop import *
from gdjax.optimizers.adam.adabelief import *
from gdjax.optimizers.adam.adam import *
from gdjax.optimizers.adam.adam_mini import *
from gdjax.optimizers.adam.adamax import *
from gdjax.optimizers.adam.adamc import *
from gdjax.optimizers.adam.adan import *
from gdjax.optimizers.adam.ademamix import *
from gdjax.optimizers.adam.adopt import *
from gdjax.optimizers.adam.amsgrad import *
from gdjax.optimizers.adam.laprop import *
from gdjax.optimizers.adam.nadam import *
from gdjax.optimizers.adam.radam import *
from gdjax.optimizers.adam.sophia import *
from gdjax.optimizers.adam.stable_adamw import *
from gdjax.optimizers.adam.yogi import *
from gdjax.optimizers.adaptive.adadelta import *
from gdjax.optimizers.adaptive.adagrad import *
from gdjax.optimizers.adaptive.madgrad import *
from gdjax.optimizers.adaptive.rmsprop import *
from gdjax.optimizers.adaptive.rprop import *
from gdjax.optimizers.factored.adafactor import *
from gdjax.optimizers.factored.came import *
from gdjax.optimizers.factored.sm3 import *
from gdjax.optimizers.layerwise.fromage import *
from gdjax.optimizers.layerwise.novograd import *
from gdjax.optimizers.layerwise.trust_ratio import *
from gdjax.optimizers.line_search.backtracking_linesearch import *
from gdjax.optimizers.line_search.lbfgs import *
from gdjax.optimizers.line_search.value_and_grad import *
from gdjax.optimizers.line_search.zoom_linesearch import *
from gdjax.optimizers.matrix.dion2 import *
from gdjax.optimizers.matrix.galore import *
from gdjax.optimizers.matrix.hyperball import *
from gdjax.optimizers.matrix.kl_shampoo import *
from gdjax.optimizers.matrix.kron import *
from gdjax.optimizers.matrix.muon import *
from gdjax.optimizers.matrix.muon_clip import *
from gdjax.optimizers.matrix.normuon import *
from gdjax.optimizers.matrix.scion import *
from gdjax.optimizers.matrix.shampoo import *
from gdjax.optimizers.matrix.soap import *
from gdjax.optimizers.matrix.soap_muon import *
from gdjax.optimizers.parameter_free.cocob import *
from gdjax.optimizers.parameter_free.dadaptation import *
from gdjax.optimizers.parameter_free.dog import *
from gdjax.optimizers.parameter_free.momo import *
from gdjax.optimizers.parameter_free.polyak import *
from gdjax.optimizers.parameter_free.prodigy import *
from gdjax.optimizers.schedule_free.schedule_free import *
from gdjax.optimizers.sgd.dpsgd import *
from gdjax.optimizers.sgd.noisy_sgd import *
from gdjax.optimizers.sgd.optimistic import *
from gdjax.optimizers.sgd.sgd import *
from gdjax.optimizers.sign.lion import *
from gdjax.optimizers.sign.signum import *
from gdjax.params.rules import (
    by_all,
    by_any,
    by_function,
    by_label,
    by_not,
    by_path,
    by_rank,
    label,
    select,
)
from gdjax.run.explain import Explanation, explain
from gdjax.run.microbatches import *
from gdjax.run.minimize import History, MinimizeResult, Status, minimize
from gdjax.schedules.basic import *
from gdjax.schedules.cosine import *
from gdjax.schedules.cycles import *
from gdjax.schedules.decays import *
from gdjax.schedules.join import *
from gdjax.schedules.piecewise import *
from gdjax.schedules.scaled import *
from gdjax.schedules.warmup import *
from gdjax.transforms.adaptive_clipping import *
from gdjax.transforms.apply_every import *
from gdjax.transforms.basic import *
from gdjax.transforms.cautious_decay import *
from gdjax.transforms.centralize import *
from gdjax.transforms.clipping import *
from gdjax.transforms.curvature import *
from gdjax.transforms.decay import *
from gdjax.transforms.differential_privacy import *
from gdjax.transforms.matrix_norms import *
from gdjax.transforms.momentum import *
from gdjax.transforms.monitor import *
from gdjax.transforms.noise import *
from gdjax.transforms.norms import *
from gdjax.transforms.orthogonalize import *
from gdjax.transforms.per_example import *
from gdjax.transforms.plateau import *
from gdjax.transforms.target_network import *
from gdjax.transforms.update_ratio import *
from gdjax.transforms.weight_norm import *
from gdjax.transforms.zero_nans import *
from gdjax.wrappers.averaging.averages import *
from gdjax.wrappers.averaging.lookahead import *
from gdjax.wrappers.averaging.primal_averaging import *
from gdjax.wrappers.averaging.schedule_free import *
from gdjax.wrappers.cautious import *
from gdjax.wrappers.flatten import *
from gdjax.wrappers.graft import *
from gdjax.wrappers.guards.accumulate import *
from gdjax.wrappers.guards.apply_if_finite import *
from gdjax.wrappers.guards.conditionally import *
from gdjax.wrappers.guards.loss_scale import *
from gdjax.wrappers.guards.skip_spikes import *
from gdjax.wrappers.mars import *
from gdjax.wrappers.mechanize import *
from gdjax.wrappers.memory.compensated import *
from gdjax.wrappers.memory.master_weights import *
from gdjax.wrappers.memory.offload import *
from gdjax.wrappers.memory.stochastic_rounding import *
from gdjax.wrappers.memory.store import *
from gdjax.wrappers.sam import *
from gdjax.wrappers.select.edit_chain import Times, times
from gdjax.wrappers.select.groups import *
from gdjax.wrappers.select.masked import *
from gdjax.wrappers.select.widths import *


def __getattr__(name: str):
    """Loads the roof when it is looked at, not with the library."""
    if name in ("contract", "lab", "plots"):
        import importlib

        return importlib.import_module(f"gdjax.{name}")
    raise AttributeError(f"module 'gdjax' has no attribute {name!r}")
