"""The table of docs/matrices.md: polynomials for polar factors, by products of matrices.

    python -m tests.core.matrix.polynomial_table

The slope at 0 is the factor by which the smallest singular values grow; the error is the largest
distance from 1 of a singular value from 10⁻³, or 10⁻², to 1 after the iteration.
"""

from __future__ import annotations

import math

import numpy as np

from gdjax.core.matrix.polar_coefficients import apply, cans, polynomials
from gdjax.programs import tables

NAMES = [
    ("standard", 4),
    ("cans", 6),
    ("polar_express", 4),
    ("cans of degree 5", 4),
    ("cans", 7),
    ("standard", 5),
]
NAMES += [("dion", 5), ("polar_express", 5), ("cans", 8), ("polar_express", 6), ("cans", 9)]
NAMES += [("polar_express", 7), ("cans", 10), ("polar_express", 8), ("cans", 12)]


def error(triples, low):
    return np.abs(apply(triples, np.geomspace(low, 1, 400001)) - 1).max()


def rows():
    for name, steps in NAMES:
        triples = cans(steps, degree=5) if name.endswith("5") else polynomials(name, steps)
        products = sum(3 if c else 2 for *_, c in triples)
        slope = math.prod(a for a, *_ in triples)
        errors = [f"{error(triples, low):.1e}" for low in (1e-3, 1e-2)]
        yield [name, str(steps), str(products), f"{slope:.0f}", *errors]


if __name__ == "__main__":
    head = ["polynomials", "steps", "products", "slope at 0", "error from 10⁻³", "from 10⁻²"]
    print(tables.markdown(head, rows()))
