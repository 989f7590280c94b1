"""The table of docs/matrices.md: singular values after the iteration, by backend and precision.

    python -m tests.core.matrix.precision_table

Matrices are [256, 1024]; distances are those to U·Vᵀ and to the same iteration in float64.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.matrix import polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.programs import tables

BACKENDS = [("standard", 5), ("dion", 5), ("polar_express", 5), ("polar_express", 8)]
BACKENDS += [("cans", 7), ("cans", 10)]
BACKENDS += [("deepseek", 10), ("classical", 15)]
FORMS = [(None, False), (None, True), (jnp.bfloat16, False), (jnp.bfloat16, True)]


def made(lowest):
    """U, singular values and Vᵀ: gaussian, or from 1 to `lowest`."""
    g = np.random.default_rng(0).normal(size=(256, 1024))
    u, s, vt = np.linalg.svd(g, full_matrices=False)
    return u, (s if lowest is None else np.logspace(0, np.log10(lowest), 256)), vt


def rows():
    for label, lowest in (("gaussian", None), ("1 to 10⁻³", 1e-3)):
        u, s, vt = made(lowest)
        x = jnp.asarray(u * s @ vt, jnp.float32)
        for name, steps in BACKENDS:
            sigma = s / np.linalg.norm(s)
            for a, b, c in polar_steps("", "backend", name, steps):
                sigma = a * sigma + b * sigma**3 + c * sigma**5
            right = u * sigma @ vt
            for dtype, gram in FORMS:
                how = polar_steps("", "backend", name, steps, dtype)
                run = functools.partial(polar.polar_factor, how=how, gram=gram, dtype=dtype)
                found = np.asarray(jax.jit(run)(x), np.float64)
                after = np.linalg.svd(found, compute_uv=False)
                size = np.linalg.norm(right)
                yield [
                    f"{label}, {name} {steps}",
                    ("float32" if dtype is None else "bfloat16") + (", gram" if gram else ""),
                    f"{after.min():.3f} to {after.max():.3f}",
                    f"{np.linalg.norm(found - u @ vt) / 16:.1e}",
                    f"{np.linalg.norm(found - right) / size:.1e}",
                ]


if __name__ == "__main__":
    head = ["singular values, backend", "products in", "after it", "to U·Vᵀ", "to float64"]
    print(tables.markdown(head, rows()))
