"""Saved states of optimizers, recorded once: later versions restore them bit for bit.

    python -m tests.state.record_states                  records what is not recorded yet
    python -m tests.state.record_states --only adamw     this one alone, if it is not recorded yet

Recorded at af9116f, before the engine was written anew. Add optimizers to `OPTIMIZERS`; what was
recorded before is never written again.
"""

from __future__ import annotations

import argparse
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd

FILE = pathlib.Path(__file__).with_name("recorded_states.npz")
STEPS = 3


def params():
    w = jnp.linspace(-1.0, 1.0, 96, dtype=jnp.float32).reshape(8, 12)
    return {"dense": {"kernel": w, "bias": jnp.linspace(0.0, 1.0, 12)}, "head": 2 * w}


def gradient(t):
    wave = lambda p: jnp.sin(jnp.arange(p.size, dtype=jnp.float32) * (0.3 + t)).reshape(p.shape)
    return jax.tree.map(wave, params())


OPTIMIZERS = {
    "adamw": lambda: gd.adamw(gd.linear_to_zero(1e-2, 100), weight_decay=0.1),
    "named_chain": lambda: gd.chain(
        clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(gd.live(1e-2)), last=gd.trace(0.5)
    ),
    "partition": lambda: gd.partition(
        gd.by_label(matrix=gd.by_rank(2), rest=True),
        matrix=gd.sgd(0.02, momentum=0.9),
        rest=gd.adam(1e-2),
    ),
    "accumulate": lambda: gd.accumulate(gd.with_ema(gd.adam(1e-2), 0.9), 2),
    "store": lambda: gd.store(gd.adamw(1e-2), "8bit", min_size=1),
    "soap": lambda: gd.soap(1e-2),
    "groups": lambda: gd.groups(gd.adamw(1e-2), (".*/bias", {"weight_decay": 0.0}), ("head", 2.0)),
    "shell": lambda: gd.apply_if_finite(gd.with_master_weights(gd.lion(1e-2))),
    "muon": lambda: gd.muon(1e-2),
}


def run(name):
    """The optimizer, and its state after some steps."""
    tx = OPTIMIZERS[name]()
    state, now = tx.init(params()), params()
    step = jax.jit(tx.step)
    for t in range(STEPS):
        now, state = step(gradient(t), state, now)
    return tx, state


def recorded():
    """What is recorded: for each optimizer the dict that `gd.state.to_dict` gave."""
    found = {}
    with np.load(FILE) as saved:
        for key in saved.files:
            name, _, entry = key.partition("|")
            found.setdefault(name, {})[entry] = saved[key]
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.state.record_states")
    parser.add_argument("--only", choices=list(OPTIMIZERS), help="record this one alone")
    only = parser.parse_args().only
    known = recorded() if FILE.exists() else {}
    for name in [only] if only else OPTIMIZERS:
        if name not in known:
            tx, state = run(name)
            known[name] = {k: np.asarray(x) for k, x in gd.state.to_dict(tx, state).items()}
            print("recorded", name)
    np.savez_compressed(
        FILE, **{f"{n}|{k}": x for n, found in known.items() for k, x in found.items()}
    )


if __name__ == "__main__":
    main()
