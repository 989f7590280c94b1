"""optax's namespace over gdjax: every name, its arguments and defaults, fields of states."""

from __future__ import annotations

import importlib
import inspect

import pytest

from gdjax.compat import optax as ours

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on

SPACES = (
    "",
    "contrib",
    "transforms",
    "schedules",
    "tree",
    "tree_utils",
    "losses",
    "projections",
)

# Modules that are no part of optax's documented interface.
LEFT_OUT = {"": {"experimental"}, "tree_utils": {"functools", "typing"}}


@pytest.mark.parametrize("space", SPACES)
def test_every_name_is_here(space):
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    wanted = {n for n in dir(theirs) if not n.startswith("_")} - LEFT_OUT.get(space, set())
    assert {n for n in wanted if not hasattr(here, n)} == set()
    assert wanted <= set(dir(here))


def test_a_star_brings_all():
    scope = {}
    exec("from gdjax.compat.optax import *; from gdjax.compat.optax.contrib import *", scope)
    assert scope["adamw"] is ours.adamw and scope["masked"] is ours.masked and "muon" in scope


def test_what_is_no_name_raises():
    with pytest.raises(AttributeError, match="no attribute 'adamm'. Did you mean"):
        ours.adamm  # noqa: B018
    with pytest.raises(AttributeError, match="optax.contrib"):
        ours.contrib.adam_  # noqa: B018
    with pytest.raises(ImportError):
        from gdjax.compat.optax import no_such_name  # noqa: F401


# Defaults that are objects, and are equal in what they do.
SAME_IN_EFFECT = {
    ("adafactor", "dtype_momentum"),
    ("scale_by_distance_over_gradients", "param_dtype"),
    ("lbfgs", "linesearch"),
    ("scale_by_factored_rms", "decay_rate_fn"),
    ("adopt", "clip_value_fn"),
    ("scale_by_adopt", "clip_value_fn"),
    ("sophia", "hessian_diagonal_fn"),
    ("hutchinson_estimator_diag_hessian", "random_seed"),  # None is 0
    ("muon", "muon_weight_dimension_numbers"),
    ("scale_by_muon", "ns_coeffs"),  # by name
}


@pytest.mark.parametrize("space", ("", "contrib", "transforms", "schedules"))
def test_arguments_and_defaults(space):
    """What can be written for optax can be written here, and means the same."""
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    wrong = []
    for name in dir(theirs):
        function = getattr(theirs, name)
        if name.startswith("_") or not inspect.isfunction(function) or not hasattr(here, name):
            continue
        mine = inspect.signature(getattr(here, name)).parameters
        for i, p in enumerate(inspect.signature(function).parameters.values()):
            q = mine.get(p.name)
            by_name = p.kind is p.KEYWORD_ONLY
            if q is None and by_name and any(m.kind is m.VAR_KEYWORD for m in mine.values()):
                continue
            if q is None or not (by_name or list(mine)[i] == p.name):
                wrong.append(f"{name}: {p.name}")
            elif (name, p.name) not in SAME_IN_EFFECT and q.default != p.default:
                wrong.append(f"{name}: {p.name}={p.default}, not {q.default}")
    assert wrong == []


@pytest.mark.parametrize("space", ("", "contrib"))
def test_fields_of_states(space):
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    for name in dir(theirs):
        fields = getattr(getattr(theirs, name), "_fields", None)
        known = inspect.isclass(getattr(theirs, name)) and hasattr(here, name)
        if known and fields and name not in MORE_FIELDS:
            assert getattr(here, name)._fields == fields, name


# States with fields of their own besides; the reason stands where they are defined.
MORE_FIELDS = {"ScaleByRmsState", "ScaleByRStdDevState", "MechanicState", "MuonState"}
