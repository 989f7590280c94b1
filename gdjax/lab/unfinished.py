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
        found = [] if self._path is None else lines.load(self._path, "race", ("about", "name"))
        self._runs = {one["name"]: one for one in found if one["about"] == self._about}

    def get(self, name: str, make: Callable[[Any], Any]) -> Run | None:
        """The run of an optimizer; None if it did not end, or was another one."""
        one = self._runs.get(name)
        if one is None or one["optimizer"] is None or one["optimizer"] != _spec(make):
            return None
        arrays = (_array(one[key]) for key in ("rates", "losses", "steps_to_target"))
        accuracy = one["test_accuracy"]
        accuracy = None if accuracy is None else _array(accuracy)
        times = (float(one["seconds"]), float(one["compile_seconds"]))
        rates, losses, reached = arrays
        return Run(name, make, rates, losses, reached, accuracy, *times, tuple(one["idle"]))

    def add(self, run: Run) -> None:
        """Adds the run of an optimizer that ended."""
        if self._path is None:
            return
        one = {"about": self._about, "name": run.name, "optimizer": _spec(run.make)}
        for key in ("rates", "losses", "steps_to_target", "test_accuracy"):
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


def _array(values: Any) -> np.ndarray:
    return np.array(values, object).astype(np.float64)
