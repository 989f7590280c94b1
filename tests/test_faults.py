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

STEPS, CHUNK = 240, 80


def problem():
    """Ten overlapping classes of 16 features, as digits are; what a softmax can learn of them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, size=512)
    features = rng.normal(size=(10, 16))[labels] + 2 * rng.normal(size=(512, 16))
    rows = rng.integers(0, 512, size=(STEPS, 64))
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels), jnp.asarray(rows)


X, LABELS, ROWS = problem()
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


def run(tx, fault=None, at=(), start=None, steps=range(STEPS)):
    """Trains with a fault at some steps; the loss on all rows, and where the run has come to."""
    carry = (START, tx.init(START)) if start is None else start
    fault = FAULTS[fault] if fault else Fault()
    for first in steps[::CHUNK]:
        now = jnp.arange(first, first + CHUNK)
        hit = jnp.isin(now, jnp.asarray([-1, *at]))
        faults = jax.tree.map(lambda x: jnp.full(CHUNK, x), fault)
        carry = program(tx)(carry, (ROWS[now], hit, faults))
    return float(loss(carry[0], jnp.arange(512))), *carry


def skipped(state):
    told = gd.state.metrics(state)
    return sum(int(x) for name, x in told.items() if name.endswith("skipped"))


@pytest.mark.parametrize("guard, fault", CASES)
def test_a_fault_is_left_out(guard, fault):
    """Early, in the middle and last: within 1 % of the clean loss, and each one is counted."""
    tx, _ = GUARDS[guard]
    clean, _, before = run(tx)
    at = (20, 21, 100, 170, STEPS - 1)
    broken, params, state = run(tx, fault, at)
    assert all(jnp.isfinite(p).all() for p in jax.tree.leaves(params))
    assert abs(broken - clean) < 0.01 * clean
    assert skipped(state) - skipped(before) == len(at)


def test_without_a_guard_a_fault_is_the_end():
    """So the cases above would show it."""
    assert np.isnan(run(adam(), "nan", (20,))[0])
    sgd = gd.sgd(0.3)
    assert abs(run(sgd, "a hundredfold gradient", (239,))[0] - run(sgd)[0]) > 1


@pytest.mark.parametrize("at", [0, 1, 7, 160])
@pytest.mark.parametrize("guard", ["apply_if_finite", "skip_spikes", "accumulate"])
def test_a_nan_at_any_step(guard, at):
    """At the very first too, when there is nothing to compare with."""
    tx, _ = GUARDS[guard]
    clean, _, _ = run(tx)
    assert abs(run(tx, "nan", (at,))[0] - clean) < 0.01 * clean


@pytest.mark.parametrize("guard", GUARDS)
def test_a_run_in_two_parts_is_the_run(guard, tmp_path):
    """Through a file, with a fault before and after: the same bits."""
    tx, _ = GUARDS[guard]
    whole = run(tx, "nan", (50, 120))
    first = run(tx, "nan", (50, 120), steps=range(CHUNK))[1:]
    save(tmp_path / "saved.npz", first)
    again = restore(tmp_path / "saved.npz", (START, tx.init(START)))
    second = run(tx, "nan", (50, 120), again, range(CHUNK, STEPS))
    for x, y in zip(jax.tree.leaves(whole[1:]), jax.tree.leaves(second[1:]), strict=True):
        np.testing.assert_array_equal(x, y)


# A process that is killed


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
def test_a_killed_process_goes_on_where_it_was(tmp_path):
    whole = train_on_a_quadratic(str(tmp_path / "whole.npz"))
    path = str(tmp_path / "killed.npz")
    code = (
        "from tests import conftest, test_faults\n"
        f"test_faults.train_on_a_quadratic({path!r}, kill_at=17)"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert int(np.load(path)["arr_0"]) == 17
    resumed = train_on_a_quadratic(path)
    for x, y in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(x, y)


# Spikes


def steps_of(tx, losses, norms=None):
    """The reason of each step, 0 where it was taken, and the last state."""
    params, state, reasons = jnp.zeros(1), tx.init(jnp.zeros(1)), []
    step = jax.jit(tx.step)
    for value, g in zip(losses, norms or [1.0] * len(losses)):
        params, state = step(jnp.full(1, g), state, params, value=jnp.asarray(value))
        reasons.append(int(state.reason))
    return reasons, params, state


def test_the_bound_is_so_many_deviations_over_the_mean():
    """Of the window's last steps that were taken, as NumPy has them."""
    rng = np.random.default_rng(3)
    losses = rng.normal(2.0, 0.3, size=60)
    losses[[30, 45]] = 2.6, 9.0
    window, c, taken, expected = 16, 1.5, [], []
    for x in losses:
        last = np.asarray(taken[-window:])
        out = len(taken) >= window // 4 and x > last.mean() + c * last.std()
        expected.append(int(out))
        taken += [] if out else [x]
    tx = gd.skip_spikes(gd.sgd(0.1), c, None, window)
    reasons, params, state = steps_of(tx, losses.tolist())
    assert reasons == expected and 2 < sum(expected) < 30
    np.testing.assert_allclose(params, [-0.1 * len(taken)], rtol=1e-5)
    assert int(state.count) == len(taken) and int(state.skipped) == sum(expected)
    told = gd.state.metrics(state)
    np.testing.assert_allclose(told["loss_mean"], np.mean(taken[-window:]), rtol=1e-6)


