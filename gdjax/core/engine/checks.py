"""What users give, what their functions return, the states they bring: errors in their words."""

from __future__ import annotations

from typing import Any, NoReturn

import jax

from gdjax.core.data.compare import is_transformation, show
from gdjax.core.data.factory import Factory
from gdjax.core.engine.rule import Rule
from gdjax.core.rule import errors


def check_transformation(where: str, called: str, given: Any, instead: str = "") -> None:
    """Raises where something else than a transformation was given: an uncalled factory, a list.

    Args:
        where: The function or factory that was called, for the message.
        called: Its argument, for the message.
        given: What was given for it.
        instead: What to write, where what was given does not tell.

    Raises:
        TypeError: It is no transformation, of this or of another library.
    """
    if is_transformation(given):
        return
    got, hint = show(given), instead
    if _is_factory(given):
        got, hint = f"the function {given.__name__}", f"Call the factory: {given.__name__}(...)."
    elif isinstance(given, (list, tuple)) and any(map(is_transformation, given)):
        got, hint = f"a {type(given).__name__}", "Write chain(a, b), not [a, b]."
    must = f"{called} must be a transformation, which has init and update"
    errors.fail(where, must, got, instead=hint, kind=TypeError)


def _is_factory(given: Any) -> bool:
    """Whether a function may be one that makes transformations, as `optax.adam` and ours are."""
    if hasattr(given, "factory"):
        return True
    name = getattr(given, "__qualname__", "<lambda>")
    return callable(given) and "<" not in name  # what is made inside of a function is no factory


def as_rule(made: Factory, body: Any) -> Rule:
    """What the function of a factory returned, if it is what it has to be."""
    if isinstance(body, tuple) and len(body) in (2, 3) and all(map(callable, body)):
        return Rule(*body)
    must = "the decorated function must return (init, update), a Rule or a transformation"
    got = getattr(body, "__name__", None) or type(body).__name__
    errors.fail(made.name, must, got, instead="Write return init, update.", kind=TypeError)


def no_pair(tx: Any, out: Any) -> NoReturn:
    """Raises where an `update` returned something else than two values."""
    must = "update must return the pair (updates, state)"
    errors.fail(tx.name, must, type(out).__name__, kind=TypeError)


def not_injected(tx: Any, state: Any) -> NoReturn:
    """Raises where the state has no place for the numbers that move."""
    must = (
        f"state must come from init of this transformation, whose {', '.join(tx.scheduled)} "
        "move from step to step (InjectHyperparamsState)"
    )
    errors.fail(tx.name, must, type(state).__name__)


def check_origin(tx: Any, state: Any, params: Any, error: Exception) -> None:
    """Where a call failed: tells whether the state is one that another transformation made."""
    if hasattr(error, "where"):  # it says already what is wrong
        return
    try:
        own = list(_kinds(jax.eval_shape(tx.init, params)))
    except Exception:
        return
    if (got := list(_kinds(state))) != own:
        must = f"state must be the one that init of this transformation made ({_listed(own)})"
        hint = "Write state = tx.init(params)."
        try:
            errors.fail(tx.name, must, _listed(got), instead=hint)
        except ValueError as clear:
            raise clear from error


def _kinds(state: Any) -> Any:
    """The classes of states in a state, from the outside in."""
    if isinstance(state, (tuple, list, dict)):
        if hasattr(state, "_fields"):
            yield type(state).__name__
        for part in state.values() if isinstance(state, dict) else state:
            yield from _kinds(part)


def _listed(names: list[str]) -> str:
    return ", ".join(name for name in names if name != "EmptyState") or "no state"
