"""One word for one idea in the arguments of factories, and what old names are answered with."""

import inspect
import json
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.compat import optax
from gdjax.compat.optax import contrib
from gdjax.compat.optax.convert import from_optax_state
from gdjax.compat.optax.spellings import SPELLINGS
from gdjax.core.data.recipe import factories
from gdjax.core.data.renamed import ARGUMENTS

OURS = {name: made for name, made in factories().items() if made.module.startswith("gdjax.")}
# Letters of papers, which mean something else elsewhere: the ratio of two steps, a mixing weight.
LETTERS = {"alpha", "beta", "k"}


def test_no_factory_has_an_old_name():
    old = set(ARGUMENTS) - LETTERS
    found = {(name, a) for name, made in OURS.items() for a in old & set(made.signature.parameters)}
    # The gradients that are added up have a dtype of their own, beside that of the moments.
    assert found == {("accumulate", "accumulator_dtype")}


def test_every_new_name_is_one():
    names = {a for made in OURS.values() for a in made.signature.parameters}
    assert set(ARGUMENTS.values()) <= names


@pytest.mark.parametrize(
    "make, old",
    [
        (gd.muon, "weight_decay_mask"),
        (gd.muon, "muon_weight_dimension_numbers"),
        (gd.sgd, "accumulator_dtype"),
        (gd.soap, "precondition_frequency"),
        (gd.schedule_free, "base_optimizer"),
        (gd.adadelta, "rho"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(make, old):
    first = next(iter(inspect.signature(make).parameters))
    answer = f"unexpected keyword argument '{old}'. It is now called {ARGUMENTS[old]}."
    with pytest.raises(TypeError, match=f"^{make.__name__}: .*{answer}$"):
        make(**{first: 0.5, old: None})


def test_replace_answers_too():
    with pytest.raises(TypeError, match="It is now called every."):
        gd.soap(0.1).replace(precondition_frequency=5)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match="Did you mean weight_decay"):
        gd.adamw(0.1, weight_decoy=0.1)


@pytest.mark.parametrize("name", SPELLINGS)
def test_optax_names_are_kept_in_compat(name):
    """By name and by position, and what `pickle` writes is found again."""
    space = optax if name in optax.__all__ else contrib
    made, own = getattr(space, name), getattr(gd, name)
    theirs = SPELLINGS[name]
    renamed = [theirs.get(a, a) for a in inspect.signature(own).parameters]
    ours = {"axis_name", "dtype"} - set(inspect.signature(made).parameters)  # not of optax
    assert list(inspect.signature(made).parameters) == [a for a in renamed if a not in ours]
    assert pickle.loads(pickle.dumps(made)) is made is getattr(space, name)
    new, old = next(iter(theirs.items()))
    with pytest.raises(TypeError, match=rf"^optax\.(contrib\.)?{name}: .*'{new}'"):
        made(*(0.5 for _ in renamed[: renamed.index(old)]), **{new: None})


def test_compat_makes_what_gdjax_makes():
    numbers = contrib.MuonDimensionNumbers(2, 1)
    plain = {"nesterov": False}  # whose two terms optax corrects apart
    pairs = [
        (
            optax.sgd(0.1, 0.9, accumulator_dtype=jnp.bfloat16),
            gd.sgd(0.1, 0.9, False, jnp.bfloat16),
        ),
        (contrib.scale_by_galore(2, scale=0.5), gd.scale_by_galore(2, scale=0.5)),
        (
            contrib.scale_by_muon("dion", weight_dimension_numbers=numbers, **plain),
            gd.scale_by_muon("dion", matrix_axes="n out in", **plain),
        ),
    ]
    g = jax.random.normal(jax.random.key(0), (2, 3, 4))
    for theirs, ours in pairs:
        found, expected = (tx.update(g, tx.init(g))[0] for tx in (theirs, ours))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    made, own = contrib.momo(0.1, beta=0.8), gd.momo(0.1, b1=0.8)
    found, expected = (tx.update(g, tx.init(g), g, value=1.0)[0] for tx in (made, own))
    np.testing.assert_array_equal(found, expected)


def named(state):
    """The parameters for which there are arrays in a state."""
    keys = (path[-1] for path, _ in jax.tree_util.tree_leaves_with_path(state))
    return {key.key for key in keys if isinstance(key, jax.tree_util.DictKey)}


def test_axes_of_muon_are_said_as_in_its_siblings():
    """The docstring said so, and the argument was not there."""
    params = {"heads": jnp.ones((2, 3, 4)), "square": jnp.eye(3), "bias": jnp.ones(3)}
    axes = gd.matrix_axes({"heads": "n in out", "square": None})
    for make in (gd.muon, gd.normuon, gd.dion2, gd.soap_muon, gd.muon_hyperball):
        tx = make(0.1, matrix_axes=axes)
        labels = gd.state.find(tx.init(params), "inner_states")
        (hidden,) = set(labels) - {"adam"}
        assert {"square", "bias"} == named(labels["adam"]) and "square" not in named(labels[hidden])
        after, _ = tx.step(params, tx.init(params), params)
        assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(after))


def test_a_value_that_was_saved_under_an_old_name_is_restored():
    tx, params = gd.adadelta(gd.live(0.1), decay=gd.live(0.5)), jnp.ones(2)
    state = gd.state.set_hyperparams(tx, tx.init(params), decay=0.7)
    saved = gd.state.to_dict(tx, state)
    before = {name.replace("hyperparams/decay", "hyperparams/rho"): x for name, x in saved.items()}
    assert before.keys() != saved.keys()
    for strict in (True, False):
        back, report = gd.state.from_dict(tx, params, before, strict=strict)
        assert float(gd.state.hyperparams(tx, back)["decay"]) == pytest.approx(0.7)
        assert not report.new and not report.dropped


def test_a_value_that_optax_keeps_under_its_name_is_taken_over():
    """`inject_hyperparams` names the values as optax names the arguments."""
    injected = optax.inject_hyperparams(optax.adadelta)(0.1, rho=0.6)
    state = injected.init(jnp.ones(2))
    assert set(state.hyperparams) >= {"learning_rate", "rho"}
    tx = gd.adadelta(gd.live(0.3), decay=gd.live(0.9))
    taken = from_optax_state(tx, jnp.ones(2), state)
    assert float(gd.state.hyperparams(tx, taken)["decay"]) == pytest.approx(0.6)


def test_recorded_runs_can_be_built():
    file = pathlib.Path(__file__).parent.parent / "docs" / "data" / "charlm_runs.jsonl"
    runs = map(json.loads, file.read_text().splitlines())
    made = [gd.build(run["optimizer"]) for run in runs]
    assert len(made) > 20
