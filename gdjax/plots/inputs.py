"""Inputs of plots, by label, and their error messages."""

from __future__ import annotations

__all__ = ["curves", "labelled", "paths"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdjax.plots.canvas import floats, require_shape, require_some


def labelled(function: str, given: Any, of: str) -> Mapping[str, Any]:
    """Checks a dict of inputs by label.

    Args:
        function: The function of `gdjax.plots` that was called, for the message.
        given: The argument.
        of: An example of one value, for the message.

    Raises:
        TypeError: `given` is no dict.
        ValueError: `given` is empty.
    """
    if not isinstance(given, Mapping):
        must, got = f"{function}: what is drawn must be a dict by label", type(given).__name__
        raise TypeError(f'{must}, got {got}. Write {function}({{"adam": {of}, ...}}).')
    require_some(function, given)
    return given


def curves(given: Any) -> dict[str, Any]:
    """Losses by label, from results of `minimize` or arrays; a single one needs no label."""
    if hasattr(given, "_fields") or _is_array(given):
        given = {"loss": given}
    found = {}
    for label, values in labelled("losses", given, "result").items():
        history = getattr(values, "history", values)
        found[label] = getattr(history, "loss", history)
    return found


def _is_array(given: Any) -> bool:
    try:
        return floats(given).ndim > 0
    except (TypeError, ValueError):
        return False


def paths(given: Any) -> dict[str, np.ndarray]:
    """Paths `[steps + 1, 2]` by label, from results of `minimize(..., keep="path")` or arrays."""
    found = {}
    for label, values in labelled("paths", given, "result").items():
        history = getattr(values, "history", values)
        path = getattr(history, "params", history)
        if path is None:
            must = f"paths: {label} must have the parameters of all steps, got losses only"
            raise ValueError(f'{must}. Write minimize(..., keep="path").')
        path = found[label] = floats(path)
        good = path.ndim == 2 and path.shape[1] == 2 and len(path) > 0
        require_shape("paths", label, path, good, "[steps + 1, 2]")
    return found
