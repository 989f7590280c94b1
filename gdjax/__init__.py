"""Gradient transformations for JAX: optimizers that are data, right numbers, state with names."""

__version__ = "0.1.0"

from gdjax import state
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
from gdjax.minimize import History, MinimizeResult, Status, minimize
from gdjax.optimizers.adagrad import *
from gdjax.optimizers.adam import *
from gdjax.optimizers.rmsprop import *
from gdjax.optimizers.sgd import *
from gdjax.schedules.basic import *
from gdjax.schedules.cosine import *
from gdjax.schedules.cycles import *
from gdjax.schedules.decays import *
from gdjax.schedules.join import *
from gdjax.schedules.piecewise import *
from gdjax.schedules.warmup import *
from gdjax.transforms.basic import *
from gdjax.transforms.clipping import *
from gdjax.transforms.decay import *
from gdjax.transforms.momentum import *


def __getattr__(name: str):
    """Loads the roof when it is looked at, not with the library."""
    if name in ("contract", "lab", "plots"):
        import importlib

        return importlib.import_module(f"gdjax.{name}")
    raise AttributeError(f"module 'gdjax' has no attribute {name!r}")
