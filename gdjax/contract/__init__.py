"""Contract tests of gradient transformations, for those of gdjax and your own.

    from gdjax import contract
    contract.check(my_optimizer(1e-3))

Each promise is a function of one `Subject` that raises AssertionError if it does not hold. `prove`
shows that the program of a rule is the formula of its docstring, or another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gdjax.contract import (  # noqa: F401 - they enter their promises
    any_tree,
    is_data,
    on_mesh,
    state_stays,
    structure,
)
from gdjax.contract.subject import PROMISES, Subject
from gdjax.core.engine.checks import check_transformation
from gdjax.core.rule import errors
from gdjax.proof.prove import Proof, prove

__all__ = ["PROMISES", "Proof", "Subject", "check", "prove"]


def check(tx: Any, promises: Iterable[str] | None = None, **about: Any) -> list[str]:
    """Tests that a transformation keeps the promises of the contract.

    >>> import gdjax as gd
    >>> gd.contract.check(gd.sgd(0.1), ["is_data", "scans"])
    ['is_data', 'scans']

    Args:
        tx: The transformation.
        promises: Names of `PROMISES`; all of them by default.
        **about: The other attributes of `Subject`.

    Returns:
        The names of the promises that hold.

    Raises:
        AssertionError: A promise does not hold; a note names it.
        ValueError: Unknown promise.
    """
    check_transformation("contract.check", "tx", tx, "Write contract.check(adamw(1e-3)), say.")
    subject, names = Subject(tx, **about), list(promises or PROMISES)
    for name in names:
        if name not in PROMISES:
            hint = errors.nearest(name, PROMISES)
            errors.fail("contract.check", "promises must be names of PROMISES", name, instead=hint)
        try:
            PROMISES[name](subject)
        except Exception as error:
            error.add_note(f"promise {name} of {tx}")
            raise
    return names
