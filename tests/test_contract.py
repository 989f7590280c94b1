"""Promises × rows: every transformation keeps every promise, and every factory has a row."""

import pytest

from gdjax import contract
from gdjax.core.data.recipe import CATALOGUE
from gdjax.core.engine.transformation import GradientTransformation

from . import families
from .families import ROWS

FIRST = {row.tx.name: row for row in reversed(ROWS)}  # of each factory
SLOW = {id(row) for row in ROWS if FIRST[row.tx.name] is not row}


def marked(row):
    """The second row of a factory, and the third, are for those who wait."""
    return pytest.param(row, id=str(row), marks=[pytest.mark.slow] if id(row) in SLOW else [])


# All promises of a row after one another: they share compiled programs.
@pytest.mark.parametrize("promise", contract.PROMISES)
@pytest.mark.parametrize("row", list(map(marked, ROWS)))
def test_promise(promise, row):
    contract.PROMISES[promise](row.subject)


def test_every_factory_has_a_row():
    ours = {
        name
        for name, made in CATALOGUE.items()
        if made.make is GradientTransformation and made.module.startswith("gdjax.")
    }
    assert ours == {row.tx.name for row in ROWS}


def test_labels_are_distinct():
    labels = list(map(str, ROWS))
    assert len(set(labels)) == len(labels)


OPTIMIZERS = [row for row in ROWS if "learning_rate" in row.tx.numbers and not row.label]
# An optimizer that decays has a decay; the part alone decays nothing until it is told to.
DECAYS = {"add_decayed_weights", "decay_weights"}
ITS_OWN = set().union(*(getattr(m, "ITS_OWN", ()) for m in families.modules.values()))


@pytest.mark.parametrize("row", OPTIMIZERS, ids=str)
def test_defaults_are_those_of_the_parts(row):
    defaults = row.tx.factory.defaults()
    body = row.tx.example()
    if not isinstance(body, GradientTransformation):
        return  # a rule of its own, no composition
    for part in body.given["transformations"] if body.name == "chain" else [body]:
        for name, default in part.factory.defaults().items():
            if part.name in DECAYS and name == "weight_decay":
                continue
            if name in defaults and (row.tx.name, name) not in ITS_OWN:
                assert defaults[name] == default, f"{row.tx.name} and {part.name}: {name}"
