"""Groups of parameters."""

from __future__ import annotations

import functools
import json
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.engine.walk import trained, walk
from tests.cases import Row
from tests.helpers import close, run
from tests.optimizers.adam.test_adam import adam, adamw
from tests.oracles import problem
from tests.references import Agree, real
from tests.transcription import adam_direction

CLIPPED = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(0.1, b2=0.99, weight_decay=0.1))
NAMED = gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.sgd(gd.linear_to_zero(0.1, 500), 0.9))
LARGE = gd.by_rank(2)
ROWS = [
    Row(gd.groups(CLIPPED, (LARGE, dict(weight_decay=0.0)))),
    Row(gd.groups(gd.adamw(0.1)), label="groups-none"),
    Row(gd.groups(NAMED, (LARGE, 0.5), (True, {"opt/momentum": 0.5})), label="groups-rates"),
    Row(gd.groups(gd.chain(gd.clip(1.0), gd.scale(-0.1)), ("matrices", 2.0)), label="groups-end"),
    Row(gd.groups(CLIPPED, (~LARGE, gd.sgd(0.1)), (LARGE, 0.5)), label="groups-other"),
    Row(gd.groups(CLIPPED, (LARGE, gd.frozen)), label="groups-frozen"),
    Row(
        gd.groups(gd.adamw(gd.live(0.1)), (LARGE, dict(weight_decay=gd.times(2.0), eps=1e-6))),
        label="groups-times",
    ),
    Row(gd.accumulate(gd.groups(CLIPPED, (LARGE, 0.5)), 2), label="accumulate-groups"),
]


def falls(step: Any) -> Any:
    return -0.1 * (1 - real(step) / 100)


# The problem's first six unknowns are "w", the other two "b".
def by_part(w: Any, b: Any) -> np.ndarray:
    return np.repeat([w, b], [6, 2]).astype(float)


def clipped(theta: np.ndarray, t: int, part: Any = 1.0) -> np.ndarray:
    """The gradient of a part, shortened by the length of that part to 1."""
    g = part * problem.gradient(theta, t)
    return g * min(1.0, 1.0 / np.sqrt(np.sum(g**2)))


def decays(*, w: float, b: float) -> np.ndarray:
    start, lam = problem.start(), by_part(w, b)
    return adamw(clipped, start, problem.STEPS, eta=0.1, b2=0.99, lam=lam)


def rates() -> np.ndarray:
    falling = lambda t: 0.1 * (1 - t / 100) * by_part(0.25, 1)
    return adam(problem.gradient, problem.start(), problem.STEPS, eta=falling)


def descents() -> np.ndarray:
    """w by AdamW and b by descent, after one clip of both: each moves as if the other did not."""
    theta, adam = problem.start(), adam_direction(b2=0.99)
    path = [theta]
    for t in range(problem.STEPS):
        g = clipped(theta, t)
        theta = theta - by_part(0.1, 0.2) * np.where(by_part(1, 0), adam(g, t) + 0.1 * theta, g)
        path.append(theta)
    return np.stack(path)


def still() -> np.ndarray:
    """b does not move and is part of no norm."""
    gradient = functools.partial(clipped, part=by_part(1, 0))
    eta = by_part(0.1, 0)
    start = problem.start()
    return adamw(gradient, start, problem.STEPS, eta=eta, b2=0.99, lam=0.1)


AGREE = {
    "decay": Agree(
        gd.groups(CLIPPED, ("b", dict(weight_decay=0.0))), functools.partial(decays, w=0.1, b=0.0)
    ),
    "times": Agree(
        gd.groups(CLIPPED, ("b", {"adamw/weight_decay": gd.times(3.0)})),
        functools.partial(decays, w=0.1, b=0.3),
    ),
    "rate": Agree(gd.groups(gd.adam(gd.linear_to_zero(0.1, 100)), ("w", 0.25)), rates),
    "other": Agree(gd.groups(CLIPPED, ("b", gd.sgd(0.2))), descents),
    "frozen": Agree(gd.groups(CLIPPED, ("b", gd.frozen)), still),
    "end": Agree(
        gd.groups(gd.chain(gd.scale_by_adam(), gd.scale_by_schedule(falls)), ("w", 0.25)), rates
    ),
}