def test_each_reason_is_told_and_each_test_may_be_off():
    steady = [1.0, 1.1, 0.9, 1.05]
    both = gd.skip_spikes(gd.sgd(0.1), window=8)
    tail = [9.0, 1.0, 1.0, jnp.nan, 1.0]
    norms = [1.0, 1.1, 0.9, 1.0, 1.0, 9.0, jnp.inf, 1.0, 1.0]
    assert steps_of(both, steady + tail, norms)[0] == [0] * 4 + [1, 2, 3, 3, 0]
    alone = gd.skip_spikes(gd.sgd(0.1), None, window=8)
    assert alone.extra_args == {} and both.extra_args == {"value": True}
    assert steps_of(alone, steady + tail, norms)[0] == [0] * 4 + [0, 2, 3, 0, 0]
    loss_only = gd.skip_spikes(gd.sgd(0.1), 6.0, None, window=8)
    assert steps_of(loss_only, steady + tail, norms)[0] == [0] * 4 + [1, 0, 3, 3, 0]
    with pytest.raises(TypeError, match="skip_spikes: update needs the extra argument 'value'"):
        both.update(jnp.ones(1), both.init(jnp.ones(1)))


def test_nothing_finite_is_skipped_before_enough_is_known():
    tx = gd.skip_spikes(gd.sgd(0.1), window=32)
    reasons, _, _ = steps_of(tx, [1.0] * 7 + [1e6, 1.0] + [jnp.nan])
    assert reasons == [0] * 9 + [3]
    assert steps_of(tx, [1.0] * 8 + [1e6])[0][-1] == 1


def test_rounding_of_a_run_that_stands_still_is_no_spike():
    tx = gd.skip_spikes(gd.sgd(0.1), window=8)
    assert steps_of(tx, [1.0] * 10 + [1.007, 1.005])[0] == [0] * 10 + [1, 0]


def test_a_new_level_is_skipped_only_for_a_while():
    tx = gd.skip_spikes(gd.sgd(0.1), window=8, patience=3)
    reasons, _, state = steps_of(tx, [1.0, 1.1] * 8 + [5.0, 5.1] * 8)
    assert reasons == [0] * 16 + [1] * 3 + [0] * 13
    assert 5.0 < float(gd.state.metrics(state)["loss_mean"]) < 5.1
    # Spikes between which there are steps do not add up, nor does what is not finite count.
    reasons, _, _ = steps_of(tx, [1.0, 1.1] * 8 + [5.0, 5.0, 1.0, 5.0, 5.0, jnp.nan, 5.0, 5.0])
    assert reasons[16:] == [1, 1, 0, 1, 1, 3, 1, 0]


def test_what_spikes_refuse():
    with pytest.raises(ValueError, match="window must be an integer of 4 or more, got 3"):
        gd.skip_spikes(adam(), window=3)
    with pytest.raises(ValueError, match="patience must be an integer of 0 or more, got -1"):
        gd.skip_spikes(adam(), patience=-1)


# The scale of a loss


def test_the_scale_halves_at_overflow_and_grows_again():
    tx = gd.loss_scale(gd.sgd(1.0), 4.0, growth_interval=2, min_scale=2.0)
    params, state, scales = jnp.zeros(1), tx.init(jnp.zeros(1)), []
    for finite in (1, 1, 1, 0, 1, 0, 0, 0, 1, 1):
        grads = gd.loss_scale_of(state)[None] if finite else jnp.asarray([jnp.inf])
        params, state = tx.step(grads, state, params)
        scales.append(float(gd.loss_scale_of({"deep": state})))
    assert scales == [4, 8, 8, 4, 4, 2, 2, 2, 2, 4]
    np.testing.assert_array_equal(params, [-6.0])  # six steps by a gradient of 1
    told = gd.state.metrics(state)
    assert told["skipped"] == 4 and told["loss_scale"] == 4.0
    with pytest.raises(KeyError, match="loss_scale_of: 'LossScaleState' must be .* got none"):
        gd.loss_scale_of(params)
    with pytest.raises(ValueError, match="growth_interval must be an integer of 1 or more"):
        gd.loss_scale(adam(), growth_interval=0)


def test_the_scale_stays_where_its_inverse_is_a_number():
    tx = gd.loss_scale(gd.sgd(1.0), 2.0**125, growth_interval=1)
    params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
    for _ in range(4):
        params, state = tx.step(gd.loss_scale_of(state)[None], state, params)
    assert gd.loss_scale_of(state) == 2.0**126
    np.testing.assert_array_equal(params, [-4.0])


def test_training_in_float16_needs_it():
    """Gradients of 1e-9 are 0 in float16; scaled they train as in float32."""
    target = jnp.asarray([1.0, -2.0])
    small = lambda p: 1e-9 * jnp.sum((p.astype(float) - target) ** 2)

    def end(tx):
        params, state = jnp.zeros(2, jnp.float16), tx.init(jnp.zeros(2, jnp.float16))
        for _ in range(30):
            scale = gd.loss_scale_of(state) if tx.name == "loss_scale" else 1.0
            grads = jax.grad(lambda p, scale=scale: scale * small(p))(params)
            params, state = tx.step(grads, state, params)
        return params

    inner = gd.sgd(1e8)
    assert not end(inner).any()
    np.testing.assert_allclose(end(gd.loss_scale(inner)).astype(float), target, rtol=2e-3)


def test_means_of_a_ring_that_is_not_full():
    """What is not filled counts nothing: in the mean, and in the deviation that judges."""
    tx, params = gd.skip_spikes(gd.sgd(0.1), 3.0, None, window=8), jnp.ones(1)
    state = tx.init(params)
    for loss in (1.0, 3.0):
        _, state = tx.step(jnp.ones(1), state, params, value=jnp.asarray(loss))
    assert gd.state.metrics(state)["loss_mean"] == 2.0
    for loss, taken in ((4.9, True), (5.9, False)):  # 2 + 3·1 = 5
        _, after = tx.step(jnp.ones(1), state, params, value=jnp.asarray(loss))
        assert (after.reason == 0) == taken, loss
