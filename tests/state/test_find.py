"""Parts of a state, found by name, type or path."""

from __future__ import annotations

import jax
import pytest

import gdjax as gd
from tests.state.trees import NAMED, PARAMS

optax = pytest.importorskip("optax")  # foreign states; the contract runs without them


class TestFind:
    STATE = NAMED.init(PARAMS)
    OPTAX = optax.chain(optax.clip(1.0), optax.adam(0.1)).init(PARAMS)

    @pytest.mark.parametrize(
        "wanted, part",
        [
            ("mu", lambda s: s["opt"].inner_state[0].mu),  # a field
            ("trace", lambda s: s["after"][0].trace),
            ("weight_decay", lambda s: s["opt"].hyperparams["weight_decay"]),
            ("hyperparams", lambda s: s["opt"].hyperparams),
            (gd.states.ScaleByAdamState, lambda s: s["opt"].inner_state[0]),  # a type
            (gd.states.InjectHyperparamsState, lambda s: s["opt"]),
            (dict, None),
            ("ScaleByAdamState", lambda s: s["opt"].inner_state[0]),  # the name of a type
            ("TraceState", lambda s: s["after"][0]),
            ("InjectHyperparamsState", lambda s: s["opt"]),
            ("opt", lambda s: s["opt"]),  # a stage
            ("deep", lambda s: s["after"][1]["deep"]),
            ("inner_state", lambda s: s["opt"].inner_state),
        ],
    )
    def test_one(self, wanted, part):
        if part is None:  # dicts are many
            with pytest.raises(KeyError, match="must be one part of the state"):
                gd.state.find(self.STATE, wanted)
        else:
            assert gd.state.find(self.STATE, wanted) is part(self.STATE)

    def test_the_root(self):
        state = gd.scale_by_adam().init(PARAMS)
        assert gd.state.find(state, gd.states.ScaleByAdamState) is state
        assert gd.state.find_all(state, "ScaleByAdamState") == {"": state}
        assert gd.state.find(state, "nu") is state.nu

    def test_many(self):
        with pytest.raises(KeyError, match=r"'count' must be one part .*find_all") as error:
            gd.state.find(self.STATE, "count")
        paths = ["opt/count", "opt/inner_state/0/count", "after/1/deep/count"]
        assert all(path in str(error.value) for path in paths)
        found = gd.state.find_all(self.STATE, "count")
        assert list(found) == paths
        assert found["opt/count"] is self.STATE["opt"].count
        two = gd.chain(gd.adam(0.1), gd.adam(0.1)).init(PARAMS)
        with pytest.raises(KeyError, match="got 0/0/mu, 1/0/mu"):
            gd.state.find(two, "mu")
        assert list(gd.state.find_all(two, gd.states.ScaleByAdamState)) == ["0/0", "1/0"]

    @pytest.mark.parametrize(
        "wanted, hint",
        [
            ("m", "Did you mean mu"),
            ("weight_deca", "Did you mean weight_decay"),
            ("ScaleByAdamsState", "Did you mean ScaleByAdamState"),
            (gd.states.ScaleByRssState, "ScaleBy"),
            ("opts", "Did you mean opt"),
        ],
    )
    def test_none(self, wanted, hint):
        with pytest.raises(KeyError, match=f"must be a field or a type in the state.*{hint}"):
            gd.state.find(self.STATE, wanted)
        assert gd.state.find_all(self.STATE, wanted) == {}

    def test_states_of_optax(self):
        assert gd.state.find(self.OPTAX, "mu") is self.OPTAX[1][0].mu
        assert gd.state.find(self.OPTAX, "ScaleByAdamState") is self.OPTAX[1][0]
        assert gd.state.find(self.OPTAX, optax.ScaleByAdamState) is self.OPTAX[1][0]
        mixed = gd.chain(ours=gd.trace(0.9), theirs=optax.adam(0.1)).init(PARAMS)
        assert list(gd.state.find_all(mixed, "count")) == ["theirs/0/count"]
        multi = optax.MultiSteps(gd.adam(0.1), 2).init(PARAMS)
        assert gd.state.find(multi, gd.states.ScaleByAdamState) is multi.inner_opt_state[0]

    def test_inside_of_jit(self):
        found = jax.jit(lambda state: gd.state.find(state, "mu"))(self.STATE)
        assert jax.tree.structure(found) == jax.tree.structure(PARAMS)
