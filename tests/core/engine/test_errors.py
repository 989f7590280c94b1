"""Slips of a beginner: each is answered by what must hold, what was got and what to write."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax as gd
import gdjax.compat.optax  # its wrappers stand in the catalogue too
from gdjax.core.data.recipe import factories
from gdjax.core.rule import errors
from gdjax.lab.race import race

X = jnp.ones(2)
MOMENTUM = gd.sgd(0.1, 0.9)
STATE = MOMENTUM.init(X)
PAIR = {"w": jnp.ones(2), "b": jnp.ones(1)}


def loss(x):
    return jnp.sum(x**2)


def halved(updates, params):
    return {"w": updates["w"]}


CALLS = {
    "minimize": lambda tx: gd.minimize(loss, X, tx, 5),
    "explain": lambda tx: gd.explain(tx, X),
    "eval_params": lambda tx: gd.state.eval_params(tx, STATE, X),
    "hyperparams": lambda tx: gd.state.hyperparams(tx, STATE),
    "set_hyperparams": lambda tx: gd.state.set_hyperparams(tx, STATE, learning_rate=0.2),
    "to_dict": lambda tx: gd.state.to_dict(tx, STATE),
    "from_dict": lambda tx: gd.state.from_dict(tx, X, gd.state.to_dict(MOMENTUM, STATE)),
    "reset": lambda tx: gd.state.reset(tx, STATE, X),
    "sharding.state": lambda tx: gd.sharding.state(tx, X),
    "contract.check": lambda tx: gd.contract.check(tx, ["scans"]),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (gd.adam, r"got the function adam\. Call the factory: adam\(\.\.\.\)\."),
        (optax.adam, r"got the function adam\. Call the factory: adam\(\.\.\.\)\."),
        (0.1, r"got 0\.1\. Write {name}\("),
        ("adam", r"got 'adam'\. Write {name}\("),
        (X, r"got array\(\[1\., 1\.\]\)\. Write {name}\("),
        (MOMENTUM.init, r"got <init>\. Write {name}\("),
        ([gd.clip(1.0), MOMENTUM], r"got a list\. Write chain\(a, b\), not \[a, b\]\."),
    ],
    ids=["factory", "optax", "number", "name", "params", "init", "list"],
)
def test_what_is_no_transformation_is_answered(name, given, answer):
    must = rf"^{name}: tx must be a transformation, which has init and update, "
    with pytest.raises(TypeError, match=must + answer.replace("{name}", name)):
        CALLS[name](given)


# What a wrapper needs beside the transformation.
BESIDE = {
    "with_ema": {"decay": 0.9},
    "with_swa": {"start": 1},
    "lookahead": {"every": 5, "slow_step_size": 0.5},
    "accumulate": {"every": 2},
    "masked": {"mask": True},
    "selective_transform": {"freeze_mask": True},
    "placed": {"specs": None},
    "conditionally_transform": {"should_transform_fn": bool},
    "conditionally_mask": {"should_transform_fn": bool},
    "schedule_free": {"learning_rate": 0.1},
    "stochastic_rounding": {"key": 0},
    **dict.fromkeys(("galore", "apollo", "apollo_mini", "fira"), {"learning_rate": 0.1}),
    "diloco": {"every": 5},
    "sam": {"adv_optimizer": gd.sgd(0.1)},
    "optax.masked": {"mask": True},
    "optax.apply_if_finite": {"max_consecutive_errors": 1},
}
OURS = {name: made for name, made in factories().items() if ":" not in name}
WRAPPERS = [name for name, made in OURS.items() if "inner" in made.signature.parameters]


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_says_that_a_factory_was_not_called(name):
    assert len(WRAPPERS) >= 30
    make, own = factories()[name].call, name.removeprefix("optax.")
    must = rf"^(optax\.)?{own}: inner must be a transformation, which has init and update, got "
    with pytest.raises(TypeError, match=must + r"the function adam\. Call .* adam\(\.\.\.\)\."):
        make(inner=gd.adam, **BESIDE.get(name, {}))
    with pytest.raises(TypeError, match=must + r"0\.1\. Write .*adamw\(1e-3\)"):
        make(inner=0.1, **BESIDE.get(name, {}))
    make(inner=gd.scale(2.0), **BESIDE.get(name, {}))


def test_a_wrapper_of_a_user_is_checked_too():
    @gd.transformation(kind="wrapper")
    def twice(optimizer):
        def update(updates, state, params=None, **extra):
            return optimizer.update(updates, state, params)

        init = lambda params: optimizer.init(params)
        return gd.Rule(init, update, children=(gd.Child("first", optimizer, at=()),))

    with pytest.raises(TypeError, match=r"^twice: optimizer must be .* the function adam\. Call"):
        twice(gd.adam)
    twice(gd.adam(0.1)).init(X)


SLIPS = {
    "minimize, params and tx exchanged": (
        lambda: gd.minimize(loss, gd.adam(0.1), X, 5),
        r"^minimize: tx must be .*got array\(\[1\., 1\.\]\)\. "
        r"Write minimize\(fun, params, tx, steps\)\.$",
    ),
    "minimize, tx and steps exchanged": (
        lambda: gd.minimize(loss, X, 5, gd.adam(0.1)),
        r"^minimize: tx must be .*got 5\. Write minimize\(fun, params, tx, steps\)\.$",
    ),
    "minimize, tx first": (
        lambda: gd.minimize(gd.adam(0.1), loss, X, 5),
        r"^minimize: tx must be .*Write minimize\(fun, params, tx, steps\)\.$",
    ),
    "minimize, fun and params exchanged": (
        lambda: gd.minimize(X, loss, gd.adam(0.1), 5),
        r"^minimize: fun must be a function, got Array.*Write minimize\(lambda params: ",
    ),
    "chain of a factory": (
        lambda: gd.chain(gd.clip(1.0), gd.adam),
        r"^chain: stage 1 must be .*the function adam\. Call the factory: adam\(\.\.\.\)\.$",
    ),
    "chain of a list": (
        lambda: gd.chain([gd.clip(1.0), MOMENTUM]),
        r"^chain: stage 0 must be .*got a list\. Write chain\(a, b\), not \[a, b\]\.$",
    ),
    "partition of a factory": (
        lambda: gd.partition("a", a=gd.adam),
        r"^partition: what is given for the label 'a' must be .*Call the factory: adam\(\.\.\.\)",
    ),
    "graft of numbers": (
        lambda: gd.graft(gd.adam(0.1), 0.1),
        r"^graft: magnitude must be .*got 0\.1\. Write magnitude=adamw\(1e-3\), for example\.$",
    ),
    "race on a loss": (
        lambda: race(["adam"], loss),
        r"^race: a problem must be a name or a Problem, got <loss>\. "
        r"Write Problem\.of\(loss, params\), of gdjax\.lab\.problems\.$",
    ),
    "race of a factory": (lambda: race([gd.adam], "bowl"), r"got <adam>\. Write \"adam\"\.$"),
    "race of one factory": (lambda: race(gd.adam, "bowl"), r"got <adam>\. Write \"adam\"\.$"),
    "race of rates": (
        lambda: race({"mine": lambda rate: rate}, "bowl", steps=2),
        r"^race: what a function of the rate returns must be a transformation, .*got <traced",
    ),
    "steps without factors": (
        lambda: gd.piecewise_constant_schedule(1.0, [10, 20]),
        r"^piecewise_constant_schedule: boundaries_and_scales must be a dict from steps to "
        r"factors, got \[10, 20\]\. Write \{10: 0\.1, 20: 0\.1\}\.$",
    ),
    "one step without a factor": (
        lambda: gd.piecewise_interpolate_schedule("linear", 1.0, 10),
        r"^piecewise_interpolate_schedule: .*must be a dict .*got 10\. Write \{10: 0\.1\}\.$",
    ),
    "lr": (lambda: gd.adamw(lr=1e-3), r"^adamw: .*'lr'\. Did you mean learning_rate\?$"),
    "betas": (
        lambda: gd.adamw(1e-3, betas=(0.9, 0.99)),
        r"^adamw: got an unexpected keyword argument 'betas'\. Write b1=\.\.\., b2=\.\.\.\.$",
    ),
    "no rate": (lambda: gd.adamw(), r"^adamw: .*Write adamw\(learning_rate, b1=0\.9, "),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered(slip):
    call, answer = SLIPS[slip]
    with pytest.raises(TypeError, match=answer):
        call()


# Trees of another structure: the path where they part, never JAX's print of a structure.
APART = {
    "apply_updates": (
        lambda: gd.apply_updates(PAIR, {"w": X}),
        r"^apply_updates: updates and params must have the same structure, "
        r"got 'b' in the params but not in the updates\.$",
    ),
    "update": (
        lambda: MOMENTUM.update({"w": X}, MOMENTUM.init(PAIR), PAIR),
        r"^sgd: gradients and params .*got 'b' in the params but not in the gradients\.",
    ),
    "a bare array": (
        lambda: MOMENTUM.update(X, MOMENTUM.init(PAIR), PAIR),
        r"^sgd: .*got a bare array in the gradients but not in the params\.",
    ),
    "stateless": (
        lambda: gd.stateless(halved).update(PAIR, gd.EmptyState()),
        r"^stateless: function must return a tree with the structure of the updates, "
        r"got 'b' in the updates but not in the result\.",
    ),
    "replace": (
        lambda: gd.state.replace(MOMENTUM.init(PAIR), "trace", {"w": X}),
        r"must keep its structure, got 'b' in the old value but not in the new value\.$",
    ),
    "projection_box": (
        lambda: gd.projections.projection_box(PAIR, {"w": 0.0}, 1.0),
        r"^projection_box: lower must be a number or a tree with the structure of the first "
        r"argument, got 'b' in the first argument but not in the lower bound\.$",
    ),
}


@pytest.mark.parametrize("case", APART)
def test_trees_that_differ_are_answered_with_a_path(case):
    call, answer = APART[case]
    with pytest.raises(ValueError, match=answer) as caught:
        call()
    assert "PyTreeDef" not in str(caught.value)


def test_no_error_prints_the_address_of_a_function():
    assert " at 0x" in repr(loss)
    with pytest.raises(ValueError, match=r"got <function loss>\.$"):
        errors.fail("adam", "b1 must lie in [0, 1)", loss)
    with pytest.raises(ValueError) as caught:
        errors.fail("adam", "the step must be compiled", jax.jit(loss))
    assert "0x" not in str(caught.value)
