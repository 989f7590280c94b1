"""Promises × rows: every transformation keeps every promise, and every factory has a row."""

import pytest

from gdjax import contract
from gdjax.core.base import GradientTransformation
from gdjax.core.recipe import CATALOGUE

from .rows import ROWS


# All promises of a row after one another: they share compiled programs.
@pytest.mark.parametrize("promise", contract.PROMISES)
@pytest.mark.parametrize("row", ROWS, ids=str)
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