PARAMS = {
    "embed": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3),
    "dense": {"kernel": jnp.linspace(0.5, 1.0, 6).reshape(3, 2), "bias": jnp.array([1.0, -1.0])},
    "head": jnp.array([2.0, 3.0]),
}

GRADS = jax.tree.map(lambda p: jnp.cos(3 * p), PARAMS)
BIAS = r".*/bias"


def moved(tx, steps=3, params=PARAMS, grads=GRADS):
    """The parameters and the state after some steps of gradients that differ from step to step."""
    found = run(
        tx, lambda p, t: jax.tree.map(lambda g: g * (1 + t.astype(g.dtype)), grads), params, steps
    )
    return found.params, found.state


def by_hand(split, **parts):
    return gd.partition(gd.by_label(**split, base=True), **parts)


def test_a_clip_by_the_global_norm_stays_global():
    clip, wide = gd.clip_by_global_norm(0.5), gd.adamw(0.1, weight_decay=0.3)
    tx = gd.groups(gd.chain(clip, wide), (BIAS, dict(weight_decay=0.0)))
    same = by_hand({"bias": BIAS}, bias=wide.replace(weight_decay=0.0), base=wide)
    ours, state = moved(tx)
    close(ours, moved(gd.chain(clip, same))[0], rtol=0)
    np.testing.assert_allclose(gd.state.find(state, "norm"), 3 * gd.global_norm(GRADS), rtol=1e-6)
    per_group = by_hand(
        {"bias": BIAS},
        bias=gd.chain(clip, gd.sgd(0.1)),
        base=gd.chain(clip, gd.sgd(0.1)),
    )
    apart = moved(per_group)[0]["head"] - moved(gd.chain(clip, gd.sgd(0.1)))[0]["head"]
    assert jnp.abs(apart).max() > 1e-3  # so that a clip of each group would be seen above


def test_only_stages_that_differ_are_split():
    base = gd.chain(a=gd.ema(0.5), b=gd.chain(gd.ema(0.6), gd.trace(0.9)), c=gd.sgd(0.1))
    _, state = moved(gd.groups(base, ("head", {"trace/decay": 0.5}), ("embed", 2.0)))
    paths = {path.removesuffix("/trace") for path in gd.state.find_all(state, "trace")}
    assert paths == {
        "inner_state/b/1/inner_states/base",
        "inner_state/b/1/inner_states/head",
    }
    assert list(gd.state.find_all(state, "ema")) == ["inner_state/a/ema", "inner_state/b/0/ema"]
    assert set(state.inner_state["c"].inner_states) == {"base", "embed"}


@pytest.mark.parametrize(
    "base",
    [
        gd.chain(gd.zero_nans(), gd.clip_by_global_norm(0.5), gd.adamw(0.1)),
        gd.chain(gd.clip_by_global_norm(0.5), gd.scale_by_adam(), gd.scale_by_learning_rate(0.1)),
        gd.chain(clip=gd.clip_by_global_norm(0.5), opt=gd.chain(gd.scale_by_sign(), gd.scale(-1))),
        gd.chain(gd.chain(gd.clip(9.0), gd.clip_by_global_norm(0.5)), gd.adamw(0.1)),
        gd.chain(clip=gd.clip_by_global_norm(0.5), adam=gd.scale_by_adam(), rate=gd.scale(-0.1)),
    ],
    ids=repr,
)
def test_another_transformation_comes_after_what_sees_all(base):
    ours, _ = moved(gd.groups(base, ("head", gd.sgd(1.0))))
    shorter = jax.tree.map(lambda g: g * 0.5 / gd.global_norm(GRADS), GRADS)
    close(ours["head"], PARAMS["head"] - 3 * shorter["head"])
    alone, _ = moved(base)
    close({**ours, "head": 0.0}, {**alone, "head": 0.0}, rtol=0)


