"""Roles: every array of every state has one, and is what its role says."""

import importlib
import pkgutil
import typing
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.contract.subject import example_params
from gdjax.core.rule.roles import (
    Count,
    Factor,
    Mean,
    MeanSquare,
    PerParam,
    SumOfSquares,
    map_fields,
    roles_of,
    undeclared,
)
from tests import cases

# What is inside of these sees other arrays than the parameters.
RESHAPED = {"flatten", "split_real_and_imaginary", "galore", "scale_by_galore"}
RESHAPED |= {"weight_normalized", "muown", "apollo", "apollo_mini", "fira"}
RESHAPED |= {"scale_by_apollo", "scale_by_apollo_mini", "scale_by_fira"}


def abstract_state(row, params):
    return jax.eval_shape(row.tx.init, params)


def all_fields(state):
    """Each field of a state and of the states inside: class, field, role, value."""
    found = []

    def field(owner, name, role, value):
        found.append((type(owner), name, role, value))

    map_fields(field, state)
    return found


@pytest.mark.parametrize("row", cases.rows(), ids=str)
def test_every_array_of_a_state_has_a_role(row):
    for kind, field in undeclared(abstract_state(row, example_params())):
        pytest.fail(
            f"{kind}.{field} of {row.tx.name} holds arrays and has no role. Annotate it, as in "
            f"`{field}: Mean  # of the gradients`: gdjax/core/rule/roles.py lists the roles."
        )


def state_classes():
    for module in pkgutil.walk_packages(gd.__path__, "gdjax."):
        if ".lab" not in module.name:
            found = vars(importlib.import_module(module.name))
            for name, kind in found.items():
                own = getattr(kind, "__module__", "") == module.name
                if own and name.endswith("State") and hasattr(kind, "_fields") and name[0] != "_":
                    yield kind


@pytest.mark.parametrize(
    "kind", list(state_classes()), ids=lambda k: f"{k.__module__}.{k.__name__}"
)
def test_no_field_without_a_role_is_annotated_as_an_array(kind):
    """Those that no row makes are seen here."""
    hints = typing.get_type_hints(kind, vars(importlib.import_module(kind.__module__)))
    for field in set(kind._fields) - set(roles_of(kind)):
        text = str(hints[field])
        assert "Array" not in text, f"{kind.__name__}.{field}: {text} needs a role"


WHOLE = {"count": ((), jnp.int32), "key": ((2,), jnp.uint32), "scalar": ((), None)}


@pytest.mark.parametrize("row", [r for r in cases.rows() if r.tx.name not in RESHAPED], ids=str)
def test_arrays_are_what_their_roles_say(row):
    leaves, treedef = jax.tree.flatten(example_params())
    for kind, field, role, value in all_fields(abstract_state(row, example_params())):
        if role is None or value is None:
            continue
        where = f"{kind.__name__}.{field}"
        if role.name in WHOLE:
            shape, dtype = WHOLE[role.name]
            assert (value.shape, dtype or value.dtype) == (shape, value.dtype), where
        elif role.like_params or role.over is not None:
            for p, array in zip(leaves, treedef.flatten_up_to(value)):
                if jax.tree.leaves(array):  # not of what is left out
                    expected = p.shape if role.like_params else without(p.shape, role.over)
                    assert array.shape == expected, where


def without(shape, over):
    axis = over(shape) if callable(over) else over
    return tuple(np.delete(shape, axis).tolist())


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (4, 4), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("make", [gd.scale_by_came, gd.scale_by_factored_rms])
def test_factors_lack_the_axis_that_is_averaged_over(make, shape):
    tx = make(min_dim_size_to_factor=1)
    names = {}
    for _, field, role, value in all_fields(jax.eval_shape(tx.init, jnp.ones(shape))):
        if role.over is not None:
            names[field] = value.shape == without(shape, role.over)
    assert len(names) >= 2 and all(names.values())


# of users' classes


class Plain(NamedTuple):
    count: Count
    trace: Mean | None
    nu: "MeanSquare"
    rows: Annotated[Any, Factor(-1)]
    sums: Annotated[SumOfSquares, "of the gradients"]
    inner_state: Any = ()


def test_roles_are_read_from_annotations_of_every_form():
    names = {field: role.name for field, role in roles_of(Plain).items()}
    assert names == {
        "count": "count",
        "trace": "mean",
        "nu": "mean square",
        "rows": "factor",
        "sums": "sum of squares",
    }
    assert roles_of(Plain)["rows"].over == -1


def test_what_cannot_be_looked_up_hides_no_other_role():
    class Elsewhere(NamedTuple):
        mu: "nowhere.Mean"  # noqa: F821
        x: "Nowhere"  # noqa: F821
        nu: "MeanSquare"

    assert list(roles_of(Elsewhere)) == ["nu"]


def test_a_subclass_has_the_roles_of_its_base():
    class Named(Plain):
        __slots__ = ()

        def metrics(self):
            return {}

    assert roles_of(Named) == roles_of(Plain)


def test_classes_without_annotations_have_no_roles():
    import collections

    state = collections.namedtuple("Old", "mu nu")(jnp.ones(3), [jnp.ones(2)])
    assert roles_of(type(state)) == {}
    assert undeclared(state) == [("Old", "mu"), ("Old", "nu")]
    assert undeclared((jnp.ones(3),)) == [("tuple", "")]


def test_states_inside_are_reached_and_fields_with_a_role_not_entered():
    class Params(NamedTuple):  # parameters, in the form of a state
        mu: Mean

    class Holder(NamedTuple):
        anchor: PerParam
        inner_state: Any

    state = Holder(Params(jnp.ones(3)), {"a": [gd.adam(0.1).init(Params(jnp.ones(3)))]})
    fields = [(kind.__name__, name) for kind, name, _, _ in all_fields(state)]
    assert ("Holder", "anchor") in fields and ("ScaleByAdamState", "nu") in fields
    assert ("Params", "mu") not in fields
    double = lambda o, name, role, x: jax.tree.map(lambda a: a + 1, x) if name == "nu" else None
    assert gd.state.find(map_fields(double, state), "nu").mu[0] == 1
    assert isinstance(map_fields(double, state).inner_state["a"], list)
