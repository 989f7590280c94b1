"""Where a transformation is called as one of optax, its arguments have the same names and order."""

import inspect

import optax
import pytest

import gdjax as gd
from gdjax.compat.optax.spellings import SPELLINGS


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (gd.masked, optax.masked),
        (gd.freeze, optax.transforms.freeze),
        (gd.selective_transform, optax.transforms.selective_transform),
        (gd.conditionally_mask, optax.conditionally_mask),
        (gd.conditionally_transform, optax.conditionally_transform),
        (gd.apply_every, optax.apply_every),
        (gd.snapshot, optax.snapshot),
        (gd.measure_with_ema, optax.measure_with_ema),
        (gd.reduce_on_plateau, optax.contrib.reduce_on_plateau),
        (gd.sam, optax.contrib.sam),
        (gd.incremental_update, optax.incremental_update),
        (gd.periodic_update, optax.periodic_update),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_arguments_are_ordered_as_in_optax_and_called_so_in_compat(ours, theirs):
    name = ours.__name__
    ours, theirs = (inspect.signature(f).parameters for f in (ours, theirs))
    spelling = {**SPELLINGS, "selective_transform": {"inner": "optimizer"}}.get(name, {})
    ours = {spelling.get(name, name): parameter for name, parameter in ours.items()}
    assert [name for name in ours if name in theirs] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name


def test_arguments_that_optax_has_are_in_its_order():
    theirs = list(inspect.signature(optax.MultiSteps).parameters)
    mine = list(inspect.signature(gd.accumulate).parameters)
    assert [n for n in mine if n in theirs] == [n for n in theirs if n in mine]
