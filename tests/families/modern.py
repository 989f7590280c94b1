"""Optimizers of the 2020s, and wrappers and parts that came with them."""

from __future__ import annotations

import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd

from ..oracles import problem
from ..oracles.record_modern import FALLING, curvature
from ..oracles.rules import modern as rules
from ..row import Agree, Row, real, recorded, rule


def bowl(params: Any) -> Any:
    """A loss of any tree: what `sophia` asks the curvature of."""
    from gdjax.core.rule import tree

    return tree.norm(params) ** 2


@gd.transformation
def given_curvature():
    """An estimator that is told: it passes the extra argument `curvature` on."""

    def update(updates, state, params=None, *, curvature, **extra):
        return curvature, state

    return lambda params: gd.EmptyState(), update


ROWS = [
    # optimizers
    Row(gd.ademamix(0.1, b3=0.99, alpha=2.0, weight_decay=0.01)),
    Row(gd.ademamix(0.1, mu_dtype=jnp.bfloat16), label="ademamix-bfloat16"),
    Row(gd.simplified_ademamix(0.01, alpha=2.0, weight_decay=0.01)),
    Row(gd.madgrad(0.1, weight_decay=0.01)),
    Row(gd.sophia(0.1, b1=0.9, gamma=0.1), extra={"obj_fn": bowl}),
    Row(gd.adamc(0.1, 0.2, weight_decay=0.1)),
    Row(gd.stable_adamw(0.1, b2=0.95)),
    Row(gd.adam_mini(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.adam_mini(0.1, block_axis=None), label="adam_mini-whole"),
    Row(gd.noisy_sgd(0.1, 0.001)),
    # parts
    Row(gd.scale_by_ademamix(b3=0.99)),
    Row(gd.scale_by_simplified_ademamix(alpha=1.0)),
    Row(gd.scale_by_madgrad(0.1)),
    Row(
        gd.scale_by_sophia(gamma=1.0, clipping_threshold=None, every=2),
        extra={"obj_fn": bowl},
    ),
    Row(gd.hutchinson_estimator_diag_hessian(3), extra={"obj_fn": bowl}, descends=False),
    Row(gd.scale_by_stable_adam(0.9, 0.95)),
    Row(gd.scale_by_stable_adam(weight_decay=0.1), label="scale_by_stable_adam-decay"),
    Row(gd.scale_by_adam_mini(0.9, 0.99)),
    Row(gd.add_cautious_weight_decay(0.1)),
    Row(gd.add_noise(0.01, 0.55, key=0)),
    Row(gd.centralize(-1)),
    # wrappers
    Row(gd.cautious(gd.adam(0.1))),
    Row(gd.mars(gd.adam(0.1, b1=0.9), b1=0.9)),
    Row(gd.lookahead(gd.adam(0.1), every=2, slow_step_size=0.5)),
    Row(gd.lookahead(gd.sgd(0.1), 2, 0.8, reset_state=True), label="lookahead-reset"),
]

# Hutchinson's estimate of a sum of squares is the same in all steps of the contract's parabola,
# and no direction of descent; `test_modern.py` compares it with the Hessian.
# An optimizer that decays has a decay.
ITS_OWN = {("stable_adamw", "weight_decay")}

PLAIN = {"hutchinson_estimator_diag_hessian"}


def falling(t):
    return 0.05 * 0.96 ** real(t)


def rising_alpha(t, last=5.0, warmup=40):
    """The paper's schedule of α; steps count from 1 there."""
    return jnp.minimum((real(t) + 1) * last / warmup, last)


def rising_b3(t, first=0.9, last=0.999, warmup=40):
    """The paper's schedule of β₃: the half-life of the mean grows linearly."""
    done = jnp.minimum((real(t) + 1) / warmup, 1.0)
    a, b = math.log(first), math.log(last)
    return jnp.exp(a * b / ((1 - done) * b + done * a))


def told(params, grads, t):
    """The estimates of `record_modern.curvature`, [60, 8] made beforehand, as a tree."""
    flat = jnp.asarray(np.stack([curvature(step) for step in range(problem.STEPS)]))[t]
    return {"curvature": {"w": flat[:6].reshape(problem.SHAPES["w"]), "b": flat[6:]}}


def noise(seed):
    """Standard normal numbers [60, 8] of the keys that `add_noise` says it uses."""

    def one(t, name):
        key = jax.random.fold_in(jax.random.key(seed), t)
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
        return jax.random.normal(key, problem.SHAPES[name], jnp.float64)

    steps = range(problem.STEPS)
    return np.stack([problem.join({n: one(t, n) for n in problem.SHAPES}) for t in steps])


def noisy(eta, variance, gamma, seed):
    rest = {"variance": variance, "gamma": gamma, "noise": noise(seed)}
    return rule(rules.noisy_sgd, eta=eta, **rest)()


def rate(learning_rate):
    return gd.scale_by_learning_rate(learning_rate)


MIX = {"b1": 0.8, "b2": 0.95, "b3": 0.99, "alpha": 3.0, "eps": 1e-3}
SUM = {"b1": 0.9, "b2": 0.95, "alpha": 2.0, "eps": 1e-3, "eps_root": 1e-3}
SOPHIA = {"b1": 0.9, "b2": 0.95, "gamma": 0.5, "eps": 0.01}
STABLE = {"b1": 0.9, "b2": 0.95, "eps": 1e-3}


def sophia(learning_rate, **arguments):
    return gd.sophia(learning_rate, hessian_diagonal_fn=given_curvature(), **arguments)


RECORDED = {
    "torch/ademamix": gd.ademamix(0.05, 0.9, 0.99, 0.995),
    "torch/ademamix_decay": gd.ademamix(0.05, **MIX, weight_decay=0.1),
    "torch/ademamix_warmup": gd.ademamix(0.05, 0.9, 0.99, rising_b3, rising_alpha),
    "optax/ademamix": gd.ademamix(0.05, 0.9, 0.99, 0.995),
    "optax/ademamix_decay": gd.ademamix(0.05, **MIX, eps_root=1e-3, weight_decay=0.1),
    "optax/simplified_ademamix": gd.simplified_ademamix(0.05, **SUM, weight_decay=0.1),
    # The authors' program, and what was made after it, adds eps to the rate.
    "torch/madgrad": gd.madgrad(0.05 + 1e-3, eps=1e-3),
    "torch/timm_madgrad": gd.madgrad(0.05 + 1e-3, eps=1e-3),
    "torch/madgrad_l2": gd.madgrad(0.05 + 1e-6, 0.8, 0.1),
    "torch/madgrad_plain": gd.madgrad(0.05 + 1e-6, 0.0),
    "torch/timm_mars": gd.mars(
        gd.adamw(0.05, 0.9, 0.99, 1e-3, weight_decay=0.1), gamma=0.1, b1=0.9
    ),
    "torch/timm_cautious_adamw": gd.chain(
        gd.cautious(gd.adam(0.05, 0.9, 0.99), xi=0.0), gd.decay_weights(0.05 * 0.1)
    ),
    "torch/timm_adamc": gd.adamc(falling, FALLING["rates"][0], 0.9, 0.99, weight_decay=0.5),
    "torch/stable_adamw": gd.stable_adamw(0.05, **STABLE, weight_decay=0.1),
    "torch/lookahead_sgd": gd.lookahead(gd.sgd(0.3), 5, 0.5),
    "torch/lookahead_adam": gd.lookahead(gd.adam(0.05), 4, 0.8),
    "optax/lookahead": gd.lookahead(gd.sgd(0.3), 5, 0.5),
    "optax/centralize": gd.chain(gd.centralize(), gd.sgd(0.3)),
}

NUMPY = {
    "ademamix": (
        gd.ademamix(falling, **MIX, eps_root=1e-3, weight_decay=0.1),
        rule(rules.ademamix, eta=falling, **MIX, eps_root=1e-3, lam=0.1),
    ),
    "ademamix-warmup": (
        gd.ademamix(0.05, b3=rising_b3, alpha=rising_alpha),
        rule(rules.ademamix, eta=0.05, b1=0.9, b2=0.999, b3=rising_b3, alpha=rising_alpha),
    ),
    "scale_by_ademamix": (
        gd.chain(gd.scale_by_ademamix(), rate(0.05)),
        rule(rules.ademamix, eta=0.05, b1=0.9, b2=0.999, b3=0.9999, alpha=5.0),
    ),
    "simplified_ademamix": (
        gd.simplified_ademamix(0.05, **SUM, weight_decay=0.1),
        rule(rules.simplified_ademamix, eta=0.05, **SUM, lam=0.1),
    ),
    "scale_by_simplified_ademamix": (
        gd.chain(gd.scale_by_simplified_ademamix(), rate(0.005)),
        rule(rules.simplified_ademamix, eta=0.005, b1=0.99, b2=0.95, alpha=0.0),
    ),
    "madgrad": (
        gd.madgrad(falling, 0.8, 0.1, 1e-2),
        rule(rules.madgrad, eta=falling, mu=0.8, eps=1e-2, l2=0.1),
    ),
    "scale_by_madgrad": (
        gd.scale_by_madgrad(0.05),
        rule(rules.madgrad, eta=0.05, mu=0.9, eps=1e-6),
    ),
    "mars": (
        gd.mars(gd.adamw(0.05, 0.9, 0.99, weight_decay=0.1), 0.2, 0.8, 0.5),
        rule(rules.mars_adamw, eta=0.05, b1=0.9, b2=0.99, gamma=0.2, lam=0.1, bound=0.5, decay=0.8),
    ),
    "mars-unclipped": (
        gd.mars(gd.adam(0.05, 0.95, 0.99), max_norm=None),
        rule(rules.mars_adamw, eta=0.05, b1=0.95, b2=0.99, gamma=0.025, bound=math.inf),
    ),
    "cautious": (
        gd.chain(gd.cautious(gd.adam(0.05, b2=0.99)), gd.decay_weights(0.05 * 0.1)),
        rule(rules.cautious_adam, eta=0.05, b1=0.9, b2=0.99, lam=0.1),
    ),
    "cautious-momentum": (
        gd.cautious(gd.sgd(0.05, 0.9), 0.5),
        rule(rules.cautious_momentum, eta=0.05, mu=0.9, xi=0.5),
    ),
    "cautious-decay": (
        gd.chain(gd.scale_by_adam(), gd.add_cautious_weight_decay(0.5), rate(0.05)),
        rule(rules.cautious_decay_adam, eta=0.05, b1=0.9, b2=0.999, lam=0.5),
    ),
    "adamc": (
        gd.adamc(falling, 0.08, b2=0.99, eps=1e-3, weight_decay=0.5),
        rule(rules.adamc, eta=falling, eta_max=0.08, b1=0.9, b2=0.99, eps=1e-3, lam=0.5),
    ),
    "stable_adamw": (
        gd.stable_adamw(0.05, 0.8, 0.9, 0.1, weight_decay=0.1),
        rule(rules.stable_adamw, eta=0.05, b1=0.8, b2=0.9, eps=0.1, lam=0.1),
    ),
    "scale_by_stable_adam": (
        gd.chain(gd.scale_by_stable_adam(), rate(0.05)),
        rule(rules.stable_adamw, eta=0.05, b1=0.9, b2=0.99, eps=1e-8, lam=0.0),
    ),
    "lookahead-reset": (
        gd.lookahead(gd.adam(0.05, b2=0.99), 7, 0.6, reset_state=True),
        rule(rules.lookahead_adam, eta=0.05, b1=0.9, b2=0.99, k=7, alpha=0.6, reset=True),
    ),
    "centralize": (
        gd.chain(gd.centralize(), gd.sgd(0.3)),
        rule(rules.centralized_sgd, eta=0.3, axis=0),
    ),
    "centralize-last": (
        gd.chain(gd.centralize(-1), gd.sgd(0.3)),
        rule(rules.centralized_sgd, eta=0.3, axis=1),
    ),
    "adam_mini-default": (
        gd.adam_mini(0.05),
        rule(rules.adam_mini, eta=0.05, b1=0.9, b2=0.999, eps=1e-8, lam=0.0, axis=1),
    ),
    "noisy_sgd-default": (gd.noisy_sgd(0.1), lambda: noisy(0.1, 0.01, 0.55, 0)),
    "noisy_sgd": (
        gd.noisy_sgd(0.1, 0.5, 0.7, key=7),
        lambda: noisy(0.1, 0.5, 0.7, 7),
    ),
} | {
    f"adam_mini-{axis}": (
        gd.adam_mini(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1, block_axis=axis),
        rule(rules.adam_mini, eta=0.05, b1=0.8, b2=0.95, eps=1e-3, lam=0.1, axis=axis % 2),
    )
    for axis in (0, -1)
}

AGREE = (
    {key: Agree(tx, recorded("modern", key)) for key, tx in RECORDED.items()}
    | {f"numpy-{key}": Agree(*row) for key, row in NUMPY.items()}
    | {
        "optax/lookahead_slow": Agree(
            gd.lookahead(gd.sgd(0.3), 5, 0.5),
            recorded("modern", "optax/lookahead_slow"),
            evaluate=True,
        ),
        "numpy-lookahead-slow": Agree(
            gd.lookahead(gd.sgd(0.3), 6, 0.7),
            rule(rules.lookahead_sgd, eta=0.3, k=6, alpha=0.7, slow=True),
            evaluate=True,
        ),
        # pytorch_optimizer keeps the second moment in float32.
        "torch/adam_mini": Agree(
            gd.adam_mini(0.05, 0.9, 0.95, 1e-3, weight_decay=0.1, block_axis=None),
            recorded("modern", "torch/adam_mini"),
            tolerance=1e-6,
        ),
        # heavyball computes in float32.
        "torch/heavyball_cautious_decay": Agree(
            gd.chain(gd.scale_by_adam(0.9, 0.99), gd.add_cautious_weight_decay(0.5), rate(0.05)),
            recorded("modern", "torch/heavyball_cautious_decay"),
            tolerance=1e-6,
        ),
        "torch/sophia": Agree(  # clip(m/max(h, 0.02), 0.01) is 0.01·clip(m/max(0.01h, 2e-4), 1)
            sophia(
                0.05,
                b1=0.9,
                b2=0.95,
                gamma=0.01,
                eps=2e-4,
                weight_decay=1.0,
                every=1,
            ),
            recorded("modern", "torch/sophia"),
            extra=told,
        ),
        "numpy-sophia-default": Agree(
            sophia(0.05),
            rule(
                rules.sophia,
                eta=0.05,
                b1=0.965,
                b2=0.99,
                gamma=0.01,
                eps=1e-8,
                lam=1e-4,
                rho=1.0,
                every=10,
                curvature=curvature,
            ),
            extra=told,
        ),
        "numpy-sophia": Agree(
            sophia(0.05, **SOPHIA, weight_decay=0.1, clipping_threshold=0.8, every=3),
            rule(rules.sophia, eta=0.05, **SOPHIA, lam=0.1, rho=0.8, every=3, curvature=curvature),
            extra=told,
        ),
        "numpy-sophia-unclipped": Agree(
            sophia(0.02, **SOPHIA, weight_decay=0.0, clipping_threshold=None, every=10),
            rule(rules.sophia, eta=0.02, **SOPHIA, rho=math.inf, every=10, curvature=curvature),
            extra=told,
        ),
    }
)
