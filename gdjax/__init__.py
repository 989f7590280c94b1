"""Gradient transformations for JAX: optimizers that are data, right numbers, state with names."""

__version__ = "0.1.0"

from gdjax import losses, projections, sharding, state
from gdjax.core.base import (
    EmptyState,
    GradientTransformation,
    InjectHyperparamsState,
    Pair,
    apply_updates,
    transformation,
)
from gdjax.core.chain import chain
from gdjax.core.config import build, spec
from gdjax.core.ranges import Decay, Hyperparam, NonNegative, Number, Positive
from gdjax.core.schedule import Live, Schedule, live, schedule
from gdjax.explain import Explanation, explain
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
from gdjax.matrices import *
from gdjax.microbatches import *
from gdjax.minimize import History, MinimizeResult, Status, minimize
from gdjax.optimizers.acprop import *
from gdjax.optimizers.adabelief import *
from gdjax.optimizers.adadelta import *
from gdjax.optimizers.adafactor import *
from gdjax.optimizers.adagrad import *
from gdjax.optimizers.adam import *
from gdjax.optimizers.adam_mini import *
from gdjax.optimizers.adamax import *
from gdjax.optimizers.adamc import *
from gdjax.optimizers.adan import *
from gdjax.optimizers.ademamix import *
from gdjax.optimizers.adopt import *
from gdjax.optimizers.amsgrad import *
from gdjax.optimizers.backtracking import *
from gdjax.optimizers.came import *
from gdjax.optimizers.cocob import *
from gdjax.optimizers.dadaptation import *
from gdjax.optimizers.dion2 import *
from gdjax.optimizers.dog import *
from gdjax.optimizers.fromage import *
from gdjax.optimizers.galore import *
from gdjax.optimizers.hyperball import *
from gdjax.optimizers.kl_shampoo import *
from gdjax.optimizers.kron import *
from gdjax.optimizers.laprop import *
from gdjax.optimizers.lbfgs import *
from gdjax.optimizers.line_search import *
from gdjax.optimizers.lion import *
from gdjax.optimizers.madgrad import *
from gdjax.optimizers.momo import *
from gdjax.optimizers.muon import *
from gdjax.optimizers.muon_clip import *
from gdjax.optimizers.nadam import *
from gdjax.optimizers.noisy import *
from gdjax.optimizers.normuon import *
from gdjax.optimizers.novograd import *
from gdjax.optimizers.optimistic import *
from gdjax.optimizers.polyak import *
from gdjax.optimizers.private import *
from gdjax.optimizers.prodigy import *
from gdjax.optimizers.radam import *
from gdjax.optimizers.rmsprop import *
from gdjax.optimizers.rprop import *
from gdjax.optimizers.schedule_free import *
from gdjax.optimizers.scion import *
from gdjax.optimizers.sgd import *
from gdjax.optimizers.shampoo import *
from gdjax.optimizers.sign import *
from gdjax.optimizers.sm3 import *
from gdjax.optimizers.soap import *
from gdjax.optimizers.soap_muon import *
from gdjax.optimizers.sophia import *
from gdjax.optimizers.stable import *
from gdjax.optimizers.trust import *
from gdjax.optimizers.yogi import *
from gdjax.optimizers.zoom import *
from gdjax.params import *
from gdjax.schedules.basic import *
from gdjax.schedules.cosine import *
from gdjax.schedules.cycles import *
from gdjax.schedules.decays import *
from gdjax.schedules.join import *
from gdjax.schedules.piecewise import *
from gdjax.schedules.scaled import *
from gdjax.schedules.warmup import *
from gdjax.transforms.adaptive_clipping import *
from gdjax.transforms.basic import *
from gdjax.transforms.cautious_decay import *
from gdjax.transforms.centralize import *
from gdjax.transforms.clipping import *
from gdjax.transforms.curvature import *
from gdjax.transforms.decay import *
from gdjax.transforms.matrix_norms import *
from gdjax.transforms.measures import *
from gdjax.transforms.momentum import *
from gdjax.transforms.noise import *
from gdjax.transforms.norm_control import *
from gdjax.transforms.norms import *
from gdjax.transforms.orthogonalize import *
from gdjax.transforms.per_example import *
from gdjax.transforms.plateau import *
from gdjax.transforms.private import *
from gdjax.transforms.ratios import *
from gdjax.transforms.repairs import *
from gdjax.transforms.targets import *
from gdjax.widths import *
from gdjax.wrappers.accumulation import *
from gdjax.wrappers.averages import *
from gdjax.wrappers.cautious import *
from gdjax.wrappers.conditional import *
from gdjax.wrappers.edits import Times, times
from gdjax.wrappers.graft import *
from gdjax.wrappers.groups import *
from gdjax.wrappers.lookahead import *
from gdjax.wrappers.loss_scale import *
from gdjax.wrappers.mars import *
from gdjax.wrappers.masking import *
from gdjax.wrappers.master_weights import *
from gdjax.wrappers.mechanic import *
from gdjax.wrappers.offload import *
from gdjax.wrappers.primal_averaging import *
from gdjax.wrappers.reshape import *
from gdjax.wrappers.residuals import *
from gdjax.wrappers.rounding import *
from gdjax.wrappers.schedule_free import *
from gdjax.wrappers.sharpness import *
from gdjax.wrappers.spikes import *
from gdjax.wrappers.store import *


def __getattr__(name: str):
    """Loads the roof when it is looked at, not with the library."""
    if name in ("contract", "lab", "plots"):
        import importlib

        return importlib.import_module(f"gdjax.{name}")
    raise AttributeError(f"module 'gdjax' has no attribute {name!r}")
