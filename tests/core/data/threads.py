"""Eight threads that make and trace optimizers, in a process of their own, which may hang.

    python -m tests.core.data.threads

After two minutes it ends and prints where each thread waits. Run by `test_cached.py`.
"""

import faulthandler
import os
import sys
import threading

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

import gdjax as gd  # noqa: E402

__all__ = ["main"]

THREADS, ROUNDS = 8, 40


def makers():
    """Optimizers, chains and schedules, none of which was made before."""
    rate = gd.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)
    return [
        lambda: gd.adamw(1e-3),
        lambda: gd.adamw(rate, b1=gd.live(0.9)),
        lambda: gd.lion(gd.linear_to_zero(1e-3, 100)),
        lambda: gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate)),
        lambda: gd.chain(clip=gd.clip(1.0), opt=gd.sgd(rate, momentum=0.9)),
        lambda: gd.with_ema(gd.masked(gd.adafactor(1e-3), "matrices"), 0.99),
        lambda: gd.muon(1e-2),
        lambda: gd.accumulate(gd.adam(1e-3), 2),
    ]


def rounds(first: int, failed: list) -> None:
    """Makes, traces, prints and compares one optimizer after another."""
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    try:
        for i in range(ROUNDS):
            make = makers()[(first + i) % len(makers())]
            tx = make()
            jax.eval_shape(lambda p, tx=tx: tx.update(p, tx.init(p), p), params)
            assert tx == make() and hash(tx) == hash(make()) and repr(tx)
            assert jax.tree.structure(tx) == jax.tree.structure(make())
    except BaseException as error:  # of a thread: it does not end the process by itself
        failed.append(error)
        raise


def main() -> None:
    """Starts the threads at one time and waits for all."""
    faulthandler.dump_traceback_later(120, exit=True)
    sys.setswitchinterval(1e-5)
    failed: list = []
    threads = [threading.Thread(target=rounds, args=(i, failed)) for i in range(THREADS)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{THREADS} threads, {ROUNDS} rounds each, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
