"""What documentation shows runs as it does for a reader."""

import jax
import pytest


@pytest.fixture(autouse=True)
def as_a_user():
    """JAX as it is by default, and no factory of an example left in the catalogue."""
    from gdjax.core.data.recipe import CATALOGUE, factories

    before = dict(factories())
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    CATALOGUE.clear()
    CATALOGUE.update(before)
