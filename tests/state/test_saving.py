"""States as flat dicts of named arrays: names, savers, changed optimizers, damaged files."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import first, mesh_of

PARAMS = {"dense": {"kernel": jnp.ones((4, 3)), "bias": jnp.ones(3)}, "gain": jnp.asarray(2.0)}
RATE = gd.linear_to_zero(0.1, 20)
BIAS = r".*/bias"


def moved(tx, steps=3, params=PARAMS):
    """The state after some steps, by name and as it is."""
    state = tx.init(params)
    for i in range(steps):
        grads = jax.tree.map(lambda p, i=i: (0.1 + 0.2 * i) * p.astype(jnp.float32), params)
        _, state = tx.update(grads, state, params)
    return gd.state.to_dict(tx, state), state


def names(tx, params=PARAMS):
    return list(gd.state.to_dict(tx, tx.init(params)))[1:]


class TestNames:
    ADAM = [
        "scale_by_adam/count",
        *(f"scale_by_adam/{field}/{path}" for field in ("mu", "nu") for path in
          ("dense/bias", "dense/kernel", "gain")),
    ]  # fmt: skip

    @pytest.mark.parametrize(
        "tx",
        [
            gd.adamw(0.1),
            gd.scale_by_adam(),
            gd.chain(gd.clip(1.0), gd.centralize(), gd.adamw(0.1)),
            gd.chain(gd.chain(gd.adamw(0.1)), gd.scale(0.5)),
            gd.masked(gd.adamw(0.1), True),
        ],
        ids=repr,
    )
    def test_what_keeps_nothing_changes_none(self, tx):
        assert names(tx) == self.ADAM

    @pytest.mark.parametrize(
        "tx, more",
        [
            (gd.adamw(RATE), ["adamw/hyperparams/count", "adamw/hyperparams/learning_rate"]),
            (
                gd.scale_by_adam(b1=lambda step: 0.9),
                ["scale_by_adam/hyperparams/count", "scale_by_adam/hyperparams/b1"],
            ),
            (
                gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(0.1)),
                ["clip_by_global_norm/norm", "clip_by_global_norm/factor"],
            ),
            (
                gd.apply_if_finite(gd.adamw(0.1)),
                [
                    f"apply_if_finite/{x}"
                    for x in ("notfinite_count", "last_finite", "total_notfinite")
                ],
            ),
        ],
        ids=repr,
    )
    def test_what_is_added_stands_beside(self, tx, more):
        assert names(tx) == [*more, *self.ADAM]

    def test_names_given_by_the_user(self):
        tx = gd.chain(a=gd.trace(0.9), b=gd.chain(gd.trace(0.5), gd.trace(0.1)))
        params = jnp.ones(2)
        assert names(tx, params) == ["a/trace/trace", "b/trace/trace", "b/trace_1/trace"]

    def test_a_wrapper_around_one_of_its_name_changes_no_name(self):
        """The saved average goes where it was; files of version 1 had other names."""
        inner = gd.with_ema(gd.sgd(0.1), 0.9)
        outer = gd.with_ema(inner, 0.5)
        assert names(outer)[:1] == ["with_ema_1/count"] and set(names(inner)) < set(names(outer))
        saved, state = moved(inner)
        restored, report = gd.state.from_dict(outer, PARAMS, saved, strict=False)
        jax.tree.map(np.testing.assert_array_equal, restored.inner_state, state)
        assert all(name.startswith("with_ema_1/") for name in report.new)

        saved, state = moved(outer)
        other = {"with_ema_1": "with_ema", "with_ema": "with_ema_1"}
        rename = lambda name: "/".join(
            [other.get(first := name.split("/")[0], first), *name.split("/")[1:]]
        )
        old = {rename(name): x for name, x in saved.items()}
        old["gdjax"] = np.frombuffer(b'{"version": 1, "stored": {}}', np.uint8)
        restored, _ = gd.state.from_dict(outer, PARAMS, old)
        jax.tree.map(np.testing.assert_array_equal, restored, state)

    def test_arrays_of_another_number_are_not_those_of_one(self):
        """A second stage or wrapper of a name does not take what the first one had."""
        one, two = gd.trace(0.9), gd.chain(gd.trace(0.9), gd.trace(0.5))
        both = gd.chain(a=gd.trace(0.9), b=gd.trace(0.5))
        _, report = gd.state.from_dict(two, PARAMS, moved(one)[0], strict=False)
        assert all(name.startswith("trace_1/") for name in report.new) and len(report.new) == 3
        with pytest.raises(ValueError, match="a name in common"):  # either could be the first
            gd.state.from_dict(both, PARAMS, moved(two)[0], strict=False)
        parts = gd.partition(gd.by_label(all=True), all=gd.with_swa(gd.sgd(0.1), 3))
        saved = moved(parts)[0]
        state, _ = gd.state.from_dict(gd.with_swa(parts, 2), PARAMS, saved, strict=False)
        assert state.count == 0 and state.inner_state.inner_states["all"].count == 3
        moves = gd.partition(gd.by_label(b=BIAS, all=True), all=gd.adam(0.1), b=gd.adam(0.2))
        saved = moved(gd.partition(gd.by_label(all=True), all=gd.adam(0.1)))[0]
        state, _ = gd.state.from_dict(moves, PARAMS, saved, strict=False)
        assert gd.state.find(state.inner_states["b"], "count") == 3  # as its moments, which moved
        inner = gd.with_swa(gd.sgd(0.1), 3)
        state, _ = gd.state.from_dict(gd.with_swa(inner, 2), PARAMS, moved(inner)[0], strict=False)
        assert state.count == 0 and state.inner_state.count == 3

    def test_works_under_jit(self):
        tx = gd.adamw(RATE)
        _, state = moved(tx)
        inside = jax.jit(lambda s: gd.state.to_dict(tx, s))(state)
        jax.tree.map(np.testing.assert_array_equal, inside, gd.state.to_dict(tx, state))

    def test_of_another_library(self):
        optax = pytest.importorskip("optax")
        tx = gd.chain(gd.clip(1.0), optax.trace(0.9))
        saved, state = moved(tx)
        assert list(saved)[1] == "trace/trace/dense/bias"
        restored, _ = gd.state.from_dict(tx, PARAMS, saved)
        jax.tree.map(np.testing.assert_array_equal, restored, state)


KINDS = gd.chain(
    gd.add_noise(0.1, 0.5, key=3),
    gd.adam(RATE, mu_dtype=jnp.bfloat16),
    gd.masked(gd.trace(0.9), "matrices", outside="pass"),
    gd.store(
        gd.chain(gd.scale_by_rms(), gd.trace(0.5)), {"nu": "8bit", "trace": "bf16"}, min_size=3
    ),
)


def through_savez(saved, path):
    np.savez(path / "state.npz", **saved)
    return np.load(path / "state.npz")


def through_safetensors(saved, path):
    flax = pytest.importorskip("safetensors.flax")
    arrays = {name: jnp.asarray(x) for name, x in saved.items()}
    flax.save_file(arrays, path / "state.safetensors")
    return flax.load_file(path / "state.safetensors")


def through_orbax(saved, path):
    ocp = pytest.importorskip("orbax.checkpoint")
    with ocp.StandardCheckpointer() as saver:
        saver.save(path / "state", saved)
    with ocp.StandardCheckpointer() as saver:
        return saver.restore(path / "state")


@pytest.mark.parametrize("through", first(2, [through_savez, through_safetensors, through_orbax]))
def test_savers_keep_every_bit(through, tmp_path):
    """Random keys, bfloat16, counts, None; and training goes on as if it had not stopped."""
    saved, state = moved(KINDS)
    restored, report = gd.state.from_dict(KINDS, PARAMS, through(saved, tmp_path))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert not report.new and not report.dropped and not report.changed
    assert all(name == old for name, old in report.kept.items()) and len(report.kept) > 8
    step = jax.jit(KINDS.update)
    after = [step(PARAMS, s, PARAMS) for s in (state, restored)]
    assert jax.tree.map(jax.typeof, after[0]) == jax.tree.map(jax.typeof, after[1])
    data = [[np.asarray(x).tobytes() for x in jax.tree.leaves(_data(one))] for one in after]
    assert data[0] == data[1]


def _data(tree):
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)


def test_restored_state_may_be_donated():
    tx = gd.sgd(0.1, 0.9)
    saved, _ = moved(tx)
    state, _ = gd.state.from_dict(tx, PARAMS, saved)
    jax.jit(tx.update, donate_argnums=1)(PARAMS, state)
    gd.state.from_dict(tx, PARAMS, saved)  # what was saved is still there


def test_restored_state_is_placed_as_init_places_it():
    mesh = mesh_of("Auto")
    along = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = {"w": jnp.ones((8, 2))}
    tx = gd.adam(0.1)
    saved, _ = moved(tx, params=params)
    state, _ = gd.state.from_dict(
        tx, jax.device_put(params, along), jax.tree.map(np.asarray, saved)
    )
    assert state[0].mu["w"].sharding.is_equivalent_to(along, 2)


PLAIN = gd.adamw(0.1)
GROUPED = dict(w=gd.adamw(0.1), b=gd.adamw(0.1, weight_decay=0.0))


class TestChanged:
    """Restored into another optimizer: the moments of all parameters go on."""

    MOMENTS = [name for name in names(PLAIN) if not name.endswith("count")]

    @pytest.mark.parametrize(
        "new",
        [
            gd.chain(gd.clip_by_global_norm(1.0), PLAIN),
            gd.adamw(RATE),
            gd.adam(0.1),
            gd.chain(first=gd.clip(1.0), opt=gd.adamw(RATE)),
            gd.accumulate(gd.apply_if_finite(PLAIN), 2),
            gd.adamw(0.1, mu_dtype=jnp.bfloat16),
            gd.masked(PLAIN, True),
            gd.partition(gd.by_label(b=BIAS, w=True), **GROUPED),
        ],
        ids=repr,
    )
    def test_moments_go_on(self, new):
        saved, _ = moved(PLAIN)
        state, report = gd.state.from_dict(new, PARAMS, saved, strict=False)
        assert set(report.kept.values()) == set(saved) - {"gdjax"} and not report.dropped
        again = gd.state.to_dict(new, state)
        for name, old in report.kept.items():
            rtol = 0.01 if name in report.changed else 0
            np.testing.assert_allclose(
                np.asarray(again[name], float), np.asarray(saved[old], float), rtol=rtol
            )
        with pytest.raises(ValueError, match="from_dict: .*strict=False"):
            if set(again) != set(saved) or report.changed:
                gd.state.from_dict(new, PARAMS, saved)
            else:
                raise ValueError("from_dict: the same names, strict=False")

    def test_into_few_bits_and_back(self):
        saved, state = moved(PLAIN)
        few = gd.store(PLAIN, "8bit", min_size=3)
        stored, report = gd.state.from_dict(few, PARAMS, saved, strict=False)
        mu = "scale_by_adam/mu/dense/kernel"
        assert report.kept[mu] == mu and report.new == ("store/step",)
        assert report.changed[mu] == "float32 (4, 3) to 8bit (4, 3)"
        kept = gd.state.find(stored, "mu")["dense"]["kernel"]
        np.testing.assert_allclose(kept.value(), state[0].mu["dense"]["kernel"], rtol=0.02)

        again = gd.state.to_dict(few, stored)
        assert f"{mu}/codes" in again and mu not in again
        same, report = gd.state.from_dict(few, PARAMS, again)
        jax.tree.map(np.testing.assert_array_equal, same, stored)
        assert not report.changed and not report.dropped

        back, report = gd.state.from_dict(PLAIN, PARAMS, again, strict=False)
        np.testing.assert_array_equal(back[0].mu["dense"]["kernel"], kept.value())
        assert report.changed[mu] == "8bit (4, 3) to float32 (4, 3)"
        with pytest.raises(ValueError, match="from_dict: .*8bit .*strict=False"):
            gd.state.from_dict(PLAIN, PARAMS, again)
        damaged = {**again, f"{mu}/scale": np.ones(7)}
        with pytest.raises(ValueError, match=f"{mu!r} must be quantized as its format says"):
            gd.state.from_dict(few, PARAMS, damaged)

    def test_an_array_in_bfloat16_has_no_scale(self):
        """Files that still have one, of ones, are read."""
        tx = gd.store(PLAIN, "bf16", min_size=3)
        _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
        saved, mu = gd.state.to_dict(tx, state), "scale_by_adam/mu/dense/kernel"
        assert f"{mu}/codes" in saved and f"{mu}/scale" not in saved
        for old in (saved, {**saved, f"{mu}/scale": np.ones([], np.float32)}):
            same, report = gd.state.from_dict(tx, PARAMS, old)
            jax.tree.map(np.testing.assert_array_equal, same, state)
            assert not report.changed and not report.dropped

    def test_and_back(self):
        """Out of groups into one optimizer."""
        old = gd.partition(gd.by_label(b=BIAS, w=True), **GROUPED)
        saved, state = moved(old)
        restored, report = gd.state.from_dict(PLAIN, PARAMS, saved, strict=False)
        mu = restored[0].mu["dense"]
        np.testing.assert_array_equal(mu["bias"], state.inner_states["b"][0].mu["dense"]["bias"])
        np.testing.assert_array_equal(
            mu["kernel"], state.inner_states["w"][0].mu["dense"]["kernel"]
        )
        assert restored[0].count == 3 and not report.new

    def test_a_schedule_that_is_new_goes_on_where_training_is(self):
        saved, _ = moved(PLAIN)
        state, report = gd.state.from_dict(gd.adamw(RATE), PARAMS, saved, strict=False)
        assert state.count == 3 and report.new == ("adamw/hyperparams/learning_rate",)

    def test_momentum_kept_while_the_rest_is_new(self):
        saved, state = moved(gd.sgd(0.1, 0.9))
        new = gd.chain(gd.trace(0.9), gd.scale_by_rms())
        restored, report = gd.state.from_dict(new, PARAMS, saved, strict=False)
        jax.tree.map(np.testing.assert_array_equal, restored[0].trace, state[0].trace)
        assert all(name.startswith("scale_by_rms") for name in report.new)

    def test_what_is_left_is_dropped(self):
        saved, _ = moved(gd.chain(gd.clip_by_global_norm(1.0), PLAIN))
        _, report = gd.state.from_dict(PLAIN, PARAMS, saved, strict=False)
        assert report.dropped == ("clip_by_global_norm/norm", "clip_by_global_norm/factor")

    def test_another_shape_begins_anew(self):
        saved, _ = moved(gd.scale_by_lbfgs(3))
        _, report = gd.state.from_dict(gd.scale_by_lbfgs(5), PARAMS, saved, strict=False)
        assert "scale_by_lbfgs/weights_memory" in report.new + report.dropped
        assert "scale_by_lbfgs/params/gain" in report.kept


class TestErrors:
    @pytest.mark.parametrize(
        "damage, message",
        [
            (lambda s: s.pop("scale_by_adam/nu/gain"), "must have 'scale_by_adam/nu/gain'"),
            (lambda s: s.update({"more/w": jnp.ones(1)}), "no others, got 'more/w'"),
            (
                lambda s: s.update({"scale_by_adam/mu/gain": jnp.ones(7)}),
                r"'scale_by_adam/mu/gain' must be float32, .* got float32 \(7,\)",
            ),
            (
                lambda s: s.update({"scale_by_adam/mu/gain": jnp.ones([], jnp.float16)}),
                "'scale_by_adam/mu/gain' must be float32, .* got float16",
            ),
            (
                lambda s: s.update({"scale_by_adam/count": "x"}),
                "'scale_by_adam/count' must be an arr",
            ),
            (lambda s: s.pop("gdjax"), "must be a result of to_dict"),
            (
                lambda s: s.update(gdjax=np.frombuffer(b"{", np.uint8)),
                "must be JSON with a version",
            ),
            (
                lambda s: s.update(gdjax=np.frombuffer(b'{"version": 99, "stored": {}}', np.uint8)),
                "of version 2 or before, got 99. Install",
            ),
        ],
    )
    def test_the_first_bad_name_is_told(self, damage, message):
        saved = dict(moved(PLAIN)[0])
        damage(saved)
        with pytest.raises(ValueError, match="from_dict: .*" + message):
            gd.state.from_dict(PLAIN, PARAMS, saved)

    def test_a_file_of_something_else(self):
        with pytest.raises(ValueError, match="must be a result of to_dict.*got conv1/w"):
            gd.state.from_dict(PLAIN, PARAMS, {"conv1/w": jnp.ones(3)}, strict=False)
        saved, _ = moved(gd.sgd(0.1, 0.9))
        with pytest.raises(ValueError, match="a name in common"):
            gd.state.from_dict(gd.scale_by_rms(), PARAMS, saved, strict=False)


class TestReplace:
    def test_one_part(self):
        _, state = moved(PLAIN)
        new = gd.state.replace(state, "nu", lambda nu: jax.tree.map(jnp.zeros_like, nu))
        assert not np.any(new[0].nu["dense"]["kernel"]) and np.any(state[0].nu["dense"]["kernel"])
        named = gd.chain(a=gd.trace(0.9), b=gd.trace(0.5)).init(PARAMS)
        ones = jax.tree.map(jnp.ones_like, PARAMS)
        new = gd.state.replace(named, "b/trace", ones)
        assert new["b"].trace["gain"] == 1 and new["a"].trace["gain"] == 0

    def test_keeps_types(self):
        _, state = moved(PLAIN)
        new = gd.state.replace(state, "count", 7)
        assert jax.tree.map(jax.typeof, new) == jax.tree.map(jax.typeof, state)

    @pytest.mark.parametrize(
        "name, value, message",
        [
            ("nu", {}, "nu must keep its structure"),
            ("count", jnp.ones(2), "count must keep its shapes"),
        ],
    )
    def test_says_what_is_wrong(self, name, value, message):
        with pytest.raises(ValueError, match=message):
            gd.state.replace(moved(PLAIN)[1], name, value)
        with pytest.raises(KeyError, match="Did you mean"):
            gd.state.replace(moved(PLAIN)[1], "cuont", value)


class TestReset:
    def test_by_rule(self):
        _, state = moved(PLAIN)
        new = jax.jit(lambda s: gd.state.reset(PLAIN, s, PARAMS, BIAS))(state)
        mu, before = new[0].mu, state[0].mu
        assert not np.any(mu["dense"]["bias"]) and new[0].count == 3
        np.testing.assert_array_equal(mu["dense"]["kernel"], before["dense"]["kernel"])
        everything = gd.state.reset(PLAIN, state, PARAMS)
        assert all(not np.any(x) for x in jax.tree.leaves(everything[0].nu))

    def test_in_few_bits(self):
        tx = gd.store(PLAIN, "8bit", min_size=3)
        _, state = moved(tx)
        rows = {"dense/kernel": jnp.array([True, False, False, True])}
        nu = gd.state.find(gd.state.reset(tx, state, PARAMS, rows), "nu")["dense"]["kernel"].value()
        assert not np.any(nu[jnp.array([0, 3])]) and np.all(nu[1:3])

    def test_by_rows(self):
        _, state = moved(PLAIN)
        rows = {"dense/kernel": jnp.array([True, False, False, True])}
        new = gd.state.reset(PLAIN, state, PARAMS, rows)
        nu = np.asarray(new[0].nu["dense"]["kernel"])
        assert not nu[[0, 3]].any() and nu[[1, 2]].all()
        entries = {"dense/kernel": jnp.zeros((4, 3), bool).at[1, 2].set(True)}
        nu = gd.state.reset(PLAIN, state, PARAMS, entries)[0].nu["dense"]["kernel"]
        assert int((nu == 0).sum()) == 1 and nu[1, 2] == 0

    def test_a_bare_array(self):
        tx, params = gd.adam(0.1), jnp.ones(3)
        _, state = tx.update(params, tx.init(params))
        new = gd.state.reset(tx, state, params)
        assert new[0].count == 1 and not np.any(new[0].mu)

    def test_says_what_is_wrong(self):
        _, state = moved(PLAIN)
        with pytest.raises(KeyError, match="Did you mean dense/kernel"):
            gd.state.reset(PLAIN, state, PARAMS, {"dense/kernl": jnp.ones(4, bool)})
        with pytest.raises(ValueError, match="where.'dense/kernel'. must have the first axes"):
            gd.state.reset(PLAIN, state, PARAMS, {"dense/kernel": jnp.ones(5, bool)})


class TestMetrics:
    TX = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(RATE))

    def test_names(self):
        _, state = moved(self.TX, 1)
        found = gd.state.metrics(state)
        assert found["learning_rate"] == pytest.approx(0.1)

    def test_costs_nothing_when_unused(self):
        state = self.TX.init(PARAMS)

        def step(params, state):
            updates, state = self.TX.update(PARAMS, state, params)
            return gd.apply_updates(params, updates), state

        def measured(params, state):
            params, state = step(params, state)
            gd.state.metrics(state)
            return params, state

        measured.__name__ = "step"
        plain, logged = (jax.jit(f).lower(PARAMS, state).as_text() for f in (step, measured))
        assert plain == logged

    def test_twice_the_same_name(self):
        tx = gd.chain(gd.adam(RATE), gd.sgd(gd.live(0.5)))
        assert set(gd.state.metrics(tx.init(PARAMS))) == {"0/learning_rate", "1/learning_rate"}
        tx = gd.chain(a=gd.accumulate(gd.adam(RATE), 2), b=gd.sgd(RATE))
        assert {"a/learning_rate", "b/learning_rate"} <= set(gd.state.metrics(tx.init(PARAMS)))
        tx = gd.accumulate(gd.apply_if_finite(gd.sgd(0.1)), 2)
        found = gd.state.metrics(tx.init(PARAMS))
        assert {"MultiSteps/skipped", "ApplyIfFinite/skipped"} <= set(found)


def test_bytes():
    assert gd.state.nbytes(jax.eval_shape(PLAIN.init, PARAMS)) == 4 + 2 * 4 * 16
    assert gd.state.nbytes({"a": jnp.zeros((3, 2), jnp.bfloat16), "b": None}) == 12


BOTH = gd.chain(gd.trace(0.9), gd.adam(0.1))


@pytest.mark.parametrize(
    "old, new, text",
    [
        (gd.adam(0.1), gd.adamw(0.1), "7 kept; 0 changed; 0 new; 0 dropped"),
        (
            gd.trace(0.9),
            BOTH,
            "3 kept; 0 changed; 7 new: scale_by_adam/count, scale_by_adam/mu/dense/bias, "
            "scale_by_adam/mu/dense/kernel, ...; 0 dropped",
        ),
        (
            BOTH,
            gd.adam(0.1),
            "7 kept; 0 changed; 0 new; 3 dropped: trace/trace/dense/bias, "
            "trace/trace/dense/kernel, trace/trace/gain",
        ),
    ],
)
def test_a_report_prints_in_one_line(old, new, text):
    """It was a dict of every name."""
    saved, _ = moved(old)
    _, report = gd.state.from_dict(new, PARAMS, saved, strict=False)
    assert repr(report) == f"Report({text})"
