"""Two steps of a restored run in this process, for one that waits for them."""

from __future__ import annotations

import pathlib
import pickle
import sys

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import gdjax as gd  # noqa: E402
import tests.conftest  # noqa: F401, the same devices and promotion
from tests.histories import compare  # noqa: E402
from tests.histories.trees import build_tree, gradients  # noqa: E402


def main(folder: pathlib.Path) -> None:
    tx, parameters, number, leaves = pickle.loads((folder / "job").read_bytes())
    like, treedef = jax.tree.flatten(build_tree(parameters))
    is_key = lambda x: jax.dtypes.issubdtype(getattr(x, "dtype", float), jax.dtypes.prng_key)
    made = [x if is_key(x) else jnp.asarray(y) for x, y in zip(like, leaves)]
    params = treedef.unflatten(made)
    with np.load(folder / "state.npz") as saved:
        state, _ = gd.state.from_dict(tx, params, saved)
    step = jax.jit(tx.step)
    for i in (1, 2):
        params, state = step(gradients(params, number + i), state, params)
    saved = {name: np.asarray(x) for name, x in gd.state.to_dict(tx, state).items()}
    done = [*map(compare.data, jax.tree.leaves(params))], saved
    (folder / "done").write_bytes(pickle.dumps(done))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
