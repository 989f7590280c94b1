"""The program of every elementwise rule is the formula that its page shows."""

import pytest

from gdjax import contract
from tests import cases
from tests.proof import rows


@pytest.mark.parametrize("name", rows.elementwise())
def test_the_program_is_the_formula(name):
    tx = rows.elementwise()[name].tx
    proof = contract.prove(tx, **rows.AT_POINTS.get(tx.name, {}))
    assert proof, proof.verdict
    assert bool(proof.digits) == (tx.name in rows.AT_POINTS)


def test_every_row_with_numbers_alone_is_proven():
    proven = {row.tx.name for row in rows.elementwise().values()}
    there = {n for n in cases.first() if f".{'.'.join(cases.factories()[n].split('.')[1:3])}" }
    assert proven
