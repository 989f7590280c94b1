"""Slips that reached the inside of the library: each is answered by what must hold."""

import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax.compat import optax, torch

PARAMS = {"w": jnp.ones((4, 4)), "b": jnp.ones(4)}
OTHER = {"w": jnp.ones((4, 4))}
NARROW = {name: x.astype(jnp.bfloat16) for name, x in PARAMS.items()}
LOST = {"w": NARROW["w"]}
ADAM = gd.adam(0.1)


def moved(tx, params, others):
    """An update of other parameters than those that `init` was given."""
    return tx.update(others, tx.init(params), others)


def step_with(gradient):
    """A step with a gradient of another kind than its parameter."""
    return ADAM.step({**PARAMS, "w": gradient}, ADAM.init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: moved(gd.compensated(ADAM), NARROW, LOST),
            "compensated: state must be the one returned by init for these parameters, got .*/b'",
        ),
        (lambda: moved(gd.with_split_weights(ADAM), NARROW, LOST), "for these parameters, got"),
        (lambda: moved(gd.with_master_weights(ADAM), NARROW, LOST), "for these parameters, got"),
        (lambda: moved(gd.sam(ADAM, ADAM), PARAMS, OTHER), "sam: .* for these parameters, got"),
        (
            lambda: moved(gd.hyperball(0.1), PARAMS, OTHER),
            "hyperball: updates and state must have the same structure, got 'b' in the state",
        ),
        (
            lambda: gd.incremental_update(PARAMS, OTHER, 0.1),
            "incremental_update: new_tensors and old_tensors must have the same structure",
        ),
        (lambda: gd.periodic_update(OTHER, PARAMS, 1, 2), "got 'b' in the old_tensors but not"),
        (
            lambda: gd.state.reset(ADAM, ADAM.init(PARAMS), OTHER),
            "reset: state must be one of these params, got '0/mu/b' in the state but not",
        ),
        (
            lambda: step_with(jnp.ones((4, 4), jnp.int32)),
            "adam: gradients must be real .* as params are, at 'w' float32, got int32. Write None",
        ),
        (lambda: step_with(jnp.ones((4, 4), bool)), "adam: .* at 'w' float32, got bool"),
        (lambda: step_with(jnp.ones((4, 4), complex)), "adam: .* at 'w' float32, got complex64"),
        (lambda: step_with("g"), "adam: .* at 'w' float32, got str"),
        (
            lambda: ADAM.update(1, ADAM.init(1.0), 1.0),
            "adam: .* params are of float32, got int32",
        ),
        (lambda: gd.monitor(gd.global_norm), "monitor: measures must be a dict, got .*global_norm"),
        (
            lambda: gd.accumulate(ADAM, 2, should_skip_update_fn=3),
            "should_skip_update_fn must be a function.* or None, got 3",
        ),
        (lambda: gd.accumulate_gradients(3, 2), "loss must be a function.params, batch., got 3"),
        (lambda: gd.programs.report(ADAM, {"w": "a"}), "params must be arrays .* got 'a'"),
        (lambda: gd.contract.check(ADAM, ["scan"]), "names of PROMISES, got scan. .* scans"),
        (lambda: optax.inject_hyperparams(3), "inner_factory must be a function .* got 3. Write"),
        (lambda: torch.load_state_dict(ADAM, PARAMS, {}), "state_dict must be .* the keys none"),
    ],
)
def test_a_slip_is_answered(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        call()
    assert "PyTreeDef" not in str(raised.value) and "\n" not in str(raised.value)
