"""The table of docs/matrices.md: inverse roots in float32, by method.

    python -m tests.core.matrix.inverse_root_table

Matrices are [256, 256], their eigenvalues spaced evenly on a logarithmic scale, with Shampoo's
ridge of 10⁻⁶; errors are relative to the root in float64, in the Frobenius norm.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.optimizers.matrix.shampoo import ROOTS
from gdjax.programs import tables

PRODUCTS = {("newton", 2): 90, ("newton", 4): 120, ("cans", 2): 42, ("cans", 4): 84}
RIDGE = 1e-6


def rows():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(256, 256)))[0]
    for root in (2, 4):
        for method, run in ROOTS.items():
            errors = []
            for lowest in (1e-3, 1e-6):
                values = np.logspace(0, np.log10(lowest), 256)
                want = q * (values + RIDGE) ** (-1 / root) @ q.T
                a = jnp.asarray(q * values @ q.T, jnp.float32)
                found = np.asarray(jax.jit(run, static_argnums=1)(a, root, RIDGE), np.float64)
                errors.append(f"{np.linalg.norm(found - want) / np.linalg.norm(want):.1e}")
            yield [method, str(root), str(PRODUCTS.get((method, root), "")), *errors]


if __name__ == "__main__":
    head = ["method", "root", "products", "eigenvalues from 10⁻³", "from 10⁻⁶"]
    print(tables.markdown(head, rows()))
