"""Compiled programs of guarded steps: in place, without copies."""

import functools

import jax
import pytest

import gdjax as gd
from gdjax.lab import bench

SIZE = 128


@functools.cache
def ours(name, by_update=False):
    tx = {
        "accumulate": gd.accumulate(gd.adam(1e-3), 4),
        "weighted": gd.accumulate(gd.adam(1e-3), 4, use_grad_mean=False),
        "apply_if_finite": gd.apply_if_finite(gd.adam(1e-3)),
        "skip_spikes": gd.skip_spikes(gd.adam(1e-3), None, window=8),
        "loss_scale": gd.loss_scale(gd.adam(1e-3)),
    }[name]
    return bench.cost(tx, bench.large_tree(SIZE), by_update)


# Two leaves of 128 × 128: scalars and rings are 0.05 bytes for each parameter, an array 4 or more.
@pytest.mark.parametrize(
    "name", ["accumulate", "weighted", "apply_if_finite", "skip_spikes", "loss_scale"]
)
def test_a_guarded_step_is_in_place(name):
    found = ours(name)
    assert found.temporary < 0.1 and found.copies == 0


def test_accumulation_by_update_is_in_place_too():
    import optax

    found = ours("accumulate", by_update=True)
    assert found.temporary < 0.1 and found.copies == 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = bench.cost(optax.MultiSteps(optax.adam(1e-3), 4), bench.large_tree(SIZE))
    assert theirs.temporary > 11 and theirs.copies > 0


def test_the_tables_have_them():
    assert {"accumulate(adam, 4)", "apply_if_finite(adam)"} <= set(bench.wrapped())


WRAPPED = {
    "accumulate": lambda inner: gd.accumulate(inner, 4),
    "apply_if_finite": gd.apply_if_finite,
    "skip_spikes": lambda inner: gd.skip_spikes(inner, None, window=8),
    "loss_scale": gd.loss_scale,
}


@pytest.mark.parametrize("which", ["step", "update"])
@pytest.mark.parametrize("name", WRAPPED)
def test_on_a_gpu_arithmetic_is_selected_and_work_is_a_branch(name, which, monkeypatch):
    """There a branch copies what goes through it; `tests/programs/budgets.json` has the numbers."""
    chosen = []

    def by_platform(*args, default, **others):
        if "cpu" not in others:  # not of a norm, or of a loop over matrices
            chosen.append(set(others))
        return default(*args)

    monkeypatch.setattr(jax.lax, "platform_dependent", by_platform)
    params = {"w": jax.numpy.ones((16, 16))}
    for inner, expected in ((gd.adamw(1e-3), [{"cuda", "rocm"}]), (gd.muon(1e-3), [])):
        tx = WRAPPED[name](inner)
        chosen.clear()
        run = lambda p, s, g, tx=tx: getattr(tx, which)(g, s, p)
        jax.make_jaxpr(run)(params, tx.init(params), params)
        assert chosen == expected


def test_selects_and_branches_give_the_same(monkeypatch):
    """What a GPU runs, run here."""
    from gdjax.wrappers.guards import cond

    grads = [{"w": jax.numpy.full(3, x)} for x in (1.0, 2.0, jax.numpy.nan, 3.0, 0.5)]
    summed = lambda inner: gd.accumulate(inner, 2, use_grad_mean=False)  # begins again at 0

    def paths():
        for make in (*WRAPPED.values(), summed):
            tx, params = make(gd.adam(0.1)), {"w": jax.numpy.ones(3)}
            state = tx.init(params)
            for g in grads:
                extra = {"value": 1.0} if "value" in tx.extra_args else {}
                for _ in range(2):  # so that steps are due in both
                    params, state = jax.jit(tx.step)(g, state, params, **extra)
                updates, state = jax.jit(tx.update)(g, state, params, **extra)
                yield params, updates, state

    expected = list(paths())

    def selected(act, branches, selects):
        return selects(act)

    monkeypatch.setattr(cond, "_by_platform", selected)
    jax.clear_caches()  # or the programs would be those of before
    for found, want in zip(paths(), expected, strict=True):
        for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
            assert bool(((x == y) | ((x != x) & (y != y))).all()) or abs(x - y).max() < 1e-6
