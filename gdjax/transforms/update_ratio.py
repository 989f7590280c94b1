"""The ratio of update norm to parameter norm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.roles import Scalars
from gdjax.params.rules import label, only

__all__ = ["MeasureUpdateRatioState", "measure_update_ratio"]


class MeasureUpdateRatioState(NamedTuple):
    """State of `measure_update_ratio`."""

    ratio: Scalars  # by group: at the last step, 0 before it

    def metrics(self) -> dict[str, Any]:
        """The ratio of each group."""
        return {f"update_ratio/{group}": x for group, x in self.ratio.items()}


@transformation
def measure_update_ratio(rules: Any = None):
    """Logs the ratio of update norm to parameter norm, group by group, in the state.

        r = ‖u‖ / ‖θ‖,  0 where θ is 0

    Put it last in a chain. A usual value of r is about 1e-3; for a group whose r is far from it,
    check the learning rate.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([3.0, 4.0]), "b": jnp.array([2.0])}
    >>> tx = gd.chain(gd.sgd(0.1), gd.measure_update_ratio(gd.by_label(bias="b", rest=True)))
    >>> _, state = tx.update(params, tx.init(params), params)
    >>> {name: round(float(x), 3) for name, x in gd.state.metrics(state).items()}
    {'update_ratio/bias': 0.1, 'update_ratio/rest': 0.1}

    Args:
        rules: The groups, as in `gdjax.label`: `by_label(...)` or a tree of labels. None for one
            group, `all`.

    Raises:
        ValueError: `update` was called without params, or a parameter has no label.
    """

    def groups(params: Any) -> dict[str, Any]:
        if rules is None:
            return {"all": jax.tree.map(lambda _: True, params)}
        labels = label(params, rules, "measure_update_ratio")
        names = dict.fromkeys(map(str, jax.tree.leaves(labels)))
        return {n: jax.tree.map(lambda x, n=n: str(x) == n, labels) for n in sorted(names)}

    def init(params):
        zero = tree.scalar_like(params)
        return MeasureUpdateRatioState({name: zero.copy() for name in groups(params)})

    def update(updates, state, params=None, **extra):
        errors.need_params("measure_update_ratio", params)
        ratio = {}
        for name, flags in groups(params).items():
            moved, length = (tree.norm(only(flags, x)) for x in (updates, params))
            ratio[name] = numerics.safe_divide(moved, length.astype(moved.dtype))
        return updates, MeasureUpdateRatioState(jax.tree.map(numerics.like, ratio, state.ratio))

    return init, update
