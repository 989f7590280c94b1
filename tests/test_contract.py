"""Promises × rows: every transformation keeps every promise, and every factory has a row."""

import jax
import numpy as np
import pytest

from gdjax import contract, state
from gdjax.contract.subject import example_params
from gdjax.core.engine.transformation import GradientTransformation
from tests import cases

ROWS = cases.rows()


# Promises that compile or trace programs of their own, nine tenths of the time. The first row of a
# factory keeps one of them in the quick suite and the others in the slow one, in turn: each promise
# meets all kinds. Further rows keep half of them, again in turn.
COSTLY = [
    "agrees_when_sharded",
    "numbers_are_leaves",
    "is_differentiable",
    "takes_any_tree",
    "stays_finite",
    "keeps_double_precision",
    "follows_schedules",
    "is_placed_like_parameters",
    "descends",
    "scans",
    "survives_donation",
    "may_be_masked",
    "keeps_its_state",
]


def crossed():
    """Promises × rows, all promises of a row after one another: they share compiled programs."""
    for number, (row, slow) in enumerate(cases.parametrized()):
        for promise in contract.PROMISES:
            place = COSTLY.index(promise) if promise in COSTLY else None
            if slow and place is not None and (place + number) % 2:
                continue
            waits = place is not None and place != number % len(COSTLY)
            marks = [pytest.mark.slow] if slow or waits else []
            yield pytest.param(promise, row, id=f"{row}-{promise}", marks=marks)


@pytest.mark.parametrize(("promise", "row"), list(crossed()))
def test_promise(promise, row):
    contract.PROMISES[promise](row.subject)


def test_costly_promises_are_promises():
    assert set(COSTLY) <= set(contract.PROMISES)


def test_every_factory_has_a_row():
    missing = cases.missing_rows(cases.factories())
    assert not missing, "\n" + "\n".join(missing)


def test_a_missing_row_is_asked_for():
    known = {"xyz": "gdjax.optimizers.adam.xyz"}
    asked = "add a row of 'xyz', Row(gd.xyz(...)), to ROWS in tests/optimizers/adam/test_xyz.py"
    assert cases.missing_rows(known) == [asked]


@pytest.mark.parametrize("row", cases.first().values(), ids=str)
def test_before_the_first_step_all_evaluate_where_they_are(row):
    params = example_params()
    answer = state.eval_params(row.tx, row.tx.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, answer, params)


def test_labels_are_distinct():
    labels = list(map(str, ROWS))
    assert len(set(labels)) == len(labels)


def composition(tx):
    """The transformations that a factory puts together; none where it is a rule of its own."""
    body = tx.example()
    if not isinstance(body, GradientTransformation):
        return []
    return body.given["transformations"] if body.name == "chain" else [body]


COMPOSED = [
    row
    for row in ROWS
    if "learning_rate" in row.tx.numbers and not row.label and composition(row.tx)
]
# An optimizer that decays has a decay; the part alone decays nothing until an argument asks for it.
DECAYS = {"add_decayed_weights", "decay_weights"}
ITS_OWN = {pair for _, found in cases.gather("ITS_OWN") for pair in found}


@pytest.mark.parametrize("row", COMPOSED, ids=str)
def test_defaults_are_those_of_the_parts(row):
    defaults = row.tx.factory.defaults()
    for part in composition(row.tx):
        for name, default in part.factory.defaults().items():
            if part.name in DECAYS and name == "weight_decay":
                continue
            if name in defaults and (row.tx.name, name) not in ITS_OWN:
                assert defaults[name] == default, f"{row.tx.name} and {part.name}: {name}"
