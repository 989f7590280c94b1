"""What goes wrong in a long run: it ends as the clean one does, and resumes bit for bit."""

import functools
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests import cases

STEPS, CHUNK = 240, 80


def problem():
    """Ten overlapping classes of 16 features, as digits are; what a softmax can learn of them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, size=512)
    features = rng.normal(size=(10, 16))[labels] + 2 * rng.normal(size=(512, 16))
    rows = rng.integers(0, 512, size=(STEPS, 64))
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels), jnp.asarray(rows)


X, LABELS, BATCHES = problem()
START = {"w": jnp.zeros((16, 10)), "b": jnp.zeros(10)}


def adam(steps=STEPS):
    return gd.adam(gd.linear_to_zero(0.1, steps))


def loss(params, rows):
    logits = X[rows] @ params["w"] + params["b"][None]
    return jnp.mean(gd.losses.softmax_cross_entropy_with_integer_labels(logits, LABELS[rows]))


class Fault(NamedTuple):
    """What becomes of a loss and of its gradient."""

    value: float = 1.0  # times this
    grads: float = 1.0  # times this
    entry: float = 0.0  # one number is this, where it is not 0


FAULTS = {
    "nan": Fault(entry=jnp.nan),
    "inf": Fault(entry=-jnp.inf),
    "all nan": Fault(grads=jnp.nan),
    "a hundredfold gradient": Fault(grads=100.0),
    "a nan loss": Fault(value=jnp.nan),
    "a bad batch": Fault(value=50.0, grads=30.0),
}

NOT_FINITE = ("nan", "inf", "all nan")

GUARDS = {
    "apply_if_finite": (gd.apply_if_finite(adam()), NOT_FINITE),
    "skip_spikes": (gd.skip_spikes(adam(), window=32), tuple(FAULTS)),
    "skip_spikes, norm": (
        gd.skip_spikes(adam(), None, window=32),
        tuple(f for f in FAULTS if f != "a nan loss"),
    ),
    "accumulate": (gd.accumulate(adam(STEPS // 2), 2), NOT_FINITE),
    "loss_scale": (gd.loss_scale(adam(), 2.0**10), NOT_FINITE),
    "all": (
        gd.skip_spikes(
            gd.accumulate(gd.chain(gd.clip_by_global_norm(1.0), adam(STEPS // 2)), 2), window=32
        ),
        tuple(FAULTS),
    ),
}

CASES = [(guard, fault) for guard, (_, faults) in GUARDS.items() for fault in faults]


@functools.cache
def program(tx):
    """Some steps, in one scan: compiled once for all faults."""

    def body(carry, now):
        params, state = carry
        rows, bad, fault = now
        scale = gd.loss_scale_of(state) if tx.name == "loss_scale" else 1.0
        value, grads = jax.value_and_grad(lambda p: scale * loss(p, rows))(params)
        value = jnp.where(bad, value * fault.value, value)
        grads = jax.tree.map(lambda g: jnp.where(bad, g * fault.grads, g), grads)
        hurt = grads["w"].at[3, 4].set(fault.entry)
        grads = {**grads, "w": jnp.where(bad & (fault.entry != 0), hurt, grads["w"])}
        params, state = tx.step(grads, state, params, value=value)
        return (params, state), None

    return jax.jit(lambda carry, xs: jax.lax.scan(body, carry, xs)[0])


def train(tx, fault=None, at=(), start=None, steps=range(STEPS)):
    """Trains with a fault at some steps; the loss on all rows, and where the run has come to."""
    carry = (START, tx.init(START)) if start is None else start
    fault = FAULTS[fault] if fault else Fault()
    for first in steps[::CHUNK]:
        now = jnp.arange(first, first + CHUNK)
        hit = jnp.isin(now, jnp.asarray([-1, *at]))
        faults = jax.tree.map(lambda x: jnp.full(CHUNK, x), fault)
        carry = program(tx)(carry, (BATCHES[now], hit, faults))
    return float(loss(carry[0], jnp.arange(512))), *carry


def skipped(state):
    told = gd.state.metrics(state)
    return sum(int(x) for name, x in told.items() if name.endswith("skipped"))


@pytest.mark.parametrize("guard, fault", CASES)
def test_a_fault_is_left_out(guard, fault):
    """Early, in the middle and last: within 1 % of the clean loss, and each one is counted."""
    tx, _ = GUARDS[guard]
    clean, _, before = train(tx)
    at = (20, 21, 100, 170, STEPS - 1)
    broken, params, state = train(tx, fault, at)
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(params))
    assert abs(broken - clean) < 0.01 * clean
    assert skipped(state) - skipped(before) == len(at)


def test_without_a_guard_a_fault_is_the_end():
    """So the cases above would show it."""
    assert np.isnan(train(adam(), "nan", (20,))[0])
    sgd = gd.sgd(0.3)
    assert abs(train(sgd, "a hundredfold gradient", (239,))[0] - train(sgd)[0]) > 1


@pytest.mark.parametrize("at", [0, 1, 7, 160])
@pytest.mark.parametrize("guard", ["apply_if_finite", "skip_spikes", "accumulate"])
def test_a_nan_at_any_step(guard, at):
    """At the very first too, when there is nothing to compare with."""
    tx, _ = GUARDS[guard]
    clean, _, _ = train(tx)
    assert abs(train(tx, "nan", (at,))[0] - clean) < 0.01 * clean


@pytest.mark.parametrize("guard", GUARDS)
def test_a_run_in_two_parts_is_the_run(guard, tmp_path):
    """Through a file, with a fault before and after: the same bits."""
    tx, _ = GUARDS[guard]
    whole = train(tx, "nan", (50, 120))
    first = train(tx, "nan", (50, 120), steps=range(CHUNK))[1:]
    save(tmp_path / "saved.npz", first)
    again = restore(tmp_path / "saved.npz", (START, tx.init(START)))
    second = train(tx, "nan", (50, 120), again, range(CHUNK, STEPS))
    for x, y in zip(jax.tree.leaves(whole[1:]), jax.tree.leaves(second[1:]), strict=True):
        np.testing.assert_array_equal(x, y)


def save(path, tree):
    """Under another name first: a process may be killed while it writes."""
    part = f"{path}.part.npz"
    np.savez(part, *map(np.asarray, jax.tree.leaves(tree)))
    os.replace(part, path)


def restore(path, like):
    saved = np.load(path)
    leaves = [jnp.asarray(saved[name]) for name in saved.files]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def train_on_a_quadratic(path, kill_at=None, steps=30):
    """Goes on from the file if there is one, and saves after each step."""
    tx = gd.skip_spikes(gd.accumulate(gd.adam(0.1), 2), None, window=8)
    params = jnp.asarray([3.0, -2.0])
    done, state = 0, tx.init(params)
    if os.path.exists(path):
        done, params, state = restore(path, (0, params, state))
    for i in range(int(done), steps):
        if i == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(0), i), (2,))
        params, state = tx.step(params + 0.1 * noise, state, params)
        save(path, (i + 1, params, state))
    return params, state


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that kills")
@pytest.mark.slow
def test_a_killed_process_goes_on_where_it_was(tmp_path):
    whole = train_on_a_quadratic(str(tmp_path / "whole.npz"))
    path = str(tmp_path / "killed.npz")
    code = (
        "from tests import conftest\nfrom tests.wrappers.guards import test_faults\n"
        f"test_faults.train_on_a_quadratic({path!r}, kill_at=17)"
    )
    root = cases.HERE.parent
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert int(np.load(path)["arr_0"]) == 17
    resumed = train_on_a_quadratic(path)
    for x, y in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(x, y)
