"""Losses: functions of predictions and targets, accurate in every dtype and for extreme inputs.

Arithmetic and values are float32 or wider for all inputs; gradients have the dtypes of the inputs.
Shapes such as [8] and [8, 1], which would broadcast to all pairs [8, 8], raise an error.
"""
# ruff: noqa: F403

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
