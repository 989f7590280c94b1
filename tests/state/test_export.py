"""States in what other libraries write: compiled steps of `jax.export`, msgpack of Flax."""

import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import first

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 64).reshape(4, 16), "b": jnp.ones(3)}
GRADS = jax.tree.map(jnp.cos, PARAMS)
KEPT = {
    "adamw": gd.adamw(gd.linear_to_zero(0.1, 10)),
    "store": gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.store(gd.adam(0.1), min_size=4)),
    "accumulate": gd.with_ema(gd.accumulate(gd.muon(0.1), 2), 0.9),
}

ELSEWHERE = """
import sys, jax, jax.export, jax.numpy as jnp, numpy as np, gdjax as gd
gd.state.register_export()
step = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
saved = np.load(sys.argv[2])
leaves = [saved[f"{i}"] for i in range(len(saved.files))]
args = jax.tree.unflatten(step.in_tree, leaves)[0]
np.savez(sys.argv[3], *jax.tree.leaves(step.call(*args)))
"""


@pytest.mark.parametrize("name", first(1, KEPT))
def test_a_compiled_step_is_saved_and_called_in_another_process(name, tmp_path):
    gd.state.register_export()
    tx = KEPT[name]
    args = GRADS, tx.init(PARAMS), PARAMS
    step = jax.jit(tx.step)
    files = [tmp_path / part for part in ("step.bin", "args.npz", "out.npz")]
    files[0].write_bytes(jax.export.export(step)(*args).serialize())
    np.savez(files[1], **{f"{i}": x for i, x in enumerate(jax.tree.leaves(args))})
    subprocess.run([sys.executable, "-c", ELSEWHERE, *map(str, files)], check=True)
    out = np.load(files[2])
    for x, key in zip(jax.tree.leaves(step(*args)), out.files, strict=True):
        np.testing.assert_array_equal(out[key], x)


@pytest.mark.parametrize("name", KEPT)
def test_flax_writes_and_reads_every_bit(name):
    serialization = pytest.importorskip("flax.serialization")
    tx = KEPT[name]
    _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    read = serialization.from_bytes(tx.init(PARAMS), serialization.to_bytes(state))
    jax.tree.map(np.testing.assert_array_equal, read, state)
