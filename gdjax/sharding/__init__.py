"""Sharding of optimizer state on a mesh of devices: placement, ZeRO, reduce-scatter.

init = jax.jit(tx.init, out_shardings=gd.sharding.state(tx, params))   # placed as parameters
tx = gd.sharding.zero(tx, axis="data")                                 # split over an axis
"""

from gdjax.sharding.placed import placed
from gdjax.sharding.placement import state
from gdjax.sharding.split import reduce_scatter
from gdjax.sharding.zero import ZeroState, zero

__all__ = ["ZeroState", "placed", "reduce_scatter", "state", "zero"]
