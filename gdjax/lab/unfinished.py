"""A race that was interrupted: the optimizers that ended, in a file, so that it goes on there."""

from __future__ import annotations

__all__ = ["Unfinished"]

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gdjax
from gdjax.lab import lines
from gdjax.lab.standing import Run

_ARRAYS = ("rates", "losses", "steps_to_target")
_REST = ("test_accuracy", "seconds", "compile_seconds")


class Unfinished:
    """The runs that an interrupted race left in a file; without a file there are none.

    Args:
        path: A file of lines of JSON, or None. It need not be there.
        about: What decides the numbers of a run beside its optimizer; runs of other races in the
            file are passed over.
    """

    def __init__(self, path: str | os.PathLike[str] | None, about: dict[str, Any]) -> None:
        self._path = None if path is None else Path(path)
        self._about = about | {"gdjax": gdjax.__version__}
        found = [] if self._path is None else lines.load(self._path, "race", _read)
        self._runs = {one["name"]: one for one in found if one["about"] == self._about}

    def get(self, name: str, make: Callable[[Any], Any]) -> Run | None:
        """The run of an optimizer; None if it did not end, or was another one."""
        one = self._runs.get(name)
        if one is None or one["optimizer"] is None or one["optimizer"] != _spec(make):
            return None
        parts = {key: one[key] for key in (*_ARRAYS, *_REST)}
        return Run(name, make, idle=tuple(one["idle"]), **parts)

    def add(self, run: Run) -> None:
        """Adds the run of an optimizer that ended."""
        if self._path is None:
            return
        one = {"about": self._about, "name": run.name, "optimizer": _spec(run.make)}
        for key in (*_ARRAYS, "test_accuracy"):
            value = getattr(run, key)
            one[key] = None if value is None else _plain(value)
        one |= {"seconds": run.seconds, "compile_seconds": run.compile_seconds}
        lines.append(self._path, one | {"idle": list(run.idle)})

    def remove(self) -> None:
        """Removes the file of a race that ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _spec(make: Callable[[Any], Any]) -> Any:
    """The optimizer at some rate, as JSON gives it back; None if it cannot be written."""
    try:
        return lines.as_read(gdjax.spec(make(0.5)))
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    """Lists for JSON; what is not finite is written as text, which float reads."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(x) for x in value]
    return value if np.isfinite(value) else str(value)


def _read(one: dict[str, Any]) -> dict[str, Any]:
    """The run in a line, with its arrays; raises where it is none."""
    read: dict[str, Any] = {key: _array(one[key]) for key in _ARRAYS}
    given = one["test_accuracy"]
    read["test_accuracy"] = None if given is None else _array(given)
    rates, losses, reached = (read[key].shape for key in _ARRAYS)
    same = rates == reached[:1] and reached == losses[:2]
    if (len(rates), len(reached), len(losses)) != (1, 2, 3) or not same:
        raise ValueError("arrays of other shapes")
    if not isinstance(one["name"], str) or not isinstance(one["idle"], list):
        raise ValueError("another name")
    times = {key: float(one[key]) for key in ("seconds", "compile_seconds")}
    return {key: one[key] for key in ("about", "name", "optimizer", "idle")} | read | times


def _array(values: Any) -> np.ndarray:
    return np.array(values, object).astype(np.float64)
