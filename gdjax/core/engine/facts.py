"""Properties of a transformation, including those inside it, for all values of its numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.extra_args import extra_names
from gdjax.core.engine.rule import Rule, at_params
from gdjax.core.rule import errors


class Facts(NamedTuple):
    """Properties of a transformation, including those inside it, for all values of its numbers."""

    extra_args: dict[str, bool]  # that it takes; True if required
    per_example: bool  # whether the gradients have a leading axis of examples
    couples: bool  # whether the update of one leaf depends on the gradients of others
    skips: bool  # whether a call may leave the evaluation parameters unchanged


def facts_of(tx: Any) -> Facts:
    """The facts of a transformation; for another library's, the most general ones."""
    if hasattr(tx, "facts"):
        return tx.facts
    return Facts(extra_names(tx), per_example=False, couples=True, skips=True)


def find_facts(tx: Any) -> Facts:
    """The facts of a transformation, from its rule and the transformations inside it."""
    body = tx.example()
    if not isinstance(body, Rule):  # an alias of another
        try:
            return facts_of(body)
        except Exception as error:
            errors.rename(error, tx.name, alias=True)
            raise
    for child in body.children:
        called = next((name for name, x in tx.given.items() if x is child.tx), child.name)
        check_transformation(tx.name, called, child.tx, f"Write {called}=adamw(1e-3), for example.")
    inside = [facts_of(child.tx) for child in body.children]
    extra: dict[str, bool] = {}
    for facts in inside:
        extra |= {k: needed or extra.get(k, False) for k, needed in facts.extra_args.items()}
    elsewhere = body.evaluate not in (None, at_params)  # at points that may stay where they are
    return Facts(
        {**extra, **extra_names(body)},
        body.per_example or any(facts.per_example for facts in inside[:1]),
        body.couples or any(facts.couples for facts in inside),
        body.skips or elsewhere or any(facts.skips for facts in inside),
    )
