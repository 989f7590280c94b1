"""Where the optimizers of the catalogue are drawn: two functions of two numbers, and their data."""

from __future__ import annotations

import functools
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdjax.core.data.recipe import factories
from gdjax.lab.problems import rosenbrock

__all__ = [
    "FILE",
    "FLOOR",
    "PLACES",
    "STEPS",
    "Place",
    "data",
    "family",
    "is_matrix",
    "rate_of",
    "sweep",
]

FILE = pathlib.Path(__file__).parents[2] / "data" / "catalogue.json"


class Place(NamedTuple):
    """A function of two numbers.

    Attributes:
        title: What it is called.
        loss: The function, least at `least`, where it is 0.
        start: Where paths begin.
        least: Where they should end.
        box: Left, right, bottom and top of the picture.
    """

    title: str
    loss: Callable[[Any], Any]
    start: tuple[float, float]
    least: tuple[float, float]
    box: tuple[float, float, float, float]


STEPS = 150  # of a path
FLOOR = 1e-7  # of distances from a loss near 0.27, in float32
_TURN = math.radians(20)


def _valley(p: Any) -> Any:
    """A quadratic of condition 30, turned by 20 degrees, least at (1.5, 1)."""
    x, y = p[0] - 1.5, p[1] - 1.0
    along = math.cos(_TURN) * x + math.sin(_TURN) * y
    across = math.cos(_TURN) * y - math.sin(_TURN) * x
    return 0.5 * (along**2 / 30 + across**2)


# Start and least point of the valley are equally far from zero: some optimizers keep that distance.
PLACES = {
    "rosenbrock": Place(
        "Rosenbrock", rosenbrock().loss, (-1.2, 1.0), (1.0, 1.0), (-2.0, 2.0, -1.0, 2.2)
    ),
    "valley": Place(
        "A valley, condition 30", _valley, (-1.5, 1.0), (1.5, 1.0), (-1.9, 2.5, -0.9, 2.4)
    ),
}


def family(name: str) -> str:
    """The folder of `gdjax/optimizers` that an optimizer is in."""
    return factories()[name].module.split(".")[2]


def is_matrix(name: str) -> bool:
    """Whether an optimizer is one of matrices, which is drawn as it moves two singular values."""
    return family(name) == "matrix"


def rate_of(name: str) -> str | None:
    """The argument that is swept: the learning rate, or what stands for it; None for nothing."""
    other = {"auto": None, "lbfgs": None, "polyak_sgd": "max_learning_rate"}
    return other.get(name, "learning_rate")


@functools.cache
def data() -> dict[str, Any]:
    """What `python -m tests.docs.catalogue_data` has measured."""
    return json.loads(FILE.read_text("utf-8"))


def sweep(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rates [R] and the distances [R, 1] from the least loss on digits; infinite if it diverged."""
    entry = data()["digits"][name]
    gaps = [np.inf if gap is None else gap for gap in entry["gaps"]]
    return np.asarray(entry["rates"]), np.asarray(gaps)[:, None]
