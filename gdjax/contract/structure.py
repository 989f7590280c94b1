"""Promises on declarations of a transformation: extra arguments, coupled leaves."""

from __future__ import annotations

import dataclasses
from typing import Any

import chex
import jax

from gdjax.contract.subject import Subject, example_grads, example_params, promise
from gdjax.core.engine.facts import facts_of

__all__ = ["declares_extra_arguments", "declares_what_couples"]


@promise
def declares_extra_arguments(subject: Subject) -> None:
    """`extra_args` lists the extra arguments that `update` needs; without one of them it raises."""
    tx, params = subject.tx, example_params()
    updates = subject.batched(example_grads(params))
    given = dict(subject.given(example_grads(params), params))
    needed = {name for name, need in tx.extra_args.items() if need}
    missing = needed - set(given)
    assert not missing, f"extra_args says that {missing} are needed, and the row gives none"

    def call(extra: dict[str, Any]) -> Any:
        run = lambda updates, params: tx.update(updates, tx.init(params), params, **extra)
        return jax.eval_shape(run, updates, params)

    call({name: given[name] for name in needed})
    for name in needed:
        try:
            call({other: given[other] for other in needed - {name}})
        except TypeError as error:
            assert repr(name) in str(error), f"the error does not name {name!r}: {error}"
        else:
            raise AssertionError(f"update needs {name!r}, says extra_args, and ran without it")


@promise
def declares_what_couples(subject: Subject) -> None:
    """Without `couples`, the update of a leaf does not depend on the gradients of other leaves.

    A `Rule` whose update of a leaf depends on the gradients of others declares `couples=True`.
    """
    if facts_of(subject.tx).couples:
        return
    params = example_params()
    grads = [example_grads(params, i) for i in range(2)]
    extra = dict(subject.given(grads[0], params))  # the same, whatever the gradients are
    fixed = dataclasses.replace(subject, extra=extra)

    def second(changed: Any) -> Any:
        _, state = fixed.update(grads[0], fixed.tx.init(params), params)
        return fixed.update(changed, state, params)[0]

    first = second(grads[1])
    for name in params:
        other = second({**grads[1], name: jax.tree.map(lambda g: 3 * g + 1, grads[1][name])})
        rest = [{k: v for k, v in u.items() if k != name} for u in (first, other)]
        chex.assert_trees_all_equal(*rest)
