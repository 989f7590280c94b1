"""What is given to be drawn, by label; and what to write where something else is given."""

from __future__ import annotations

__all__ = ["curves", "labelled", "paths"]

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdjax.plots.canvas import floats, require_shape, require_some


def labelled(function: str, given: Any, of: str) -> Mapping[str, Any]:
    """What is to be drawn, by label.

    Args:
        function: Which function of `gdjax.plots` was called, for the message.
        given: What was given to it.
        of: What stands for one label, for the message.

    Raises:
        TypeError: It is no dict.
        ValueError: It is empty.
    """
    if not isinstance(given, Mapping):
        must, got = f"{function}: what is drawn must be a dict by label", type(given).__name__
        raise TypeError(f'{must}, got {got}. Write {function}({{"adam": {of}, ...}}).')
    require_some(function, given)
    return given


def curves(given: Any) -> dict[str, Any]:
    """Losses by label, of results of `minimize` or of arrays; one alone needs no label."""
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
    """Paths `[steps + 1, 2]` by label, of results of `minimize(..., keep="path")` or of arrays."""
    found = {}
    for label, values in labelled("paths", given, "result").items():
        history = getattr(values, "history", values)
        path = getattr(history, "params", history)
        if path is None:
            must = f"paths: {label} must hold the parameters of all steps, got losses only"
            raise ValueError(f'{must}. Write minimize(..., keep="path").')
        path = found[label] = floats(path)
        good = path.ndim == 2 and path.shape[1] == 2 and len(path) > 0
        require_shape("paths", label, path, good, "[steps + 1, 2]")
    return found
