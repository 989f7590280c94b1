"""Optimizer state by name: read, log, set, reset, save, restore into a changed optimizer."""

from __future__ import annotations

from typing import Any

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import call_evaluate
from gdjax.core.rule.boxes import boxed_as, unboxed
from gdjax.state.export import register_export
from gdjax.state.files import load, save
from gdjax.state.find import find, find_all, nbytes, replace
from gdjax.state.hyperparams import hyperparams, set_hyperparams
from gdjax.state.metrics import metrics
from gdjax.state.reset import reset
from gdjax.state.saving import Report, from_dict, to_dict

__all__ = [
    "Report",
    "eval_params",
    "find",
    "find_all",
    "from_dict",
    "hyperparams",
    "load",
    "metrics",
    "nbytes",
    "register_export",
    "replace",
    "reset",
    "save",
    "set_hyperparams",
    "to_dict",
]


def eval_params(tx: Any, state: Any, params: Any) -> Any:
    """Evaluation parameters: the average (EMA, SWA, Schedule-Free) if there is one, else params.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sgd(0.1)
    >>> gd.state.eval_params(tx, tx.init(jnp.ones(2)), jnp.ones(2))
    Array([1., 1.], dtype=float32)

    Args:
        tx: The transformation that made the state.
        state: Its state, also the state of an `nnx.Optimizer`.
        params: The trained parameters, also in variables of Flax.
    """
    check_transformation("eval_params", "tx", tx, "Write eval_params(tx, state, params).")
    return boxed_as(params, call_evaluate(tx, unboxed(state), unboxed(params)))
