"""Memory of a training step with gradient release beside the plain step, for a chip.

    python docs/scripts/gradient_release.py cpu
    python docs/scripts/gradient_release.py h200        # pip install "gdjax[chips]"
    python docs/scripts/gradient_release.py v5e:1 "AdamW, float32"

The model has gated layers in one `lax.scan`. Numbers are those of `compiled.memory_analysis()`, in
bytes for each parameter of the layers: parameters and state, which are updated in place, and
temporaries, which include the inputs of the layers.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import gdjax as gd
from gdjax.programs.chips import devices

WIDTH, WORDS, ROWS = 512, 1024, 64


def model(layers, dtype):
    """Abstract parameters, and a batch."""
    shapes = {"gate": (WIDTH, 4 * WIDTH), "up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}
    array = lambda *shape: jax.ShapeDtypeStruct(shape, dtype)
    params = {
        "outer": array(WORDS, WIDTH),
        "layers": {k: array(layers, *s) for k, s in shapes.items()},
    }
    return params, jax.ShapeDtypeStruct((ROWS,), jnp.int32)


def first(outer, batch):
    """The embedding of the words."""
    return outer[batch]


def layer(p, x, batch):
    """A gated layer."""
    return x + (jax.nn.silu(x @ p["gate"]) * (x @ p["up"])) @ p["down"]


def loss(outer, x, batch):
    """The mean loss of predicting each word from the layers' output."""
    logits = jax.nn.log_softmax((x @ outer.T).astype(jnp.float32))
    return -jnp.mean(jnp.take_along_axis(logits, batch[:, None], 1))


def plain(tx):
    """A step from the gradients of all layers, whose inner values are computed again as well."""

    def whole(params, batch):
        body = lambda x, p: (jax.checkpoint(layer)(p, x, batch), None)
        x, _ = jax.lax.scan(body, first(params["outer"], batch), params["layers"])
        return loss(params["outer"], x, batch)

    def step(params, state, batch):
        value, grads = jax.value_and_grad(whole)(params, batch)
        return value, *tx.step(grads, state, params)

    return tx.init, step


def memory(chip, pair, layers, dtype):
    """Bytes of arguments and of temporaries for each parameter of the layers."""
    known, found = devices(chip)
    init, step = pair
    params, batch = model(layers, dtype)
    place = NamedSharding(Mesh(np.asarray(found[:1]), ("x",)), PartitionSpec())
    put = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)
    arguments = jax.tree.map(put, (params, jax.eval_shape(init, params), batch))
    lowered = jax.jit(step, donate_argnums=(0, 1)).trace(*arguments)
    lowered = lowered.lower(lowering_platforms=(known.platform,))
    found = lowered.compile(compiler_options=dict(known.options) or None).memory_analysis()
    size = sum(x.size for x in jax.tree.leaves(params["layers"]))
    return found.argument_size_in_bytes / size, found.temp_size_in_bytes / size


FLASH = gd.with_split_weights(gd.store(gd.adamw(1e-3), "8bit-companded", block=32), key=0)
CASES = {
    "AdamW, float32": (gd.adamw(1e-3), jnp.float32),
    "AdamW in 8 bits, bfloat16 weights with 8 more bits": (FLASH, jnp.bfloat16),
}


def main(chip, *only):
    """Prints the table, of these cases only if there are any."""
    print("| step | layers | parameters and state | temporary, plain | temporary, released |")
    print("| --- | --- | --- | --- | --- |")
    for name in only or CASES:
        tx, dtype = CASES[name]
        released = gd.release_gradients(tx, first, layer, loss)
        for layers in (6, 24):
            _, before = memory(chip, plain(tx), layers, dtype)
            state, after = memory(chip, tuple(released), layers, dtype)
            print(f"| {name} | {layers} | {state:.2f} | {before:.2f} | {after:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
