"""Masks, conditions, guards, accumulation, measurements, other forms, and steps on a plateau."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import gdjax as gd
from gdjax.core.rule import tree

from ..oracles import problem
from ..oracles.rules import wrappers as rules
from ..row import Agree, Row, recorded, rule

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


# Functions with a name, so that they pickle.


def odd(step: Any) -> Any:
    return step % 2 == 1


def always(step: Any) -> Any:
    return step >= 0


def wanted(step: Any, *, go: Any = True, **extra: Any) -> Any:
    return (step < 1) | jnp.asarray(go)


def shrinking(step: Any) -> Any:
    return jnp.where(step < 2, 3, 1)


def towards_zero(g: Any, p: Any) -> Any:
    return g if p is None else g + 0.1 * p


def is_large(updates: Any) -> Any:
    return gd.global_norm(updates) > 1.0


def as_gradient(params: Any, i: Any) -> Any:
    return tree.map(lambda p: 2 * p, params)


def small(path: str, x: Any) -> bool:
    return x.size < 5


def skip_large(updates: Any, gradient_step: Any, params: Any) -> Any:
    return gd.skip_large_updates(updates, gradient_step, params, 1e30)


def numbers(updates: Any) -> Any:
    return [x for x in jax.tree.leaves(updates) if tree.differentiable(x)]


ADVERSARY = gd.chain(gd.normalize(), gd.sgd(0.05))
LABELS = gd.by_label(matrix="matrices", rest=True)
VALUE = {"value": jnp.asarray(1.0)}

ROWS = [
    # some of the parameters
    Row(gd.masked(SGD, True)),
    Row(gd.masked(ADAMW, gd.by_rank(at_most=1)), label="masked-adamw"),
    Row(gd.masked(gd.add_decayed_weights(0.1), "matrices", outside="pass"), label="masked-pass"),
    Row(gd.selective_transform(ADAMW, freeze_mask="matrices")),
    Row(gd.selective_transform(SGD, freeze_mask=gd.by_rank(2)), label="selective_transform-sgd"),
    Row(gd.freeze("matrices")),
    Row(gd.freeze(True), descends=False, label="freeze-all"),
    Row(gd.chain(SGD, gd.freeze(~gd.by_function(small))), label="freeze-chain"),
    Row(gd.partition(LABELS, matrix=SGD, rest=ADAMW)),
    Row(
        gd.partition("all", **{"all": gd.sgd(0.1), "1st": gd.frozen}),
        label="partition-empty",
    ),
    # some of the steps
    Row(gd.conditionally_mask(SGD, odd)),
    Row(gd.conditionally_mask(ADAMW, wanted, forward_extra_args=True), label="conditionally-extra"),
    Row(gd.conditionally_transform(gd.clip(0.5), odd)),
    Row(gd.conditionally_transform(ADAMW, always), label="conditionally_transform-adamw"),
    Row(gd.apply_if_finite(SGD)),
    Row(gd.apply_if_finite(ADAMW, 2), label="apply_if_finite-adamw"),
    # larger batches
    Row(gd.accumulate(SGD, 2)),
    Row(gd.accumulate(ADAMW, 3, "tokens"), {"tokens": jnp.asarray(2)}, label="accumulate-adamw"),
    Row(
        gd.accumulate(ADAMW, shrinking, use_grad_mean=False, should_skip_update_fn=skip_large),
        label="accumulate-schedule",
    ),
    Row(
        gd.accumulate(
            gd.sgd(gd.linear_to_zero(0.1, 500)),
            2,
            should_skip_update_fn=None,
            accumulator_dtype=jnp.bfloat16,
        ),
        label="accumulate-bfloat16",
    ),
    Row(
        gd.apply_every(2), descends=False
    ),  # its first update is zero, so it is taken for a descent
    Row(gd.chain(ADAMW, gd.apply_every(3)), label="apply_every-adamw"),
    # entry by entry
    Row(gd.zero_nans()),
    Row(gd.chain(gd.sgd(0.1), gd.keep_params_nonnegative()), label="nonnegative-sgd"),
    Row(gd.keep_params_nonnegative(), descends=False),  # of finished updates: see the row above
    Row(gd.stateless_with_tree_map(towards_zero)),
    # measurements
    Row(gd.snapshot("norm", gd.global_norm)),
    Row(gd.measure_update_ratio(gd.by_label(matrix="matrices", rest=True))),
    Row(gd.measure_with_ema(gd.global_norm, 0.9)),
    Row(gd.measure_with_ema(is_large, 0.9, debias=False), label="measure_with_ema-biased"),
    Row(
        gd.monitor({"norm": gd.global_norm, "large": gd.measure_with_ema(is_large, 0.9)}),
    ),
    Row(gd.chain(SGD, gd.snapshot("all", numbers), ADAMW), label="snapshot-chain"),
    # other forms
    Row(gd.flatten(SGD)),
    Row(gd.flatten(ADAMW), label="flatten-adamw"),
    Row(gd.split_real_and_imaginary(SGD)),
    Row(gd.split_real_and_imaginary(ADAMW), label="split_real_and_imaginary-adamw"),
    # a metric, a worse point
    Row(gd.reduce_on_plateau(0.5, patience=1), VALUE),
    Row(
        gd.chain(SGD, gd.reduce_on_plateau(0.5, 0, 0.1, 0.01, 2, 2, 0.01)),
        VALUE,
        label="reduce_on_plateau-all",
    ),
    # Its first update climbs, so it is taken for an ascent; the opaque row descends.
    Row(gd.sam(SGD, ADVERSARY), descends=False),
    Row(gd.sam(ADAMW, gd.adam(0.01), 3, reset_state=False), descends=False, label="sam-adamw"),
    Row(gd.sam(SGD, ADVERSARY, opaque_mode=True), {"grad_fn": as_gradient}, label="sam-opaque"),
    Row(gd.normalize_adaptively(0.1)),
]


def value_at(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    """The loss of the problem less 2, so that the metric has either sign."""
    theta = jnp.concatenate([jnp.ravel(params["w"]), params["b"]])
    noise = 0.1 * jnp.asarray(problem.NOISE)[t]
    quadratic = 0.5 * jnp.sum(theta * (jnp.asarray(problem.H) @ theta))
    return {"value": quadratic - jnp.sum((jnp.asarray(problem.C) - noise) * theta) - 0.5}


def gradient_at(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    def grad_fn(params: Any, i: Any) -> Any:
        theta = jnp.concatenate([jnp.ravel(params["w"]), params["b"]])
        g = jnp.asarray(problem.H) @ theta - problem.C + 0.1 * jnp.asarray(problem.NOISE)[t]
        return {"w": g[:6].reshape(2, 3), "b": g[6:]}

    return {"grad_fn": grad_fn}


def weight_of(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    return {"tokens": 1 + t % 3}


MOMENTUM = gd.sgd(0.05, momentum=0.9)
CLIMB = gd.chain(gd.normalize(), gd.sgd(0.5))
ADAPTIVE = gd.chain(gd.normalize_adaptively(0.3), gd.sgd(0.5))

AGREE = {
    "numpy-accumulate": Agree(gd.accumulate(MOMENTUM, 3), rule(rules.accumulate, k=3)),
    "numpy-accumulate-weighted": Agree(
        gd.accumulate(MOMENTUM, 4, "tokens"),
        rule(rules.accumulate, k=4, weight=lambda t: 1.0 + t % 3),
        extra=weight_of,
    ),
    "numpy-accumulate-sum": Agree(
        gd.accumulate(MOMENTUM, 2, use_grad_mean=False), rule(rules.accumulate, k=2, mean=False)
    ),
    "numpy-accumulate-schedule": Agree(
        gd.accumulate(MOMENTUM, lambda step: jnp.where(step < 5, 4, 2)),
        rule(rules.accumulate, k=lambda step: 4 if step < 5 else 2),
    ),
    "numpy-apply_every": Agree(gd.chain(MOMENTUM, gd.apply_every(3)), rule(rules.apply_every, k=3)),
    "numpy-plateau": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 2, 0.02, 0.003, 3, 1, 0.05)),
        rule(rules.plateau, accumulate=1),
        extra=value_at,
    ),
    "numpy-plateau-accumulated": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 0, 0.02, 0.003, 1, 2, 0.05)),
        rule(rules.plateau, patience=0, cooldown=1, accumulate=2),
        extra=value_at,
    ),
    "numpy-sam": Agree(gd.sam(MOMENTUM, CLIMB), rule(rules.sam, rho=0.5)),
    "numpy-sam-3": Agree(gd.sam(MOMENTUM, CLIMB, 3), rule(rules.sam, rho=0.5, climbs=2)),
    "numpy-asam": Agree(gd.sam(MOMENTUM, ADAPTIVE), rule(rules.sam, rho=0.5, eta=0.3)),
    "numpy-sam-opaque": Agree(
        gd.sam(MOMENTUM, CLIMB, opaque_mode=True),
        rule(rules.sam_opaque, rho=0.5),
        extra=gradient_at,
    ),
    "numpy-sam-opaque-3": Agree(
        gd.sam(MOMENTUM, CLIMB, 3, opaque_mode=True),
        rule(rules.sam_opaque, rho=0.5, climbs=2),
        extra=gradient_at,
    ),
    "optax-accumulate": Agree(
        gd.accumulate(MOMENTUM, 3), recorded("wrappers", "optax/multi_steps")
    ),
    "optax-apply_every": Agree(
        gd.chain(MOMENTUM, gd.apply_every(3)), recorded("wrappers", "optax/apply_every")
    ),
    "optax-flatten": Agree(
        gd.flatten(gd.adam(0.05, eps=1e-3)), recorded("wrappers", "optax/flatten")
    ),
    "optax-partition": Agree(
        gd.partition({"w": "adam", "b": "sgd"}, sgd=MOMENTUM, adam=gd.adam(0.05)),
        recorded("wrappers", "optax/partition"),
    ),
    "optax-selective": Agree(
        gd.selective_transform(gd.adam(0.05), freeze_mask={"w": False, "b": True}),
        recorded("wrappers", "optax/selective_transform"),
    ),
    "optax-conditionally_mask": Agree(
        gd.conditionally_mask(gd.adam(0.1), odd), recorded("wrappers", "optax/conditionally_mask")
    ),
    "optax-conditionally_transform": Agree(
        gd.chain(gd.conditionally_transform(gd.clip(0.1), odd), gd.sgd(0.3)),
        recorded("wrappers", "optax/conditionally_transform"),
    ),
    "optax-nonnegative": Agree(
        gd.chain(gd.sgd(0.3), gd.keep_params_nonnegative()),
        recorded("wrappers", "optax/keep_params_nonnegative"),
    ),
    "optax-sam": Agree(gd.sam(MOMENTUM, CLIMB), recorded("wrappers", "optax/sam")),
    "optax-sam-3": Agree(
        gd.sam(MOMENTUM, gd.adam(0.1), 3, reset_state=False),
        recorded("wrappers", "optax/sam_3_kept"),
    ),
    "optax-sam-opaque": Agree(
        gd.sam(MOMENTUM, CLIMB, 3, opaque_mode=True),
        recorded("wrappers", "optax/sam_opaque"),
        extra=gradient_at,
    ),
    "torch-plateau": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 2, 0.0, 0.05, 3, 1, 0.05)),
        recorded("wrappers", "torch/reduce_on_plateau_abs"),
        extra=value_at,
    ),
    "torch-plateau-relative": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 1, 0.02, 0.0, 2, 1, 0.05)),
        recorded("wrappers", "torch/reduce_on_plateau_rel"),
        extra=lambda *args: {"value": 10.0 + value_at(*args)["value"]},
    ),
}

# These pass on, hold back, look at or choose; tests/test_wrappers.py says what of them must hold.
PLAIN = {
    "apply_if_finite",
    "freeze",
    "masked",
    "measure_update_ratio",
    "measure_with_ema",
    "monitor",
    "snapshot",
    "split_real_and_imaginary",
    "stateless_with_tree_map",
    "zero_nans",
}
