"""Mutants are put in place and taken back; the list of those that change nothing names sites."""

import numpy as np
import pytest

import gdjax as gd
from gdjax.core.lowbit.codebooks import codebook
from gdjax.core.matrix.blocking import Cut
from gdjax.core.matrix.polar_coefficients import polynomials
from tests.mutation import unseen
from tests.mutation.checks import in_place
from tests.mutation.sites import mutants


def test_mutants_have_names_of_their_own():
    names = [m.key for m in mutants()]
    assert len(names) == len(set(names)) > 2000


def test_the_list_names_sites_that_exist_each_once_and_with_a_reason():
    listed = [mutant for group in unseen.groups() for mutant in group["mutants"]]
    unknown = set(listed) - {m.key for m in mutants()}
    assert not unknown, f"these are not in the code any more; take them from {unseen.FILE}"
    assert len(listed) == len(set(listed))
    assert all(len(group["why"].split()) > 4 for group in unseen.groups())


# Behind a decorator; in a method; in a function with a cache; a constant that a function reads.
PLACES = {
    "transforms/basic.py scale_by_learning_rate: -learning_rate -> +learning_rate": (
        lambda: gd.scale_by_learning_rate(0.5).update(np.float32(2), gd.EmptyState())[0],
        (-1.0, 1.0),
    ),
    "core/matrix/blocking.py Cut.of: (1, 1) -> (2, 1)": (
        lambda: Cut.of((4, 4), None).count[0],
        (1, 2),
    ),
    "core/lowbit/codebooks.py codebook: k / 127 -> k / 128": (
        lambda: float(codebook("8bit-linear", False)[-1]),
        (1.0, 127 / 128),
    ),
    "core/matrix/polar_coefficients.py POLISH: (2.0, -1.5, 0.5) -> (2.0, -1.5, 1.0)": (
        lambda: polynomials("deepseek", 3)[-1][-1],
        (0.5, 1.0),
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_mutant_is_put_in_place_and_taken_back(name):
    (mutant,) = [m for m in mutants([name.split()[0]]) if m.key == name]
    value, (before, after) = PLACES[name]
    assert value() == before
    with in_place(mutant):
        assert value() == after
    assert value() == before
