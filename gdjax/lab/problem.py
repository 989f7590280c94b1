"""A test problem: loss, initial parameters, batches, and the known optimum."""

from __future__ import annotations

__all__ = ["Problem"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import chex
import jax
import jax.numpy as jnp

from gdjax.core.rule import errors

_MEASURED = 16  # batches over which a loss on batches without an end is averaged


# Compared by identity, since fields hold arrays; hence it can be a static argument of jit.
@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A test problem: a loss to minimize, initial parameters, and the optimum if known.

    Attributes:
        name: For tables; of gdjax's own, the key in `PROBLEMS`.
        description: One line for tables.
        citation: The source of the problem or its data; empty for textbook functions.
        init: A function of a key that returns the initial parameters, in JAX's default float dtype.
        loss: A function of the parameters and a batch that returns a scalar. With `None` for the
            batch it is the full loss, also for a problem that is trained on batches.
        batches: A function of a key that returns a function of the step (an integer) that returns
            a batch; `None` if the full loss is minimized.
        metrics: A function of the parameters that returns a dict of scalars; `None` for none.
        optimum: The smallest loss, `None` if unknown.
        minimizer: Parameters (NumPy arrays) at which the loss is `optimum`, `None` if not stored.
        steps: The default number of steps of a run.
        target: The `gap` at which a run has reached the target; None for no target.
        rates: The default learning rates of a race, as `parse_rates` reads them.
        measured: The name of the loss without a batch, for tables and plots.
        digest: A hash of the data, if they differ between machines.
        apart: Whether the runs of a race are one after another, because one run uses the whole
            machine.
    """

    name: str
    description: str
    init: Callable[[chex.PRNGKey], Any]
    loss: Callable[..., chex.Array]
    steps: int
    target: float | None = None
    rates: str = "1e-4:1:9"
    citation: str = ""
    batches: Callable[[chex.PRNGKey], Callable[[Any], Any]] | None = None
    metrics: Callable[[Any], dict[str, chex.Array]] | None = None
    optimum: float | None = None
    minimizer: Any = None
    measured: str = "training loss"
    digest: str = ""
    apart: bool = False

    @classmethod
    def of(
        cls,
        loss: Callable[..., Any],
        params: Any,
        *,
        batches: Any = None,
        steps: int = 1000,
        full: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> Problem:
        """The problem of a loss and of parameters to start from.

        >>> import jax.numpy as jnp
        >>> from gdjax.lab.race import race
        >>> bowl = Problem.of(lambda p: jnp.sum(p**2), jnp.ones(2), steps=50)
        >>> [row.best_rate for row in race(["sgd"], bowl, rates=[0.01, 0.1]).rows()]
        [0.1]

        Args:
            loss: `loss(params)`, or `loss(params, batch)` if there are batches; returns a scalar.
            params: Where to start: arrays, or a function of a random key that makes them.
            batches: A function of the step that gives the batch of that step, or a tree of arrays
                whose first axis runs over the steps and begins again at its end, as in `minimize`.
            steps: How many steps a run takes.
            full: Function of the parameters giving the loss to report. By default the loss, with
                batches its mean over them; over 16 of them where they are a function.
            **more: Other attributes of a `Problem`: name, target, rates, metrics, optimum.

        Raises:
            TypeError: `loss` is no function.
        """
        if not callable(loss):
            hint = "Write Problem.of(loss, params)."
            errors.fail("Problem.of", "loss must be a function", loss, instead=hint, kind=TypeError)
        name = getattr(loss, "__name__", type(loss).__name__).strip("<>")
        at = batches
        if batches is None:
            of_batch: Callable[..., Any] = lambda p, batch=None: loss(p)
        else:
            many = _MEASURED
            if not callable(batches):
                many = len(jax.tree.leaves(batches)[0])
                at = lambda i: jax.tree.map(lambda x: jnp.asarray(x)[i % len(x)], batches)
            mean = lambda p: jnp.mean(jax.lax.map(lambda i: loss(p, at(i)), jnp.arange(many)))
            of_batch = lambda p, batch: (full or mean)(p) if batch is None else loss(p, batch)
        given: dict[str, Any] = {"name": name, "description": "a loss of your own"} | more
        start = params if callable(params) else lambda key: jax.tree.map(jnp.asarray, params)
        drawn = None if batches is None else lambda key: at
        return cls(init=start, loss=of_batch, batches=drawn, steps=steps, **given)

    def gap(self, loss: Any) -> Any:
        """Distance of a loss from the optimum; the loss itself if the optimum is unknown."""
        return loss if self.optimum is None else loss - self.optimum
