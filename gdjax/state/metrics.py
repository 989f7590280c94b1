"""What transformations recorded on their way, in one flat dict to log."""

from __future__ import annotations

from typing import Any

import jax

from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.find import nodes

__all__ = ["metrics"]


def metrics(state: Any) -> dict[str, jax.Array]:
    """Every scalar that a transformation records: rates that move, norms, factors, counts.

    Under its name where one part of the state has it (`skipped`); where more do, with what tells
    them apart before it: your names of groups and stages (`bias/learning_rate`), the kind of state
    (`SkipSpikes/skipped`), or else the path (`0/learning_rate`). They are in the state as they are,
    so reading them adds nothing to a compiled step, and what is not read is not computed once more.
    Numbers that do not move are in `hyperparams`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip_by_global_norm(1.0), gd.sgd(gd.linear_to_zero(0.5, 10)))
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> {name: round(float(x), 3) for name, x in gd.state.metrics(state).items()}
    {'clip_factor': 0.2, 'grad_norm': 5.0, 'learning_rate': 0.5}

    Args:
        state: The state of any transformation. What a state records is said by its method
            `metrics`, which gives scalars by name; write one for a state of yours.
    """
    found = []
    for path, node in nodes(unboxed(state)):
        own = node.metrics() if hasattr(node, "_fields") and hasattr(node, "metrics") else {}
        if isinstance(node, InjectHyperparamsState):
            own = node.hyperparams
        found += [(name, path, type(node).__name__, value) for name, value in own.items()]
    values: dict[str, jax.Array] = {}
    for name in sorted({name for name, *_ in found}):
        alike = [entry for entry in found if entry[0] == name]
        values.update(zip(_apart(name, alike), (value for *_, value in alike)))
    return values


def _apart(name: str, alike: list[tuple]) -> list[str]:
    """Names for values of one name: the shortest that differ."""
    users = [
        [w for w in path if not w.isdigit() and not w.startswith("inner")] for _, path, *_ in alike
    ]
    for heads in (
        [[] for _ in alike],
        users,
        [[kind.removesuffix("State")] for *_, kind, _ in alike],
        [path for _, path, *_ in alike],
    ):
        names = ["/".join((*head, name)) for head in heads]
        if len(set(names)) == len(names):
            return names
    return names
