"""The catalogue goes by module and name: factories of users stand beside those of gdjax."""

import json
import pickle
import sys
import types

import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax.core.data.recipe import CATALOGUE, factories
from gdjax.lab import catalogue

LIBRARY = '''
import gdjax as gd

@gd.transformation(kind="{kind}")
def adamw(learning_rate: gd.NonNegative, sign: float = 1.0):
    """A rule of a user's that is called as one of gdjax is."""
    return gd.chain(gd.scale(sign), gd.sgd(learning_rate))
'''


@pytest.fixture
def library(request):
    """Makes modules with a factory `adamw`, as two libraries that a user has installed."""

    def make(name, kind="optimizer"):
        module = sys.modules[name] = types.ModuleType(name)
        exec(LIBRARY.format(kind=kind), module.__dict__)
        return module

    before = dict(factories())
    yield make
    for key in set(CATALOGUE) - set(before):
        sys.modules.pop(CATALOGUE.pop(key).module, None)


def test_a_user_may_call_a_factory_as_ours_is_called(library):
    mine, yours = library("mine"), library("yours")
    tx = mine.adamw(0.1)
    assert tx != yours.adamw(0.1) and tx != gd.adamw(0.1)
    assert repr(tx) == "adamw(learning_rate=0.1)"
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert CATALOGUE["adamw"].call is gd.adamw and CATALOGUE["mine:adamw"].call is mine.adamw


def test_spec_says_whose_it_is_and_build_reads_it(library):
    mine = library("mine")
    for tx in mine.adamw(0.1), gd.chain(gd.clip(1.0), opt := mine.adamw(gd.live(0.1))), opt:
        assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx
    assert gd.spec(mine.adamw(0.1)) == {"mine:adamw": {"learning_rate": 0.1}}
    assert gd.spec(gd.adamw(0.1)) == {"adamw": {"learning_rate": 0.1}}


def test_a_name_alone_means_ours(library):
    library("mine")
    assert gd.build({"adamw": [0.1]}) == gd.adamw(0.1)
    assert catalogue.read("adamw(0.1)") == gd.adamw(0.1)


def test_defined_twice_in_one_module_is_the_later(library):
    old = library("notebook").adamw(0.1)
    new = library("notebook", kind="wrapper").adamw(0.1)
    assert old != new
    assert gd.build(gd.spec(old)) == new and CATALOGUE["notebook:adamw"].kind == "wrapper"
    assert float(old.update(jnp.array(1.0), old.init(1.0))[0]) == pytest.approx(-0.1)


def test_the_race_finds_the_only_one_of_a_name(library):
    for name in "mine", "yours":
        module = library(name)
        exec(LIBRARY.format(kind="optimizer").replace("adamw", f"of_{name}"), module.__dict__)
        exec(LIBRARY.format(kind="optimizer").replace("adamw", "lonely"), module.__dict__)
        assert catalogue.read(f"of_{name}(0.1)") == getattr(module, f"of_{name}")(0.1)
    with pytest.raises(ValueError, match="must be one that gdjax list shows"):
        catalogue.lookup("lonely")


MESSAGES = {
    "absent:adamw": "module of a factory must be imported, .* Write import absent first",
    "mine:adamv": "factory must be defined in mine, got mine:adamv. Did you mean adamw",
    "json:adamw": "factory must be defined in json, .* No factory is defined there",
    "lonely": "must be the name of a factory of gdjax, or module:name .* Write 'mine:lonely'",
    "AdamW": "must be the name of a factory of gdjax, .* Did you mean adamw\\?",
}


@pytest.mark.parametrize("key", MESSAGES)
def test_build_says_what_to_write(library, key):
    mine = library("mine")
    exec(LIBRARY.format(kind="optimizer").replace("adamw", "lonely"), mine.__dict__)
    assert gd.build({"mine:lonely": [0.1]}) == mine.lonely(0.1)
    with pytest.raises(ValueError, match=f"build: .*{MESSAGES[key]}"):
        gd.build({key: {"learning_rate": 0.1}})


def test_two_of_ours_must_differ():
    def adamw(rate: gd.Hyperparam):
        raise AssertionError("it is not called")

    adamw.__module__ = "gdjax.optimizers.adam.other"
    message = (
        "adamw: names of factories of gdjax must be distinct, and gdjax.optimizers.adam.adam has"
    )
    with pytest.raises(ValueError, match=message):
        gd.transformation(adamw)
    assert CATALOGUE["adamw"].call is gd.adamw
