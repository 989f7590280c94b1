"""The program of every elementwise rule is the formula that its page shows."""

import pytest

from gdjax import contract
from tests.proof import rows


@pytest.mark.parametrize("name", rows.elementwise())
def test_the_program_is_the_formula(name):
    tx = rows.elementwise()[name].tx
    proof = contract.prove(tx, **rows.AT_POINTS.get(tx.name, {}))
    assert proof, proof.verdict
    assert bool(proof.digits) == (tx.name in rows.AT_POINTS)
