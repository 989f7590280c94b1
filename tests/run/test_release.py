"""Gradient release in scanned models: the plain step, with the gradients of one layer at a time."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.core.lowbit.quantized import is_quantized

SIDE, TOKENS = 16, 8


def first(outer, batch):
    return outer["embed"][batch["x"]]


def layer(p, x, batch):
    return x + jnp.tanh(x @ p["up"]) @ p["down"] + p["bias"][None]


def loss(outer, x, batch):
    logits = jax.nn.log_softmax(x @ outer["embed"].T)  # tied: its gradients are two
    return -jnp.mean(jnp.take_along_axis(logits, batch["y"][:, None], 1))


def whole(params, batch):
    body = lambda x, p: (layer(p, x, batch), None)
    x, _ = jax.lax.scan(body, first(params["outer"], batch), params["layers"])
    return loss(params["outer"], x, batch)


def model(layers=5, side=SIDE, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"up": (layers, side, 2 * side), "down": (layers, 2 * side, side)}
    made = {k: jax.random.normal(key, s) / 8 for key, (k, s) in zip(keys, shapes.items())}
    made["bias"] = jnp.zeros((layers, side))
    params = {"outer": {"embed": jax.random.normal(keys[2], (TOKENS, side))}, "layers": made}
    batch = {"x": jnp.arange(TOKENS), "y": (jnp.arange(TOKENS) + 1) % TOKENS}
    return jax.tree.map(lambda x: x.astype(dtype), params), batch


def plain_step(tx):
    def step(params, state, batch):
        value, grads = jax.value_and_grad(whole)(params, batch)
        return value, *tx.step(grads, state, params)

    return step


def ends(init, step, steps=4):
    params, batch = model()
    state, values, step = init(params), [], jax.jit(step)
    for _ in range(steps):
        value, params, state = step(params, state, batch)
        values.append(value)
    return params, jnp.stack(values)


AXES = gd.matrix_axes({r"layers/(up|down)": "n in out", ".*": None})
# The transformation, and what it is for stacked layers, where that differs.
PAIRS = {
    "adamw": (gd.adamw(0.01, weight_decay=0.1), None),
    "schedule": (gd.adamw(gd.linear_to_zero(0.05, 4)), None),
    "clip": (gd.chain(gd.clip(1e-3), gd.momentum(1.0, 0.9)), None),
    "muon": (gd.muon(0.02), gd.muon(0.02, matrix_axes=AXES)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_the_plain_step(name):
    tx, stacked = PAIRS[name]
    released = gd.release_gradients(tx, first, layer, loss, outer=gd.adamw(0.01))
    stacked = stacked or tx
    both = gd.groups(stacked, ("outer/.*", gd.adamw(0.01)))
    (got, values), (want, expected) = (
        ends(released.init, released.step),
        ends(both.init, plain_step(both)),
    )
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6)


def compiled(step, init, layers, side):
    params, batch = model(layers, side)
    state = jax.eval_shape(init, params)
    return jax.jit(step, donate_argnums=(0, 1)).lower(params, state, batch).compile()


def test_temporaries_are_those_of_one_layer():
    """On CPU: twelve more layers need the inputs of twelve more, where gradients would be stored.

    Parameters and state are written in the place of the old ones.
    """
    side, tx = 128, gd.adamw(1e-3)
    one = 4 * (4 * side * side + side)  # bytes of the parameters of a layer
    released = gd.release_gradients(tx, first, layer, loss)
    temporary = {}
    for name, step, init in [("released", released.step, released.init)] + [
        ("plain", plain_step(tx), tx.init)
    ]:
        few, many = (compiled(step, init, n, side).memory_analysis() for n in (4, 16))
        temporary[name] = few.temp_size_in_bytes, many.temp_size_in_bytes
        assert many.alias_size_in_bytes > 3 * 16 * one
    few, many = temporary["released"]
    assert few < 9 * one and many - few < 12 * 4 * TOKENS * side + 4096
    few, many = temporary["plain"]
    assert many - few > 12 * one


def test_state_of_few_bits_has_codes_for_each_layer(tmp_path):
    params, batch = model()
    tx = gd.store(gd.adamw(0.01), "4bit", block=16, min_size=64)
    released = gd.release_gradients(tx, first, layer, loss)
    value, params, state = jax.jit(released.step)(params, released.init(params), batch)
    leaves, treedef = jax.tree.flatten(state)
    gd.state.save(tmp_path / "x.npz", {str(i): x for i, x in enumerate(leaves)})
    again = treedef.unflatten(
        jax.tree.map(jnp.asarray, [*gd.state.load(tmp_path / "x.npz").values()])
    )
    chex.assert_trees_all_equal(again, state)
    mu = gd.state.find(state.layers, "mu")["up"]
    assert is_quantized(mu) and mu.shape == (5, SIDE, 2 * SIDE) and mu.scale.shape[0] == 5
    assert jnp.isfinite(value)


def test_layers_round_by_random_numbers_of_their_own():
    params, _ = model(dtype=jnp.bfloat16)
    params["layers"] = jax.tree.map(jnp.ones_like, params["layers"])
    tx = gd.stochastic_rounding(gd.sgd(1e-4), key=0)
    same = lambda p, x, batch: x + jnp.sum(p["up"] + p["down"].T)  # the gradients of all are ones
    end = lambda outer, x, batch: jnp.mean(x).astype(jnp.float32)
    released = gd.release_gradients(tx, first, same, end, outer=gd.frozen)
    _, after, _ = released.step(params, released.init(params), {"x": jnp.arange(2)})
    up = np.asarray(after["layers"]["up"], np.float32)
    assert len({x.tobytes() for x in up}) == 5


def test_integers_and_none_among_the_parameters_stay():
    params, batch = model()
    params["layers"]["number"], params["layers"]["none"] = jnp.arange(5), None
    params["outer"]["size"] = jnp.asarray(7)
    numbered = lambda p, x, batch: layer(p, x, batch) * (1 + p["number"].astype(float))
    released = gd.release_gradients(gd.adamw(0.01), first, numbered, loss)
    _, after, _ = jax.jit(released.step)(params, released.init(params), batch)
    np.testing.assert_array_equal(after["layers"]["number"], np.arange(5))
    assert after["layers"]["none"] is None and after["outer"]["size"] == 7


COUPLED = {
    "clip_by_global_norm": gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(1e-3)),
    "apply_if_finite": gd.apply_if_finite(gd.adamw(1e-3)),
    "prodigy": gd.prodigy(),
    "chain": optax.adam(1e-3),
}


@pytest.mark.parametrize("name", COUPLED)
def test_what_couples_layers_is_refused_by_name(name):
    must = f"each layer from its own gradients alone, got .*{name}.*Leave it out, or write clip"
    with pytest.raises(ValueError, match=must):
        gd.release_gradients(COUPLED[name], first, layer, loss)
    if name == "clip_by_global_norm":  # the other parameters may be coupled
        gd.release_gradients(gd.adamw(1e-3), first, layer, loss, outer=COUPLED[name])


def test_errors():
    params, _ = model()
    released = gd.release_gradients(gd.adamw(1e-3), first, layer, loss)
    with pytest.raises(ValueError, match='params must be {"outer": ..., "layers": ...}, got'):
        released.init(params["layers"])
    params["layers"]["bias"] = jnp.zeros((4, SIDE))
    with pytest.raises(ValueError, match=r"the same leading axis, got 'bias' \(4,\), 'down' \(5,"):
        released.init(params)
    vector = gd.release_gradients(gd.adamw(1e-3), first, layer, lambda outer, x, batch: x)
    params, batch = model()
    with pytest.raises(ValueError, match=r"loss must return a scalar, got shape \(8, 16\)"):
        vector.step(params, vector.init(params), batch)
    with pytest.raises(ValueError, match="the gradient of a batch, not gradients of examples"):
        gd.release_gradients(gd.dpsgd(0.1, 1.0, 1.0, 0), first, layer, loss)
