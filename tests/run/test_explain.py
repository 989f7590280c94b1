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
    assert text.count("0.5 (a)") == 3 and text.count("linear_to_zero") == 1
    assert "\n(a) linear_to_zero(init_value=0.5, total_steps=10)\n" in text
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
    assert line.state_bytes == 24
    assert str(gd.explain(gd.adam(0.1), jnp.zeros(3))).splitlines()[1].startswith("(bare array)")


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


def blocks(count, name="blocks/{}"):
    layer = {"att": {"key": {"bias": jnp.zeros(3), "kernel": jnp.zeros((3, 3))}}}
    if "/" in name:
        return {"blocks": [layer] * count, "embed": jnp.zeros((5, 3))}
    return {name.format(i): layer for i in range(count)} | {"embed": jnp.zeros((5, 3))}


FREEZE = lambda tx: gd.groups(tx, (r"blocks/[013]/.*", gd.frozen))


@pytest.mark.parametrize(
    "tx, params, rows",
    [
        (gd.adam(0.1), blocks(24), ["blocks/*/att/key/bias ×24", "blocks/*/att/key/kernel ×24"]),
        (gd.adam(0.1), blocks(3, "layers_{}"), ["layers_*/att/key/bias ×3"]),
        (gd.adam(0.1), blocks(1), ["blocks/0/att/key/bias "]),
        # of one pattern some are frozen
        (
            FREEZE(gd.adam(0.1)),
            blocks(5),
            ["blocks/{0-1,3}/att/key/bias ×3", "blocks/{2,4}/att/key/bias ×2"],
        ),
    ],
)
def test_equal_rows_are_one(tx, params, rows):
    """24 layers had 242 rows."""
    text = str(gd.explain(tx, params))
    assert all(any(line.startswith(row) for line in text.splitlines()) for row in rows)
    assert len(gd.explain(tx, params).lines) == len(jax.tree.leaves(params))
    assert len(text.splitlines()) <= 7


@pytest.mark.parametrize("width", [56, 64, 80, 120])
def test_is_no_wider_than_the_terminal(width, monkeypatch):
    """With a schedule it had 162 columns."""
    rate = gd.warmup_cosine_decay_schedule(0.0, 3e-3, 10, 60, end_value=1e-4)
    params = {"a_module_with_a_long_name": blocks(2), "another": {"w": jnp.zeros(2)}}
    table = gd.explain(gd.adamw(rate), params)
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", terminal)
    lines = str(table).splitlines()
    assert max(map(len, lines)) <= width
    assert any("peak_value=0.003" in line for line in lines)
    assert any("b*/w" in line or "r/w" in line for line in lines)


def test_a_summary_by_group():
    tx = gd.groups(gd.adamw(0.1, mask="matrices"), (r"embed", gd.frozen))
    text = str(gd.explain(tx, blocks(4)).by_group())
    assert [line.split() for line in text.splitlines()[:-1]] == [
        ["group", "learning", "rate", "decay", "arrays", "parameters", "state", "bytes"],
        ["all", "0.1", "4", "12", "96"],
        ["all", "0.1", "0.0001", "4", "36", "288"],
        ["frozen", "1", "15", "0"],
    ]


def test_schedules_have_letters_in_rich_and_html_too():
    rich = pytest.importorskip("rich.console")
    table = gd.explain(gd.adamw(gd.linear_to_zero(0.5, 10), weight_decay=0.1), blocks(3))
    console = rich.Console(width=100, record=True, file=io.StringIO())
    console.print(table)
    assert "(a) linear_to_zero" in console.export_text() and "0.5 (a)" in table._repr_html_()