def test_another_transformation_comes_after_a_clip_of_optax():
    import optax

    base = gd.chain(optax.clip_by_global_norm(0.5), gd.adamw(0.1))
    test_another_transformation_comes_after_what_sees_all(base)


def test_another_transformation_without_a_clip():
    for base in (gd.adamw(0.1), gd.chain(gd.clip(0.5), gd.adamw(0.1)), gd.prodigy(1.0)):
        ours, _ = moved(gd.groups(base, (BIAS, 0.5), ("head", gd.sgd(1.0))))
        close(ours["head"], PARAMS["head"] - 6 * GRADS["head"])


def test_rows_that_come_first_win_and_the_base_has_the_rest():
    tx = gd.groups(gd.sgd(1.0), ("head", gd.frozen), (BIAS, 2.0), (gd.by_rank(at_most=1), 3.0))
    ours, state = moved(tx, 1)
    factors = {"embed": 1.0, "dense": {"kernel": 1.0, "bias": 2.0}, "head": 0.0}
    close(ours, jax.tree.map(lambda p, g, f: p - f * g, PARAMS, GRADS, factors))
    # head is frozen though a later row, which differs from the base, picks it too
    chained = gd.groups(
        gd.chain(gd.clip(9.0), gd.sgd(1.0)), ("head", {"max_delta": 8.0}), (True, 2)
    )
    close(moved(chained, 1)[0]["head"], PARAMS["head"] - GRADS["head"])


def test_names_of_groups_in_the_state():
    tx = gd.groups(gd.adam(0.1), ("head", 2.0), (BIAS, 3.0), ("base|embed", 4.0), (".*kernel", 5.0))
    state = tx.init(PARAMS)
    assert set(state.inner_state.inner_states) == {
        "head",
        "group_2",
        "group_3",
        "group_4",
        "base",
    }
    rates = gd.state.hyperparams(tx, state)
    assert rates["inner/group_2/learning_rate"] == pytest.approx(0.3)


def test_rates_are_multiplied_whatever_they_are():
    rates = {
        "number": 0.5,
        "array": jnp.asarray(0.5),
        "schedule": gd.linear_to_zero(1.0, 2),
        "function": lambda step: jnp.array([1.0, 0.25])[step],  # an integer, as without the factor
        "live": gd.live(0.5),
    }
    for rate in rates.values():
        tx = gd.groups(gd.sgd(rate), ("head", 2.0))
        ours, state = moved(tx, 2)
        alone, _ = moved(gd.sgd(rate), 2)
        close(ours["embed"], alone["embed"])
        close(ours["head"] - PARAMS["head"], 2 * (alone["head"] - PARAMS["head"]), rtol=1e-5)
    tx = gd.groups(gd.adam(gd.linear_to_zero(0.1, 10)), ("head", 0.5))
    for again in (pickle.loads(pickle.dumps(tx)), gd.build(json.loads(json.dumps(gd.spec(tx))))):
        assert again == tx and hash(again) == hash(tx)
    (head,) = (part for name, part, _ in _parts(tx) if name == "head")
    assert head == gd.adam(gd.scaled_schedule(gd.linear_to_zero(0.1, 10), 0.5))


def _parts(tx):
    inside = [visit for visit in walk(tx) if len(visit.path) == 2 and visit.given]
    return [(visit.path[-1], visit.tx, visit.state) for visit in inside]


def test_every_rate_of_a_stage_is_multiplied():
    """Muon has one for what is not a matrix; COCOB has none, so its updates are scaled."""
    for base in (gd.muon(0.1, adam_learning_rate=0.3), gd.cocob(), gd.polyak_sgd()):
        extra = {"value": jnp.asarray(1.0)} if "value" in base.extra_args else {}
        tx = gd.groups(base, (BIAS, 0.5), ("embed", 0.25))
        ours, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, **extra)
        theirs, _ = base.update(GRADS, base.init(PARAMS), PARAMS, **extra)
        if base.name != "polyak_sgd":  # its step depends on the norm of its own gradients
            close(ours["dense"]["bias"], 0.5 * theirs["dense"]["bias"])
            close(ours["embed"], 0.25 * theirs["embed"])
        assert len(jax.tree.leaves(ours)) == 4


