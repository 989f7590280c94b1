"""Euclidean projections onto convex sets, for arrays and for trees as one vector.

Leaves that are not differentiable (None, integers, keys) are returned unchanged. Arithmetic is in
float32 or wider; results have the dtypes of the arguments.
"""
# ruff: noqa: F403

from gdjax.projections.boxes import *
from gdjax.projections.planes import *
from gdjax.projections.simplex import *
