"""What is not the formula is refused: rules of optax, planted faults, formulas that are wrong."""

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax as gd
from gdjax import contract
from gdjax.core.data.hyperparams import Decay
from gdjax.core.data.recipe import factories
from gdjax.proof.stated import formula_of
from tests.mutation.checks import in_place
from tests.mutation.sites import mutants
from tests.proof import rows

ADAM = {"b1": "0.9", "b2": "0.999", "eps": "10^−8", "eps_root": "0"}
OF_OPTAX = {  # the transformation, our formula, its numbers
    "adam": (optax.scale_by_adam(), "scale_by_adam", ADAM),
    "adamax": (optax.scale_by_adamax(), "scale_by_adamax", ADAM),
    "ademamix": (
        optax.contrib.scale_by_ademamix(),
        "scale_by_ademamix",
        ADAM | {"b3": "0.9999", "α": "6"},
    ),
    "belief": (
        optax.scale_by_belief(),
        "scale_by_belief",
        ADAM | {"eps": "10^−16", "eps_root": "10^−16"},
    ),
    "lion": (optax.scale_by_lion(), "scale_by_lion", {"b1": "0.9", "b2": "0.99"}),
    "trace": (optax.trace(0.9), "trace", {"μ": "0.9"}),
    "adadelta": (optax.scale_by_adadelta(), "scale_by_adadelta", {"ρ": "0.9", "ε": "10^−6"}),
}
WRONG_IN_OPTAX = {
    # The mean of differences enters with 1 − b2 in place of b2.
    "adan": (
        optax.scale_by_adan(eps_root=0.0),
        "scale_by_adan",
        {"b1": "0.98", "b2": "0.92", "b3": "0.99", "eps": "10^−8", "eps_root": "0"},
    ),
    # The first step is zero, and every later one a step late.
    "rprop": (
        optax.scale_by_rprop(0.1),
        "scale_by_rprop",
        {"learning_rate": "0.1", "η⁺": "1.2", "η⁻": "0.5", "Δmin": "10^−6", "Δmax": "50"},
    ),
}


def formula(name, numbers):
    """The formula of a factory, with numbers for its letters."""
    lines = [f"{letter} = {value}" for letter, value in numbers.items()]
    return "\n".join([*lines, formula_of(factories()[name])])


def of_optax(tx, ours, numbers):
    """Proves a transformation of optax, whose arithmetic mixes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        return contract.prove(tx, formula(ours, numbers))


@pytest.mark.parametrize("name", OF_OPTAX)
def test_rules_of_another_library_are_proven(name):
    assert of_optax(*OF_OPTAX[name])


@pytest.mark.parametrize("name", WRONG_IN_OPTAX)
def test_wrong_rules_of_another_library_are_refused(name):
    assert "in step" in of_optax(*WRONG_IN_OPTAX[name]).difference


def test_every_mutant_of_a_rule_is_refused():
    """Constants, signs, operators and comparisons of two files, one after the other."""
    survivors = set()
    for mutant in mutants(["lion", "adan"]):
        with in_place(mutant, compiled=False):
            if all(map(_is_proven, rows.of_file(mutant.file))):
                survivors.add(mutant.key)
    assert not survivors


def _is_proven(tx):
    try:
        return bool(contract.prove(tx))
    except (TypeError, ValueError):  # it cannot be traced
        return False


@gd.transformation
def heavy_ball(decay: Decay = 0.9):
    """Momentum.

    v ← b·v + g    u = v

    Args:
        decay: b, in [0, 1).
    """

    def update(updates, state, params=None):
        state = decay * state + updates
        return state, state

    return jnp.zeros_like, update


def test_a_rule_of_a_user():
    assert contract.prove(heavy_ball(), "v ← b·v + g    u = v")
    proof = contract.prove(heavy_ball(), "v ← b·v + (1 − b)·g    u = v")
    assert proof.difference.startswith(
        "in step 1 the program gives g1, the formula (odds_decay*g1)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u = w·g", "w is not defined"),
        ("u = g +", "the end"),
        ("u = (g", "is missing"),
        ("u = g ? 2", "? 2'"),
        ("v ← g", "a formula has `u =` or `θ ←`"),
        ("over all entries", "a statement is"),
        ("when it pleases: u = g", "a condition is"),
        ("u = g,    m̂ of `adamm`", "adamm is no factory"),
    ],
)
def test_formulas_that_cannot_be_read(text, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?").replace("(", r"\(")):
        contract.prove(heavy_ball(), text)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (lambda: contract.prove(gd.adam), TypeError, "Call the factory"),
        (lambda: contract.prove("adam"), TypeError, "must be a transformation"),
        (lambda: contract.prove(optax.sgd(0.1)), ValueError, "formula must be given"),
        (lambda: contract.prove(gd.chain(gd.sgd(0.1))), ValueError, "has no formula"),
    ],
)
def test_calls_that_are_wrong(given, kind, message):
    with pytest.raises(kind, match=message):
        given()
