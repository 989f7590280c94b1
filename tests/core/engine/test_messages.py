"""No message of any factory prints a structure of JAX, a quoted annotation or an internal name."""

from __future__ import annotations

import re
import warnings

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
import gdjax.compat.optax  # its factories are in the catalogue too
from gdjax.core.data.recipe import factories
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors
from tests import cases

INTERNAL = re.compile(
    r"PyTreeDef|CustomNode|Tracer|<locals>|_from_arguments|NoneType|<class|object at|gdjax\.core\."
    r"|: '[A-Z]\w*'"  # an annotation in quotes
)
PARAMS = {"layer": {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}, "embed": jnp.ones((5, 2))}
FEWER = {"layer": {"w": jnp.ones((4, 3))}, "embed": jnp.ones((5, 2))}

MISCALLED = {
    "a wrong name": lambda call: call(nonsense=1),
    "no arguments": lambda call: call(),
    "too many": lambda call: call(*[1] * 40),
    "a text": lambda call: call("fast"),
}


def init(tx, params=PARAMS):
    return jax.eval_shape(tx.init, params)


# What is given to `update`: gradients, state and parameters, of which one is wrong. The structure
# of the gradients is compared first, so the first two need no state.
GIVEN = {
    "fewer gradients": lambda tx: (FEWER, None, PARAMS),
    "a list": lambda tx: ([1.0, 2.0], None, PARAMS),
    "fewer gradients, no parameters": lambda tx: (FEWER, init(tx), None),
    "no parameters": lambda tx: (PARAMS, init(tx), None),
    "no state": lambda tx: (PARAMS, None, PARAMS),
    "parameters for the state": lambda tx: (PARAMS, PARAMS, PARAMS),
    "another's state": lambda tx: (PARAMS, gd.adam(1.0).init(PARAMS), PARAMS),
    "the state of fewer": lambda tx: (PARAMS, init(tx, FEWER), PARAMS),
}
QUICK = {"a list"}  # the others take a minute together


def updates(row, given, **extra):
    """Traces an update."""
    jax.eval_shape(lambda *args: row.tx.update(*args, **extra), *given)


def message(call, *args, **kwargs):
    """What a call raises, with the notes of gdjax; the empty string if it raises nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(*args, **kwargs)
        except Exception as error:
            notes = [n for n in getattr(error, "__notes__", []) if "JAX_TRACEBACK" not in n]
            return "\n".join([str(error), *notes])
    return ""


def judged(messages):
    """Asserts that there are messages, and that none of them shows what is internal."""
    assert sum(map(bool, messages.values())) > 50
    wrong = [f"{name}: {text}" for name, text in messages.items() if INTERNAL.search(text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("slip", MISCALLED)
def test_calls_of_factories(slip):
    made = {name: f.call for name, f in factories().items() if f.is_ours}
    judged({name: message(MISCALLED[slip], call) for name, call in made.items()})


@pytest.mark.parametrize(
    "slip", [pytest.param(s, marks=[] if s in QUICK else [pytest.mark.slow]) for s in GIVEN]
)
def test_calls_of_update(slip):
    messages = {}
    for name, row in cases.first().items():
        extra = row.subject.given(PARAMS, PARAMS)
        messages[name] = message(updates, row, GIVEN[slip](row.tx), **extra)
    judged(messages)


def test_calls_without_an_argument():
    messages = {}
    for name, row in cases.first().items():
        messages[name] = message(row.tx.init)
        assert messages[name] == f"{name}.init() missing 1 required positional argument: 'params'"
        messages[f"{name}.update"] = message(row.tx.update, PARAMS)
        if row.extra:
            missing = message(updates, row, (PARAMS, init(row.tx), PARAMS))
            assert "needs the extra argument" in missing, name
            messages[f"{name}, extra"] = missing
    judged(messages)


@transformation
def returns_one_value():
    return lambda params: (), lambda updates, state, params=None, **extra: updates["embed"]


OTHERS = {
    "traced": (
        lambda: jax.jit(lambda x: errors.fail("f", "it must be known", [x]))(1.0),
        "f: it must be known, got [traced float32[]].",
    ),
    "mapped": (
        lambda: jax.vmap(lambda x: errors.fail("f", "it must be known", x))(jnp.ones((3, 2))),
        "f: it must be known, got traced float32[2].",
    ),
    "one value": (
        lambda: returns_one_value().update(PARAMS, ()),
        "returns_one_value: update must return the pair (updates, state), got an array.",
    ),
    "no state": (
        lambda: gd.adam(1.0).update(PARAMS, None),
        "adam: state must be the one returned by init, a tuple of 2 states, got None. "
        "Write state = tx.init(params).\nin chain, which is a part of adam",
    ),
    "the state of other parameters": (
        lambda: gd.with_master_weights(gd.sgd(1.0)).update(
            PARAMS, gd.with_master_weights(gd.sgd(1.0)).init(FEWER), PARAMS
        ),
        "with_master_weights: state must be the one returned by init for these parameters, "
        "got 'master/layer/b' in the state of init but not in the given state. "
        "Write state = tx.init(params).",
    ),
    "no schedule": (
        lambda: gd.adam(lambda step: 0.1).update(PARAMS, gd.adam(1.0).init(PARAMS)),
        "adam: state must be the one returned by init, with the values of learning_rate, "
        "got a tuple. Write state = tx.init(params).",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_messages_in_full(case):
    call, expected = OTHERS[case]
    assert message(call) == expected
