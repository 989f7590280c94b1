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
from gdjax.transforms.basic import *
from gdjax.transforms.clipping import *
from gdjax.transforms.decay import *
from gdjax.transforms.momentum import *