def test_the_structure_does_not_depend_on_numbers():
    """A state made outside of jit fits a transformation whose numbers are traced, equal or not."""
    tx = gd.groups(gd.adamw(0.1, weight_decay=0.2), (BIAS, dict(weight_decay=0.2)), ("head", 1.0))
    state = tx.init(PARAMS)
    step = jax.jit(lambda tx, state: tx.update(GRADS, state, PARAMS))
    updates, after = step(tx, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    close(updates, tx.update(GRADS, state, PARAMS)[0])


def test_arguments_may_be_relative():
    base = gd.adamw(0.1, weight_decay=gd.linear_to_zero(0.5, 10))
    tx = gd.groups(base, ("head", dict(weight_decay=gd.times(2.0), eps=gd.times(10))))
    (head,) = (part for name, part, _ in _parts(tx) if name == "head")
    expected = gd.scaled_schedule(gd.linear_to_zero(0.5, 10), 2.0)
    assert head == base.replace(weight_decay=expected, eps=1e-7)


ADAMW = gd.adamw(0.1)
TWO = gd.chain(l2=gd.add_decayed_weights(0.1), opt=ADAMW)


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (lambda: gd.groups(ADAMW, (BIAS, dict(wieght_decay=0))), ValueError, "mean weight_decay"),
        (lambda: gd.groups(TWO, (BIAS, dict(weight_decay=0))), ValueError, "l2/weight_decay, opt/"),
        (lambda: gd.groups(TWO, (BIAS, {"otp/b1": 0})), ValueError, "got 'otp/b1'.*opt/b1"),
        (lambda: gd.groups(ADAMW, (BIAS, dict(b1=2.0))), ValueError, r"adamw: b1 must lie in"),
        (
            lambda: gd.groups(gd.accumulate(ADAMW, 4), (BIAS, dict(b1=0.5))),
            ValueError,
            r"accumulate\(groups\(...\), 4\)",
        ),
        (lambda: gd.groups(ADAMW, (BIAS, dict(mask=gd.times(2)))), ValueError, "mask must be a nu"),
        (lambda: gd.groups(gd.adamw, (BIAS, 1.0)), TypeError, "Call the factory"),
        (lambda: gd.groups(ADAMW, BIAS), TypeError, "each row must be a pair"),
        (lambda: gd.groups(ADAMW, (BIAS, gd.sgd)), TypeError, "Call the factory"),
        (lambda: gd.groups(ADAMW, (BIAS, -1.0)), ValueError, "factor of the learning rate"),
        (
            lambda: gd.groups(ADAMW, (".*/biass", 2.0)).init(PARAMS),
            ValueError,
            "groups: a pattern must match .*mean dense/bias",
        ),
    ],
)
def test_what_does_not_fit_raises(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_note_says_the_group():
    with pytest.raises(ValueError) as told:
        gd.groups(ADAMW, (BIAS, dict(b1=2.0)))
    assert told.value.__notes__ == ["in group_1 of groups"]


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (lambda: gd.partition(gd.by_rank(2), a=ADAMW), ValueError, r"Write by_label\(picked=by_r"),
        (
            lambda: gd.partition(gd.by_label(muon=True), muno=ADAMW),
            ValueError,
            "'muon' has none, got muno",
        ),
        (
            lambda: gd.partition(gd.by_label(muon=True), muon=ADAMW, mun=ADAMW),
            ValueError,
            "got 'mun'. Did you mean muon",
        ),
        (lambda: gd.partition("a", a=gd.adamw), TypeError, "label 'a' must be a transformation"),
        (lambda: gd.partition("a/b", **{"a/b": ADAMW}), ValueError, "no slash"),
        (
            lambda: gd.partition(lambda p: True, a=ADAMW).init(PARAMS),
            ValueError,
            "at 'dense/bias', got True. Labels are strings",
        ),
        (
            lambda: gd.partition("adma", adam=ADAMW).init(PARAMS),
            ValueError,
            "got 'adma'. Did you mean adam",
        ),
    ],
)
def test_labels_that_do_not_fit_raise(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_part_may_be_empty():
    tx = gd.partition(gd.by_label(matrix="matrices", rest=True), matrix=gd.muon(0.1), rest=ADAMW)
    state = tx.init({"b": jnp.ones(2)})
    assert jax.tree.leaves(gd.state.find(state.inner_states["matrix"], "MuonState").mu) == []
    gd.partition("rest", rest=ADAMW, **{"1st": gd.frozen}).init(PARAMS)


def bytes_of(x):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(x))


