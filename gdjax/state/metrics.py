"""Metrics for logging: what transformations record in their state, as a flat dict."""

from __future__ import annotations

from typing import Any

import jax

from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.find import nodes

__all__ = ["metrics"]


def metrics(state: Any) -> dict[str, jax.Array]:
    """Metrics of an optimizer for logging: gradient norms, clip factors, scheduled rates, counts.

    The key is the name of the scalar if one part of the state has it (`skipped`). Otherwise a
    prefix distinguishes them: your names of groups and stages (`bias/learning_rate`), the kind of
    state (`SkipSpikes/skipped`), or the path (`0/learning_rate`). The scalars are in the state, so
    reading them adds nothing to a compiled step. Constant hyperparameters are in `hyperparams`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip_by_global_norm(1.0), gd.sgd(gd.linear_to_zero(0.5, 10)))
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> {name: round(float(x), 3) for name, x in gd.state.metrics(state).items()}
    {'clip_factor': 0.2, 'grad_norm': 5.0, 'learning_rate': 0.5}

    Args:
        state: The state of any transformation. The method `metrics` of a state returns its scalars
            by name; write one for your own states.
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
    """The shortest distinct names of values that share a name."""
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
