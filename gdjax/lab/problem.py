"""What a problem is: a loss to minimize, where to start, and what is known of the answer."""

from __future__ import annotations

__all__ = ["Problem"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chex


# Compared by identity, since fields hold arrays; hence it can be a static argument of jit.
@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A loss to minimize, where to start, and what is known of the answer.

    Attributes:
        name: Key in `PROBLEMS`.
        description: One line for tables.
        citation: Where the problem or its data come from; empty for textbook functions.
        init: Function of a key giving the starting parameters, in JAX's default float dtype.
        loss: Function of the parameters and a batch giving a scalar. With `None` for the batch it
            is the full loss, also of a problem that is trained on batches.
        batches: Function of a key giving a function of the step (an integer) that gives a batch;
            `None` where the full loss is minimized.
        metrics: Function of the parameters giving a dict of scalars; `None` if there are none.
        optimum: The least loss, `None` if unknown.
        minimizer: Parameters (NumPy arrays) at which the loss is `optimum`, `None` if not stored.
        steps: How many steps a run takes unless told otherwise.
        target: The `gap` at which a run has reached its goal.
        measured: What the loss without a batch is, for tables and pictures.
        digest: Which data they are, where that differs from machine to machine.
        apart: Runs of a race go one after another: each by itself has work for the whole machine.
    """

    name: str
    description: str
    init: Callable[[chex.PRNGKey], Any]
    loss: Callable[..., chex.Array]
    steps: int
    target: float
    citation: str = ""
    batches: Callable[[chex.PRNGKey], Callable[[Any], Any]] | None = None
    metrics: Callable[[Any], dict[str, chex.Array]] | None = None
    optimum: float | None = None
    minimizer: Any = None
    measured: str = "training loss"
    digest: str = ""
    apart: bool = False

    def gap(self, loss: Any) -> Any:
        """Distance of a loss from the optimum; the loss itself where no optimum is known."""
        return loss if self.optimum is None else loss - self.optimum
