"""Proofs that a program is the formula of its docstring, or another one."""

from __future__ import annotations

__all__ = ["Proof", "prove"]

from collections.abc import Mapping
from typing import Any

from gdjax.core.data.schedule import Schedule
from gdjax.core.engine.checks import check_transformation
from gdjax.proof import schedules
from gdjax.proof.rules import Claim
from gdjax.proof.symbols import flint
from gdjax.proof.verdict import Proof


def prove(
    tx: Any,
    formula: str | None = None,
    *,
    steps: int = 2,
    shape: Any = (),
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Proof:
    """Proves that the updates of a transformation, or the values of a schedule, are a formula's.

    The program of a transformation is traced with the hyperparameters that the formula names,
    parameters and gradients as symbols, and run by exact arithmetic beside the formula, for every
    combination of signs and of zero gradients. What is no rational function even with roots is
    compared to 40 digits. A schedule is compared at every boundary, beside it and between.

    Args:
        tx: The transformation, or a schedule, to which `steps`, `shape` and `points` do not apply.
        formula: As docstrings have it, see `gdjax.proof.notation`; by default the formula of the
            factory's docstring.
        steps: How many steps are compared.
        shape: Of the parameter: () where every entry is on its own, (2,) where norms or means of
            a leaf are in the formula. A list of shapes is a tree of leaves: the formula is of all
            entries together where the transformation couples the leaves, else of each leaf.
        points: Intervals of hyperparameters by name. With them the comparison is to 40 digits, at
            100 random points where these numbers are in their intervals.

    >>> import gdjax as gd
    >>> print(gd.contract.prove(gd.trace(0.9)).verdict)
    proven in 5 cases, for all values of decay, θ, g
    >>> print(gd.contract.prove(gd.trace(0.9), "v ← decay·v + g    u = 2v").verdict)
    not proven: in step 1 the program gives g1, the formula 2*g1

    Returns:
        What was found, with the first difference if there is one.

    Raises:
        TypeError: tx is neither a transformation nor a schedule of a factory.
        ValueError: There is no formula, it cannot be read, or the program has a primitive that
            exact arithmetic does not know.
    """
    if flint is None:
        raise ImportError('contract.prove needs python-flint; run pip install "gdjax[proof]".')
    if isinstance(tx, Schedule):
        return schedules.prove(tx, formula)
    check_transformation("contract.prove", "tx", tx, "Write contract.prove(scale_by_adam()), say.")
    return Claim(tx, formula, steps, shape, points).proof()