def large(state):
    """The arrays of a state that are as large as the frozen parameter."""
    return [leaf for leaf in jax.tree.leaves(state) if leaf.size == PARAMS["embed"].size]


def test_what_is_frozen_stays_costs_nothing_and_is_in_no_norm():
    base = gd.chain(gd.clip_by_global_norm(0.5), gd.adamw(0.1, weight_decay=0.5))
    tx = gd.groups(base, ("embed", gd.frozen), (BIAS, 0.5))
    ours, state = moved(tx)
    assert large(state) == []
    np.testing.assert_array_equal(ours["embed"], PARAMS["embed"])
    less = {name: PARAMS[name] for name in ("dense", "head")}
    grads = {name: GRADS[name] for name in less}
    alone, smaller = moved(gd.groups(base, (BIAS, 0.5)), 3, less, grads)
    close({name: ours[name] for name in less}, alone, rtol=0)
    assert bytes_of(state) == bytes_of(smaller)
    assert large(gd.groups(gd.accumulate(base, 2), ("embed", gd.frozen)).init(PARAMS)) == []


def test_wrappers_know_what_is_frozen_inside():
    import optax

    tx = gd.groups(gd.adam(0.1), ("embed", gd.frozen))
    part = gd.partition({"embed": "still", "dense": "a", "head": "a"}, a=ADAMW, still=gd.frozen)
    for wrap in (
        tx,
        part,
        gd.chain(gd.clip_by_global_norm(1.0), part),
        gd.accumulate(tx, 2),
        gd.apply_if_finite(gd.accumulate(part, 2)),
        gd.selective_transform(ADAMW, freeze_mask="embed"),
    ):
        seen = trained(wrap, PARAMS)
        assert seen["embed"] is None and len(jax.tree.leaves(seen)) == 3, wrap
    passes = gd.masked(gd.clip(0.1), "embed", outside="pass")
    for wrap in (ADAMW, optax.adam(0.1), passes, gd.chain(part, gd.decay_weights(0.1))):
        assert trained(wrap, PARAMS) is PARAMS, wrap


CLIP, STEP = gd.clip_by_global_norm(1.0), gd.sgd(1.0)


@pytest.mark.parametrize(
    "base",
    [
        gd.chain(CLIP, STEP),
        gd.chain(gd.chain(CLIP, STEP)),
        gd.chain(gd.zero_nans(), gd.chain(CLIP, STEP)),
        gd.chain(gd.zero_nans(), gd.chain(gd.zero_nans(), gd.chain(CLIP, STEP))),
        gd.chain(CLIP, gd.chain(gd.zero_nans(), STEP)),
    ],
    ids=str,
)
def test_a_clip_before_all_rules_is_of_all_groups_however_chains_are_nested(base):
    tx, g = gd.groups(base, ("b", gd.sgd(1.0))), {"w": jnp.array(3.0), "b": jnp.array(4.0)}
    close(tx.update(g, tx.init(g), g)[0], {"w": -0.6, "b": -0.8}, rtol=1e-6)
