"""Preconditioners with a factor for each side of a matrix: KL-Shampoo and PSGD Kron."""

from __future__ import annotations

import gdjax as gd

from ..oracles.rules import kronecker as rules
from ..row import Agree, Row, recorded, rule

ROWS = [
    Row(gd.scale_by_kl_shampoo(every=2)),
    Row(gd.kl_shampoo(0.05, weight_decay=0.01)),
    Row(gd.scale_by_kron()),
    Row(gd.kron(0.05, preconditioner_update_probability=0.5)),
]

NUMPY_ROWS = {
    "kl_shampoo": (gd.kl_shampoo(0.05), rule(rules.kl_shampoo, eta=0.05)),
    "kl_shampoo-all": (
        gd.kl_shampoo(0.05, 0.9, 0.8, 0.3, 0.1, every=3, init_factor=0.1),
        rule(rules.kl_shampoo, eta=0.05, b1=0.9, b2=0.8, eps=0.3, lam=0.1, every=3, factor=0.1),
    ),
    "kl_shampoo-diagonal": (
        gd.kl_shampoo(0.05, max_precond_dim=2, every=1),
        rule(rules.kl_shampoo, eta=0.05, diagonal=(1,), every=1),
    ),
    "kron": (gd.kron(0.05), rule(rules.kron, eta=0.05)),
    "kron-all": (
        gd.kron(
            0.2,
            0.8,
            0.1,
            None,
            0.3,
            2,
            momentum_into_precond_update=False,
            precond_lr=0.3,
            precond_init_scale=3.0,
            damping=0.2,
            clipping_threshold=0.3,
            key=7,
        ),
        rule(
            rules.kron,
            eta=0.2,
            b1=0.8,
            lam=0.1,
            every=4,
            diagonal=(1,),
            of_momentum=False,
            mu=0.3,
            scale=3.0,
            damping=0.2,
            threshold=0.3,
            seed=7,
        ),
    ),
    "kron-unclipped": (
        gd.kron(0.05, memory_save_mode="smart_one_diag", clipping_threshold=None),
        rule(rules.kron, eta=0.05, diagonal=(1,), threshold=None),
    ),
}

# kron-torch 0.3.3 solves with its triangles in float32, whatever it is told: 1e-8 after 60 steps.
SOLVED_IN_FLOAT32 = {
    "half": gd.kron(
        0.05, preconditioner_update_probability=0.5, momentum_into_precond_update=False
    ),
    "always": gd.kron(0.05, 0.8, precond_init_scale=0.5, momentum_into_precond_update=False),
    # it decays matrices alone
    "one_diag": gd.kron(
        0.05,
        weight_decay=0.1,
        mask={"w": True, "b": False},
        memory_save_mode="one_diag",
        momentum_into_precond_update=False,
    ),
}
EXACT = {
    "all_diag": gd.kron(0.05, memory_save_mode="all_diag", momentum_into_precond_update=False),
    "clipped": gd.kron(
        0.05,
        memory_save_mode="all_diag",
        precond_init_scale=9.0,
        momentum_into_precond_update=False,
    ),
}
NOT_HERE = {
    "kron_torch/momentum": "it takes its step by the mean gradient with the damping noise in it, "
    "which the paper adds to what the preconditioner is fitted to and to nothing else",
    "noise/w": "what the recordings drew",
    "noise/b": "what the recordings drew",
    "heavyball/rows": "no path: test_kronecker compares the factors",
    "heavyball/columns": "no path: test_kronecker compares the factors",
    "heavyball/gradients": "no path: test_kronecker compares the factors",
}

AGREE = (
    {f"numpy-{key}": Agree(*row) for key, row in NUMPY_ROWS.items()}
    | {
        f"kron_torch/{key}": Agree(tx, recorded("kronecker", f"kron_torch/{key}"))
        for key, tx in EXACT.items()
    }
    | {
        f"kron_torch/{key}": Agree(tx, recorded("kronecker", f"kron_torch/{key}"), 1e-6)
        for key, tx in SOLVED_IN_FLOAT32.items()
    }
)
