"""The names of torch against torch: 60 steps to 1e-10, schedules, and runs that torch has begun."""

from __future__ import annotations

import functools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.compat import torch
from tests.helpers import first
from tests.references import path_of, recordings, split

SEMINAR, HERE = recordings("seminar"), recordings("compat_torch")


def meta(recording):
    return json.loads(str(recording["meta"]))


def made(case):
    """The transformation of a recorded case, from the class and the arguments that made it."""
    name, arguments = case["class"].split(".")[-1], case["arguments"]
    return getattr(torch, name)(**arguments)


def cases(recording):
    return {k: c for k, c in meta(recording)["cases"].items() if "class" in c and "lr/" not in k}


CASES = {f"seminar-{k}": (SEMINAR, k, made(c)) for k, c in cases(SEMINAR).items()} | {
    k: (HERE, k, made(c)) for k, c in cases(HERE).items()
}


def agree(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("key", CASES)
def test_trajectory(key, x64):
    recording, name, tx = CASES[key]
    agree(path_of(tx), recording[name])


def test_average(x64):
    for key in ("ASGD", "ASGD-early"):
        agree(path_of(CASES[key][2], evaluate=True), HERE[f"average/{key}"])


@pytest.mark.parametrize(
    "key, clip",
    {
        "clip_grad_norm_": torch.clip_grad_norm_(0.5),
        "clip_grad_norm_-inf": torch.clip_grad_norm_(0.3, float("inf")),
        "clip_grad_norm_-3": torch.clip_grad_norm_(0.3, norm_type=3.0),
    }.items(),
)
def test_clips(key, clip, x64):
    agree(path_of(gd.chain(clip, torch.SGD(0.3))), HERE[key])
    agree(path_of(gd.chain(torch.clip_grad_norm_(0.5), torch.SGD(0.3))), SEMINAR["clip_norm_sgd"])
    agree(path_of(gd.chain(torch.clip_grad_value_(0.2), torch.SGD(0.3))), SEMINAR["clip_value_sgd"])


def inverse(step):
    return 1 / (1 + 0.1 * step)


schedules = torch.lr_scheduler
PARTS = lambda: [schedules.ConstantLR(0.1, 0.3, 15), schedules.ExponentialLR(0.1, 0.95)]
SCHEDULES = {
    "LambdaLR": lambda: schedules.LambdaLR(0.1, inverse),
    "StepLR": lambda: schedules.StepLR(0.1, 7, gamma=0.5),
    "MultiStepLR": lambda: schedules.MultiStepLR(0.1, [10, 25, 25, 45], gamma=0.3),
    "ConstantLR": lambda: schedules.ConstantLR(0.1),
    "LinearLR": lambda: schedules.LinearLR(0.1),
    "PolynomialLR": lambda: schedules.PolynomialLR(0.1),
    "ExponentialLR": lambda: schedules.ExponentialLR(0.1, 0.95),
    "CosineAnnealingLR": lambda: schedules.CosineAnnealingLR(0.1, 25, 0.01),
    "CosineAnnealingWarmRestarts": lambda: schedules.CosineAnnealingWarmRestarts(0.1, 8),
    "CyclicLR": lambda: schedules.CyclicLR(0.01, 0.1, step_size_up=6),
    "OneCycleLR": lambda: schedules.OneCycleLR(0.2, epochs=6, steps_per_epoch=11),
    "OneCycleLR-three": lambda: schedules.OneCycleLR(0.2, 61, three_phase=True),
    "OneCycleLR-linear": lambda: schedules.OneCycleLR(0.2, 61, anneal_strategy="linear"),
    "ChainedScheduler": lambda: schedules.ChainedScheduler(0.1, PARTS()),
    "SequentialLR": lambda: schedules.SequentialLR(
        [schedules.ConstantLR(0.1, 0.3, 15), schedules.ExponentialLR(0.1, 0.95)], [20]
    ),
}
OF_SEMINAR = {
    "linear": "LinearLR",
    "polynomial": "PolynomialLR",
    "exponential": "ExponentialLR",
    "multistep": "MultiStepLR",
    "cosine": "CosineAnnealingLR",
    "cosine_past_the_end": "CosineAnnealingLR",
    "cosine_warm_restarts": "CosineAnnealingWarmRestarts",
    "cyclic_triangular": "CyclicLR",
    "cyclic_triangular2": "CyclicLR",
    "cyclic_exp_range": "CyclicLR",
    "cyclic_uneven": "CyclicLR",
    "one_cycle_cos": "OneCycleLR",
    "one_cycle_cos_three_phase": "OneCycleLR",
    "one_cycle_linear": "OneCycleLR",
    "one_cycle_linear_three_phase": "OneCycleLR",
}


def test_every_schedule_of_torch_is_compared():
    recorded = {k.removeprefix("lr/") for k in HERE.files if k.startswith("lr/")}
    assert recorded == set(SCHEDULES)
    assert set(schedules.__all__) == {name.split("-")[0] for name in SCHEDULES}


@pytest.mark.parametrize("key", SCHEDULES)
def test_schedule(key, x64):
    agree(SCHEDULES[key]()(jnp.arange(61)), HERE["lr/" + key], 1e-12)


@pytest.mark.parametrize("key", OF_SEMINAR)
def test_schedule_of_the_seminar(key, x64):
    arguments = dict(meta(SEMINAR)["cases"]["lr/" + key]["arguments"])
    arguments.pop("cycle_momentum", None)
    has_rate = OF_SEMINAR[key] in ("CyclicLR", "OneCycleLR")
    lead = {} if has_rate else {"lr": meta(SEMINAR)["cases"]["lr/" + key]["base_rate"]}
    made = getattr(schedules, OF_SEMINAR[key])(**lead, **arguments)
    agree(made(jnp.arange(61)), SEMINAR["lr/" + key], 1e-11)


def state_dict(key):
    state = {0: {}, 1: {}}
    for name in HERE.files:
        if name.startswith(f"state/{key}/"):
            _, _, index, field = name.split("/")
            state[int(index)][field] = HERE[name]
    return {"state": state, "param_groups": [{"params": [0, 1], "param_names": ["W", "B"]}]}


SAVED = [k for k in cases(HERE) if any(n.startswith(f"state/{k}/") for n in HERE.files)]


@pytest.mark.parametrize("key", first(10, SAVED))
def test_continues_a_run_of_torch(key, x64):
    """With the state of torch after 20 steps the other 40 are torch's."""
    tx, at = CASES[key][2], meta(HERE)["saved_at"]
    params = split(jnp.asarray(HERE[key][at]))
    # JAX sorts the keys of the dict, b and w; torch has w first.
    step = at if key.startswith("SGD") else None
    state = torch.load_state_dict(tx, params, state_dict(key), names=["w", "b"], step=step)
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
    for new, old in zip(jax.tree.leaves(state), jax.tree.leaves(tx.init(params))):
        assert (new.shape, new.dtype, new.weak_type) == (old.shape, old.dtype, old.weak_type)
    agree(path_of(tx, start=at, carry=(params, state)), HERE[key][at:])


def test_continues_under_a_schedule_and_a_name(x64):
    """The same state serves gdjax's own optimizers; the count of a schedule is set too."""
    saved, at = state_dict("AdamW"), meta(HERE)["saved_at"]
    params = split(jnp.asarray(HERE["AdamW"][at]))
    names = {"w": "W", "b": 1}
    load = functools.partial(torch.load_state_dict, params=params, state_dict=saved, names=names)
    tx = gd.chain(opt=gd.adamw(gd.constant_schedule(1e-3), weight_decay=1e-2))
    state = load(tx)
    assert int(state["opt"].count) == at
    agree(path_of(tx, start=at, carry=(params, state)), HERE["AdamW"][at:])


class TestErrors:
    saved = property(lambda self: state_dict("Adam"))
    params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(2)}

    def test_order_and_transposition(self):
        tx = torch.Adam()
        with pytest.raises(ValueError, match=r"'0/mu/b' must have the shape \(2,\), got \(2, 3\)"):
            torch.load_state_dict(tx, self.params, self.saved)
        turned = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)}
        with pytest.raises(ValueError, match="transpose="):
            torch.load_state_dict(tx, turned, self.saved, names=["w", "b"])
        turns = {"w": (1, 0)}
        state = torch.load_state_dict(tx, turned, self.saved, names=["w", "b"], transpose=turns)
        np.testing.assert_allclose(state[0].mu["w"].T, HERE["state/Adam/0/exp_avg"], rtol=1e-6)
        with pytest.raises(ValueError, match="transpose must name leaves, got v"):
            torch.load_state_dict(tx, turned, self.saved, transpose={"v": (1, 0)})

    def test_names(self):
        tx = torch.Adam()
        with pytest.raises(ValueError, match="names must have the leaf 'b'"):
            torch.load_state_dict(tx, self.params, self.saved, names={"w": "W"})
        with pytest.raises(ValueError, match="the parameter of 'b', got V"):
            torch.load_state_dict(tx, self.params, self.saved, names={"w": "W", "b": "V"})
        with pytest.raises(ValueError, match="as many parameters as there are leaves, 1, got 2"):
            torch.load_state_dict(tx, {"w": jnp.zeros(2)}, self.saved)

    def test_what_is_missing(self):
        with pytest.raises(ValueError, match="'0/trace/b' needs torch's momentum_buffer, got step"):
            torch.load_state_dict(torch.SGD(0.1, 0.9), self.params, self.saved, names=["w", "b"])
        saved = state_dict("SGD-dampening")
        tx = torch.SGD(0.1, 0.9, dampening=0.1)
        with pytest.raises(ValueError, match="'0/count' needs the number of steps"):
            torch.load_state_dict(tx, self.params, saved, names=["w", "b"])

    def test_what_is_not_here_is_said(self):
        with pytest.raises(AttributeError, match="Use gdjax.lbfgs"):
            torch.LBFGS  # noqa: B018
        with pytest.raises(AttributeError, match="reduce_on_plateau"):
            schedules.ReduceLROnPlateau  # noqa: B018

    def test_arguments(self):
        with pytest.raises(ValueError, match="nesterov needs a momentum"):
            torch.SGD(0.1, nesterov=True)
        with pytest.raises(ValueError, match="mode must be one of"):
            schedules.CyclicLR(0.1, 0.2, mode="square")
        with pytest.raises(ValueError, match="total_steps"):
            schedules.OneCycleLR(0.1)
        with pytest.raises(ValueError, match="norm_type"):
            torch.clip_grad_norm_(1.0, -1.0)
        with pytest.raises(ValueError, match="needs the parameters"):
            torch.ASGD().update(jnp.ones(2), torch.ASGD().init(jnp.ones(2)))


@pytest.mark.parametrize("key", first(8, [k for k in CASES if "seminar" not in k]))
def test_is_data(key):
    tx = CASES[key][2]
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx
    assert repr(tx).startswith("chain(")
    params = {"w": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.zeros(2, jnp.bfloat16)}
    state = tx.init(params)
    for grads in (params, jax.tree.map(jnp.zeros_like, params)):
        new_params, new_state = jax.jit(tx.step)(grads, state, params)
        old, new = (jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, new_state))
        assert old == new
        for leaf in jax.tree.leaves((new_params, new_state)):
            assert bool(jnp.all(jnp.isfinite(leaf)))


def test_prints_as_parts():
    tx = torch.RMSprop(0.1, momentum=0.9, weight_decay=0.1)
    assert [line.split("(")[0] for line in map(repr, tx.arguments["transformations"])] == [
        "add_decayed_weights",
        "scale_by_rms",
        "trace",
        "scale_by_learning_rate",
    ]
