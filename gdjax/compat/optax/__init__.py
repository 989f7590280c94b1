# ruff: noqa: F401, F403
"""optax's API over gdjax: training code runs with another import.

    from gdjax.compat import optax

Names, arguments, ranges, defaults, conventions and states are those of optax 0.2.8. The functions
return transformations of gdjax, which print, compare, pickle and are pytrees of their numbers.
Where optax differs from the paper, the paper is followed; `docs/migration.md` lists the
differences.

Updates have the dtype of the gradients, and states the structure of optax's, so checkpoints of
optax can be restored. `from_optax_state` and `to_optax_state` convert states to and from those of
gdjax's own transformations; `to_optax` converts a transformation to a plain pair of optax's class.
Functions that are no part of optimizers (`assignment`, `microbatch`, `perturbations`, `nnls` and so
on) are those of the installed optax.

>>> from gdjax.compat import optax
>>> optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
chain(optax.clip_by_global_norm(max_norm=1.0), optax.sgd(learning_rate=0.1))
"""

from gdjax.compat.optax.apply_if_finite import *
from gdjax.compat.optax.convert import from_optax_state, to_optax, to_optax_state
from gdjax.compat.optax.inject import *
from gdjax.compat.optax.lookahead import LookaheadState, lookahead
from gdjax.compat.optax.masking import *
from gdjax.compat.optax.multi_steps import *
from gdjax.compat.optax.names import NAMES, namespace
from gdjax.compat.optax.optimizers import *
from gdjax.compat.optax.overrides import *
from gdjax.compat.optax.rates import *
from gdjax.compat.optax.stages import *
from gdjax.compat.optax.types import *

__all__ = NAMES[""]

# What is not above: optax's utilities, then gdjax's own names, then the moments of `optax.tree`.
__getattr__, __dir__ = namespace(
    "",
    (
        "gdjax.compat.optax.utils",
        "gdjax.compat.optax.losses",
        "gdjax",
        "gdjax.compat.optax.tree_utils",
        "gdjax.compat.optax.tree",
    ),
)
