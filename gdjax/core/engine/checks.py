"""Checks of users' arguments, of what their functions return, and of states, with clear errors."""

from __future__ import annotations

from typing import Any, NoReturn

import jax

from gdjax.core.data.compare import is_transformation, show
from gdjax.core.data.factory import Factory
from gdjax.core.engine.rule import Rule
from gdjax.core.rule import errors, tree
from gdjax.core.rule.boxes import unboxed


def check_transformation(where: str, called: str, given: Any, instead: str = "") -> None:
    """Raises if a value is not a transformation but, say, an uncalled factory or a list.

    Args:
        where: The function or factory that was called, for the message.
        called: The name of its argument, for the message.
        given: The value of the argument.
        instead: What to write, unless that follows from the value.

    Raises:
        TypeError: It is not a transformation, of gdjax or of another library.
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
    """Whether a function may be a factory of transformations, such as `optax.adam`."""
    if hasattr(given, "factory"):
        return hasattr(given, "__name__")  # a schedule has one, and is none
    name = getattr(given, "__qualname__", "<lambda>")
    return callable(given) and name.isidentifier()  # local functions and methods are not


def as_rule(made: Factory, body: Any) -> Rule:
    """The rule that a factory's function returned; raises if it returned something else."""
    if isinstance(body, tuple) and len(body) in (2, 3) and all(map(callable, body)):
        return Rule(*body)
    must = "the decorated function must return (init, update), a Rule or a transformation"
    got = getattr(body, "__name__", None) or errors.kind_of(body)
    errors.fail(made.name, must, got, instead="Write return init, update.", kind=TypeError)


def no_pair(tx: Any, out: Any) -> NoReturn:
    """Raises because an `update` did not return two values."""
    must = "update must return the pair (updates, state)"
    errors.fail(tx.name, must, errors.kind_of(out), kind=TypeError)


def not_injected(tx: Any, state: Any) -> NoReturn:
    """Raises because the state has no values of hyperparameters that change."""
    names = ", ".join(tx.scheduled)
    must = f"state must be the one returned by init, with the values of {names}"
    got = errors.kind_of(state)
    errors.fail(tx.name, must, got, instead="Write state = tx.init(params).")


def check_origin(tx: Any, state: Any, params: Any, error: Exception) -> None:
    """After a failed call: raises if the state is of another transformation or of other params."""
    if hasattr(error, "where"):  # the error has a clear message already
        return
    try:
        own, state = unboxed(jax.eval_shape(tx.init, params)), unboxed(state)
    except Exception:
        return
    must, kinds, got = "state must be the one returned by init", list(_kinds(own)), ""
    if list(_kinds(state)) != kinds:
        must, got = f"{must} ({_listed(kinds)})", _listed(list(_kinds(state)))
    elif jax.tree.structure(state) != jax.tree.structure(own):
        must = f"{must} for these parameters"
        got = tree.difference(own, state, ("state of init", "given state"))
    if got:
        try:
            errors.fail(tx.name, must, got, instead="Write state = tx.init(params).")
        except ValueError as clear:
            raise clear from error


def _kinds(state: Any) -> Any:
    """The names of the state classes in a state, from the outside in."""
    if isinstance(state, (tuple, list, dict)):
        if hasattr(state, "_fields"):
            yield type(state).__name__
        for part in state.values() if isinstance(state, dict) else state:
            yield from _kinds(part)


def _listed(names: list[str]) -> str:
    return ", ".join(name for name in names if name != "EmptyState") or "no state"
