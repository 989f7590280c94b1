"""The table of what an optimizer will do with each parameter."""

from __future__ import annotations

import io

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.helpers import mesh_of

PARAMS = {
    "embed": jnp.zeros((50, 8)),
    "head": {"bias": jnp.zeros(10, jnp.bfloat16), "kernel": jnp.zeros((8, 10))},
}


def lines(tx, params=PARAMS):
    return {line.path: line for line in gd.explain(tx, params).lines}


def test_rates_and_decay():
    rate = gd.linear_to_zero(0.5, 10)
    found = lines(gd.chain(gd.clip(1.0), gd.adamw(rate, weight_decay=0.1, mask="matrices")))
    assert found["embed"].learning_rate == rate and found["embed"].weight_decay == 0.1
    assert found["head/bias"].weight_decay == ""
    text = str(gd.explain(gd.adamw(rate), PARAMS))
    assert "0.5, linear_to_zero(init_value=0.5, total_steps=10)" in text
    assert "0.25 (live)" in str(gd.explain(gd.sgd(gd.live(0.25)), PARAMS))


def test_bytes():
    table = gd.explain(gd.adam(0.1), PARAMS)
    found = {line.path: line.state_bytes for line in table.lines}
    assert found == {"embed": 8 * 400, "head/bias": 8 * 10, "head/kernel": 8 * 80}
    assert table.state_bytes == 4 + 8 * 490 and table.parameters == 490
    assert table.parameter_bytes == 4 * 480 + 2 * 10
    assert "490 parameters (0 frozen) in 1,940 bytes; state 3,924 bytes, 8.01 a" in str(table)


def test_groups_and_what_is_frozen():
    tx = gd.partition(
        gd.by_label(table="embed", rest=True), table=gd.set_to_zero(), rest=gd.sgd(0.1, 0.9)
    )
    found = lines(tx)
    assert found["head/kernel"].group == "rest" and found["head/kernel"].learning_rate == 0.1
    assert not found["embed"].trained and found["embed"].state_bytes == 0
    table = gd.explain(tx, PARAMS)
    assert "(400 frozen)" in table.totals and "frozen" in str(table).splitlines()[1]
    assert not lines(gd.masked(gd.sgd(0.1), "matrices"))["head/bias"].trained


def test_abstract_and_sharded_parameters():
    shapes = jax.eval_shape(lambda: PARAMS)
    assert str(gd.explain(gd.adamw(1e-3), shapes)) == str(gd.explain(gd.adamw(1e-3), PARAMS))
    mesh = mesh_of("Auto")
    along = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "data"))
    params = {"w": jax.device_put(jnp.zeros((4, 8)), along)}
    assert lines(gd.adam(0.1), params)["w"].sharding in (
        "P(None, 'data')",
        "(None, 'data')",
    )


def test_is_drawn():
    rich = pytest.importorskip("rich.console")
    table = gd.explain(gd.adamw(1e-3), PARAMS)
    console = rich.Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "head/kernel" in text and "490 parameters" in text
    page = table._repr_html_()
    assert page.count("<tr>") == 4 and "<td>head/kernel</td>" in page


def test_of_a_bare_array():
    (line,) = gd.explain(gd.adam(0.1), jnp.zeros(3)).lines
    assert line.state_bytes == 24 and "(bare array)" in line.cells()


def test_a_whole_model_of_equinox_has_lines_for_its_arrays():
    """`init` and `step` take it; functions among its leaves are no parameters."""
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(2, 2, 3, 1, key=jax.random.key(0))
    tx = gd.groups(gd.adamw(1e-3, mask="matrices"), ("layers/0/.*", {"learning_rate": 0.5}))
    whole, arrays = (gd.explain(tx, m) for m in (model, eqx.filter(model, eqx.is_array)))
    assert str(whole) == str(arrays) and "activation" not in str(whole)
    loss = lambda m: jnp.sum(m(jnp.ones(2)) ** 2)
    with pytest.raises(TypeError, match="params must be arrays and numbers, at 'activation'"):
        gd.minimize(loss, model, tx, 3)
