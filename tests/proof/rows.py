"""What of the catalogue is proven to be the formula of its docstring, and what is not, and why."""

import functools
import inspect
import re

from gdjax.core.data.recipe import factories
from tests import cases

# The rules that treat every entry of a leaf on its own.
FOLDERS = (
    *("optimizers.adam", "optimizers.adaptive", "optimizers.sgd", "optimizers.sign"),
    *("optimizers.schedule_free", "optimizers.parameter_free.cocob"),
)
# Compared to 40 digits at random points in these intervals, over so many steps.
AT_POINTS = dict.fromkeys(
    ("radam", "scale_by_radam"),
    # The program has a series where the formula is a difference of large numbers: for b2 near 1 in
    # the first steps. Here it is not used, and the later steps are rectified.
    {"steps": 8, "points": {"b2": (0.8, 0.88), "threshold": (5, 6)}},
)
OF_NORMS = ("adam_mini", "scale_by_adam_mini", "scale_by_stable_adam", "stable_adamw")
NOT_PROVEN = {
    "dpsgd": "adds random noise",
    "noisy_sgd": "adds random noise",
    "scale_by_sophia": "needs a loss",
    "schedule_free_plus_adamc": "has π in its formula, which the notation does not have",
    "sophia": "needs a loss",
}


@functools.cache
def elementwise():
    """The rows of these rules, by name; masks say which leaves a rule sees, and no formula does."""
    return {
        str(row): row
        for row in cases.rows()
        if re.match(rf"gdjax\.({'|'.join(FOLDERS)})", module_of(row))
        and row.tx.name not in {*OF_NORMS, *NOT_PROVEN}
        and "mask" not in row.tx.given
    }


def of_file(path):
    """The transformations of a file, `optimizers/sign/lion.py`, whose proofs are of all values."""
    module = ".".join(("gdjax", *path.removesuffix(".py").split("/")))
    found = [row.tx for row in elementwise().values() if module_of(row) == module]
    return [tx for tx in found if tx.name not in AT_POINTS]


def module_of(row):
    return inspect.getmodule(factories()[row.tx.name].function).__name__
